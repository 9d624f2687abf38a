-- Search: what one reads, by its words.
begin isolation level read committed;
select plan(65);
set local client_min_messages = warning;

\ir people.psql

select pg_temp.become(w.who), chat.introduce_me() from unnest(array['alice', 'bob', 'carol', 'dave', 'mallory', 'adam']) w (who);
select pg_temp.become('adam');
select chat.create_room('square', 'public', null, pg_temp.id('square'));
insert into chat.messages (chat_id, id, text) values (pg_temp.id('square'), pg_temp.id('s1'), 'a parrot in the square');
select pg_temp.become('alice');
select chat.create_group('walk', array[pg_temp.id('bob'), pg_temp.id('dave')], pg_temp.id('walk'));
update chat.participants set role = 'moderator' where chat_id = pg_temp.id('walk') and user_id = pg_temp.id('dave');
-- enough for pages and something after them
insert into chat.messages (chat_id, id, text) select pg_temp.id('walk'), pg_temp.id('w' || i), format('step %s %s', i, case when i % 10 = 0 then 'with a parrot' end) from generate_series(1, 150) i;
select pg_temp.become('chat_owner');
select cmp_ok((select count(*) from chat_private.search_pages), '>=', 2::bigint, 'search.1: there are pages, and more after them');
update chat.settings set history = 'since_join';
select pg_temp.become('alice');
insert into chat.participants (chat_id, user_id) values (pg_temp.id('walk'), pg_temp.id('carol'));
insert into chat.messages (chat_id, id, text) values
  (pg_temp.id('walk'), pg_temp.id('x1'), 'Über die Brücke: naïve Äpfel, either/or; a.b <b>bold</b>'),
  (pg_temp.id('walk'), pg_temp.id('x2'), 'we met a grey parrot in 北京大学 🦜👩‍👩‍👧 🇩🇪'),
  (pg_temp.id('walk'), pg_temp.id('x3'), normalize('café Ångström', nfd)),
  (pg_temp.id('walk'), pg_temp.id('x4'), 'שלום עולם, سلام دنیا, привет Ёлка'),
  (pg_temp.id('walk'), pg_temp.id('x5'), 'parrots of grey'),
  (pg_temp.id('walk'), pg_temp.id('x6'), repeat('x', 5000));

create function pg_temp.finds(_q text, _what text, _says text) returns text language sql as $$
  select pg_temp.sees(
    format('select w.word from unnest(array[''s1'', ''x1'', ''x2'', ''x3'', ''x4'', ''x5'', ''x6'']) w (word) join chat.search(%L) s on s.id = pg_temp.id(w.word)', _q),
    _what, 'search.1', _says)
$$;

select pg_temp.become('bob');
select is((select count(*) from chat.search('parrot', _limit => 100)), 18::bigint, 'search.1: bob finds all that he reads: in pages, after them, and in public');
select is((select array_agg(s.id order by s.created_at desc, s.id desc) from chat.search('parrot', _limit => 100) s),
          (select array_agg(m.id order by m.created_at desc, m.id desc) from chat.messages m where m.text ~ '\mparrot'), 'search.1: … all of them and no other');
select is((select count(*) from chat.search('parrot', _chat => pg_temp.id('square'))), 1::bigint, 'search.1: in one chat');
select is((select count(*) from chat.search('parrot', _sender => pg_temp.id('alice'), _limit => 100)), 17::bigint, 'search.1: of one sender');
select is((select count(*) from chat.search('step 7', _limit => 100)), 11::bigint, 'search.1: the last word may be the beginning of one');
select is((select count(*) from chat.search('step "7"')), 1::bigint, 'search.1: … unless it is quoted');
select is((select count(*) from chat.search('step 7 ')), 1::bigint, 'search.1: … or a blank ends it');
select pg_temp.finds('UBER apfel', 'x1', 'neither case nor accents matter');
select pg_temp.finds('bruc', 'x1', '… in the beginning of a word either');
select pg_temp.finds('either', 'x1', 'a slash ends a word');
select pg_temp.finds('or', 'x1', '… and begins one');
select pg_temp.finds('bold', 'x1', 'what looks like HTML is text');
select pg_temp.finds('"grey parrot"', 'x2', 'quoted words are found together');
select pg_temp.finds('“grey parrot”', 'x2', '… in whatever quotes');
select pg_temp.finds('grey parrot', 'x2, x5', 'others anywhere');
select pg_temp.finds('grey -"grey parrot"', 'x5', 'a minus leaves out');
select pg_temp.finds('grey -met', 'x5', '… a word as well');
select pg_temp.finds('京大', 'x2', 'signs of a script without blanks are found where they follow each other');
select pg_temp.finds('大京', 'nothing', '… and not where they don''t');
select pg_temp.finds('🦜', 'x2', 'an emoji is a word');
select pg_temp.finds('👩‍👩‍👧', 'x2', '… also one of several code points');
select pg_temp.finds('🇩🇪', 'x2', '… and a flag');
select pg_temp.finds('café', 'x3', 'a letter is the same composed and decomposed');
select pg_temp.finds(normalize('ÅNGSTRÖM', nfd), 'x3', '… in what is looked for too');
select pg_temp.finds('עולם', 'x4', 'Hebrew');
select pg_temp.finds('دنیا', 'x4', 'Persian');
select pg_temp.finds('елка ПРИВЕТ', 'x4', 'Russian');
select pg_temp.finds(repeat('x', 400), 'x6', 'the longest word is found by its beginning');
select pg_temp.finds('"a.b"', 'x1', 'a dot ends a word');
select pg_temp.finds(''' parrot'' | x', 'nothing', 'signs of other languages make no question');
select pg_temp.refused($$select id from chat.search('')$$, 'PT422', 'search.2', 'nothing is no word');
select pg_temp.refused($$select id from chat.search('… ?! "" -')$$, 'PT422', 'search.2', 'nor are signs');
select pg_temp.refused($$select id from chat.search('-parrot')$$, 'PT422', 'search.2', 'leaving out is not looking for');
select pg_temp.refused($$select id from chat.search(repeat('ab ', 167))$$, 'PT422', 'search.3', 'a search is short');
select pg_temp.refused($$select id from chat.search('a b c d e f g h i j k l m n o p q r s -t u')$$, 'PT422', 'search.5', 'a search is for a few words');

-- pages of what was found
create function pg_temp.walk(_q text, _size integer, _newer boolean) returns uuid[] language plpgsql as $$
declare
  walked uuid[] := '{}';
  at timestamptz := case when _newer then '1970-01-01' end;
  of_id uuid := case when _newer then '00000000-0000-0000-0000-000000000000' end;
  page uuid[];
begin
  loop
    select
      array_agg(s.id order by s.n), (array_agg(s.created_at order by s.n desc))[1], (array_agg(s.id order by s.n desc))[1]
    into page, at, of_id
    from (select
            f.id, f.created_at,
            row_number() over (order by case when _newer then f.created_at end, case when _newer then f.id end, f.created_at desc, f.id desc) as n
          from chat.search(_q, _from => at, _from_id => of_id, _newer => _newer, _limit => _size) f) s;
    exit when page is null;
    walked := walked || page;
  end loop;
  return walked;
end
$$;
select is(pg_temp.walk('parrot', 7, false), (select array_agg(m.id order by m.created_at desc, m.id desc) from chat.messages m where m.text ~ '\mparrot'), 'search.1: a walk in pages finds each once, newest first');
select is(pg_temp.walk('parrot', 1, false), (select array_agg(m.id order by m.created_at desc, m.id desc) from chat.messages m where m.text ~ '\mparrot'), 'search.1: … also in pages of one');
select is(pg_temp.walk('parrot', 7, true), (select array_agg(m.id order by m.created_at, m.id) from chat.messages m where m.text ~ '\mparrot'), 'search.1: … and the other way round');
select is(pg_temp.walk('step', 3, false), (select array_agg(m.id order by m.created_at desc, m.id desc) from chat.messages m where m.text ~ '\mstep'), 'search.1: … of a word that most have');
select is((select count(*) from chat.messages a, chat.search('parrot', _before => a.created_at, _limit => 100) where a.id = pg_temp.id('w50')), 5::bigint, 'search.1: before a moment');
select is((select count(*) from chat.messages a, chat.search('parrot', _after => a.created_at, _limit => 100) where a.id = pg_temp.id('w50')), 12::bigint, 'search.1: after a moment');

-- highlights
select is((select s.highlights from chat.search('"grey parrot"') s), '[{"hit": false, "text": "we met a "}, {"hit": true, "text": "grey parrot"}, {"hit": false, "text": " in 北京大学 🦜👩‍👩‍👧 🇩🇪"}]', 'search.1: a hit is shown as a part of the text');
select is((select s.highlights from chat.search('bol') s), '[{"hit": false, "text": "Über die Brücke: naïve Äpfel, either/or; a.b <b>"}, {"hit": true, "text": "bold"}, {"hit": false, "text": "</b>"}]', 'search.1: … as written');
select is((select string_agg(e.part ->> 'text', '' order by e.n) from chat.search('cafe') s, jsonb_array_elements(s.highlights) with ordinality e (part, n)), normalize('café Ångström', nfd), 'search.1: … code point for code point');
select cmp_ok((select max(length(e.part ->> 'text')) from chat.search('xx') s, jsonb_array_elements(s.highlights) e (part)), '<=', 240, 'search.1: … an excerpt');

-- who finds what
select pg_temp.become('carol');
select is((select count(*) from chat.search('parrot', _limit => 100)), 3::bigint, 'search.1: who reads from where they joined finds from there');
select pg_temp.become('mallory');
select is((select count(*) from chat.search('parrot', _limit => 100)), 1::bigint, 'search.1: a stranger finds what is public');
select is((select count(*) from chat.search('parrot', _chat => pg_temp.id('walk'))), 0::bigint, 'search.1: … and nothing in the chat of others');
select pg_temp.become('anon');
select is((select count(*) from chat.search('parrot')), 0::bigint, 'search.1: anon finds nothing');
select pg_temp.become('chat_owner');
update chat.settings set anon_reads_public_rooms = true;
select pg_temp.become('anon');
select is((select count(*) from chat.search('parrot')), 1::bigint, 'search.1: … but what anon may read');
select pg_temp.become('service_role');
select pg_temp.refused($$select id from chat.search('parrot')$$, 'PT422', 'search.4', 'the host says where');
select is((select count(*) from chat.search('parrot', _chat => pg_temp.id('walk'), _limit => 100)), 17::bigint, 'search.4: … and finds all of it');

-- what changes
select pg_temp.become('alice');
update chat.messages set text = 'a cockatoo' where id = pg_temp.id('w10');
select is((select count(*) from chat.search('parrot', _limit => 100)), 17::bigint, 'search.1: what was edited is not found by its old words');
select is((select count(*) from chat.search('cockatoo')), 1::bigint, 'search.1: … but by its new ones');
delete from chat.messages where id in (pg_temp.id('w20'), pg_temp.id('x2'));
select is((select count(*) from chat.search('parrot', _limit => 100)), 15::bigint, 'search.1: what was deleted is not found');
select pg_temp.become('dave');
select is((select count(*) from chat.search('parrot', _limit => 100)), 15::bigint, 'search.1: … by moderators either');
select pg_temp.become('chat_owner');
select is((select count(*) from chat_private.search_pages p where p.words @@ ('''' || chat_private.search_key(pg_temp.id('walk')) || '10''')::tsquery), 0::bigint, 'search.1: a word that no message has is in no page');
delete from chat.messages where id = pg_temp.id('w30');
select is((select count(*) from chat_private.search_pages p where p.words @@ ('''' || chat_private.search_key(pg_temp.id('walk')) || '30''')::tsquery), 0::bigint, 'search.1: … nor is one of a message that is gone for good');
select pg_temp.become('bob');
select is((select count(*) from chat.search('parrot', _limit => 100)), 14::bigint, 'search.1: … which is not found');
update chat.participants set left_at = clock_timestamp() where chat_id = pg_temp.id('walk') and user_id = pg_temp.id('bob');
select is((select count(*) from chat.search('parrot', _limit => 100)), 1::bigint, 'search.1: who left finds nothing there any more');
-- a chat in which every other rev is no message's
select pg_temp.become('alice');
select chat.create_group('odd', array[pg_temp.id('dave')], pg_temp.id('odd'));
update chat.chats set topic = 'odd' where id = pg_temp.id('odd');
do $$
begin
  for i in 1..200 loop
    insert into chat.messages (chat_id, id, text) values (pg_temp.id('odd'), pg_temp.id('odd' || i), 'odd');
    update chat.chats set name = 'odd ' || i where id = pg_temp.id('odd');
  end loop;
end
$$;
select pg_temp.become('chat_owner');
select cmp_ok((select count(*) from chat_private.search_pages p where p.chat_id = pg_temp.id('odd')), '>=', 1::bigint, 'search.1: pages are made whatever the messages'' seqs');
select pg_temp.become('bob');

select pg_temp.refused($$select last_seq from chat_private.search_pages$$, '42501', 'search.1', 'nobody reads the pages themselves');

-- excerpts ----------------------------------------------------------------------------------------------------

select pg_temp.become('chat_owner');
select pg_temp.sees($$select sum(length(h ->> 'text')) < 400 and bool_or((h ->> 'hit')::boolean) from jsonb_array_elements(chat_private.highlights(repeat('word ', 2000), 'word wor "word word"')) h$$, 'true', 'search.1', 'an excerpt is short, however much of a text is what was looked for');
select pg_temp.sees($$select string_agg(h ->> 'text', '|') from jsonb_array_elements(chat_private.highlights('he said: Good   Morning, all', '"good morning" sai')) h$$, 'he |said|: |Good   Morning|, all', 'search.1', '… and made of the parts of the text');

select * from finish();
rollback;

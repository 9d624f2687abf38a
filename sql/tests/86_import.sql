-- Import: what was said in another system.
begin isolation level read committed;
select plan(38);
set local client_min_messages = warning;

\ir people.psql

select pg_temp.become(w.who), chat.introduce_me() from unnest(array['alice', 'bob', 'carol', 'dave']) w (who);
select pg_temp.become('alice');
select chat.create_group('gone', array[pg_temp.id('bob')], pg_temp.id('gone'));
select chat.delete_chat(pg_temp.id('gone'));
select chat.create_group('walk', array[pg_temp.id('bob'), pg_temp.id('carol')], pg_temp.id('walk'));
insert into chat.messages (chat_id, id, text) values (pg_temp.id('walk'), pg_temp.id('now'), 'what is said now');
select pg_temp.become('bob');
insert into chat.read_markers (chat_id, seq) select m.chat_id, m.seq from chat.messages m where m.id = pg_temp.id('now');

create function pg_temp.message(_id text, _sender text, _text text, _at text, _more jsonb default '{}') returns jsonb language sql as $$
  select jsonb_strip_nulls(jsonb_build_object('id', pg_temp.id(_id), 'senderId', pg_temp.id(_sender), 'text', _text, 'createdAt', _at) || _more)
$$;
create function pg_temp.imports(_chat text, variadic _messages jsonb[]) returns text language sql as $$
  select i.imported || ' imported, ' || i.already_there || ' there' from chat.import_messages(pg_temp.id(_chat), to_jsonb(_messages)) i
$$;

select pg_temp.refused($$select chat.import_messages(pg_temp.id('walk'), '[]')$$, '42501', 'imports.1', 'people import nothing');
select pg_temp.refused($$insert into chat.messages (chat_id, text, imported_at) values (pg_temp.id('walk'), 'x', now())$$, '42501', 'imports.1', '… and claim no import');
select pg_temp.become('service_role');
select pg_temp.refused($$insert into chat.messages (chat_id, text, imported_at) values (pg_temp.id('walk'), 'x', now())$$, '42501', 'imports.1', 'nor does the host, but by the function');
create temp table head as select max(m.rev) as rev from chat.messages m;
grant select on head to public;
select is(pg_temp.imports('walk',
    pg_temp.message('i2', 'zoe', 'second', '2020-01-02T00:00:00Z', jsonb_build_object('replyToId', pg_temp.id('i1'), 'editedAt', '2020-01-05T00:00:00Z')),
    pg_temp.message('i1', 'bob', 'first', '2020-01-01T00:00:00Z', jsonb_build_object('mentions', jsonb_build_array(pg_temp.id('zoe')))),
    pg_temp.message('i3', 'zoe', E'third\n e\u0301 👩‍👩‍👧 ', '2020-01-03T00:00:00.123456Z', jsonb_build_object('replyToId', pg_temp.id('i2'))),
    pg_temp.message('i4', null, 'zoe left', '2020-01-03T00:00:00.123456Z')),
  '4 imported, 0 there', 'imports.1: the host imports');
select is(pg_temp.imports('walk', pg_temp.message('i4', 'zoe', 'another text', '2020-01-03T00:00:00Z'), pg_temp.message('i5', 'bob', 'fifth', '2020-01-04T00:00:00Z'), pg_temp.message('i5', 'bob', 'again', '2020-01-04T00:00:00Z')),
  '1 imported, 2 there', 'imports.3: once');
select is((select array_agg(m.text order by m.seq) from chat.messages m where m.chat_id = pg_temp.id('walk')),
  array['what is said now', 'first', 'second', E'third\n e\u0301 👩‍👩‍👧 ', 'zoe left', 'fifth'], 'imports.1: after what is there, in the order of their times');
select is((select count(*) from chat.messages m, head h where m.rev > h.rev and m.seq = m.rev and m.imported_at is not null), 5::bigint, 'imports.1: each gets its rev');
select is((select count(distinct r.rev) from (select m.rev from chat.messages m where m.chat_id = pg_temp.id('walk') union all select p.rev from chat.participants p where p.chat_id = pg_temp.id('walk')) r),
  (select count(*) from (select m.rev from chat.messages m where m.chat_id = pg_temp.id('walk') union all select p.rev from chat.participants p where p.chat_id = pg_temp.id('walk')) r), 'imports.1: … of its own');
select is((select (m.sender_id, m.kind, m.created_at, m.edited_at, m.reply_to_id)::text from chat.messages m where m.id = pg_temp.id('i2')),
  (select (pg_temp.id('zoe'), 'user', '2020-01-02T00:00:00Z'::timestamptz, '2020-01-05T00:00:00Z'::timestamptz, pg_temp.id('i1'))::text), 'imports.1: they keep sender and times');
select is((select m.kind from chat.messages m where m.id = pg_temp.id('i4')), 'system', 'imports.1: without a sender it is the system''s');
select is((select count(*) from chat.participants p join chat.users u on u.id = p.user_id where p.chat_id = pg_temp.id('walk') and u.id = pg_temp.id('zoe') and p.left_at is not null), 1::bigint, 'imports.1: who is not known was in the chat');
select is((select count(*) from chat.participants p where p.chat_id = pg_temp.id('walk') and p.left_at is null), 3::bigint, 'imports.1: … and who is in it stays');
select is((select r.seq from chat.read_markers r where r.user_id = pg_temp.id('bob')), (select max(m.seq) from chat.messages m), 'imports.1: who had nothing to read has nothing to read');
select is((select count(*) from chat.read_markers r where r.user_id = pg_temp.id('carol')), 0::bigint, 'imports.1: … and who had keeps it');
select is((select count(*) from chat.import_messages(pg_temp.id('walk'), jsonb_build_array(pg_temp.message('i6', 'zoe', 'sixth', '2020-01-06T00:00:00Z')), false)), 1::bigint, 'imports.1: it may as well be news');
select cmp_ok((select r.seq from chat.read_markers r where r.user_id = pg_temp.id('bob')), '<', (select max(m.seq) from chat.messages m), 'imports.1: … to everyone');

-- what is refused, all of it
select pg_temp.refused($$select pg_temp.imports('gone', pg_temp.message('x', 'bob', 'x', '2020-01-01T00:00:00Z'))$$, 'PT404', 'chats.2', 'a chat that ended');
select pg_temp.refused($$select pg_temp.imports('walk', pg_temp.message('y', 'bob', 'x', '2020-01-01T00:00:00Z'), pg_temp.message('x', 'bob', 'x', '2999-01-01T00:00:00Z'))$$, 'PT422', 'imports.2', 'the future');
select pg_temp.refused($$select pg_temp.imports('walk', pg_temp.message('x', 'bob', 'x', '2020-01-01T00:00:00Z', '{"editedAt": "2999-01-01T00:00:00Z"}'))$$, 'PT422', 'imports.2', 'an edit of the future');
select pg_temp.refused($$select pg_temp.imports('walk', pg_temp.message('x', 'bob', 'x', null))$$, 'PT422', 'imports.2', 'no time');
select pg_temp.refused($$select pg_temp.imports('walk', pg_temp.message('x', 'bob', 'x', '-infinity'))$$, 'PT422', 'imports.2', 'a time before all times');
select pg_temp.refused($$select pg_temp.imports('walk', pg_temp.message('x', 'bob', 'x', '2020-01-01T00:00:00Z', '{"editedAt": "0044-03-15 BC"}'))$$, 'PT422', 'imports.2', 'nor one before our era');
select pg_temp.refused($$select pg_temp.imports('walk', pg_temp.message('x', 'bob', ' ', '2020-01-01T00:00:00Z'))$$, '23514', 'messages.7', 'a blank text');
select pg_temp.refused($$select pg_temp.imports('walk', pg_temp.message('x', 'bob', null, '2020-01-01T00:00:00Z'))$$, 'PT422', 'messages.7', 'no text');
select pg_temp.refused($$select pg_temp.imports('walk', pg_temp.message('x', 'bob', repeat('x', 65537), '2020-01-01T00:00:00Z'))$$, 'PT422', 'messages.8', 'more than any message has');
select pg_temp.refused($$select pg_temp.imports('walk', pg_temp.message('x', null, 'x', '2020-01-01T00:00:00Z', '{"kind": "user"}'))$$, '23514', 'messages.15', 'a user''s without a sender');
select pg_temp.refused($$select pg_temp.imports('walk', pg_temp.message('x', 'bob', 'x', '2020-01-01T00:00:00Z', '{"attachmentUrl": "file:x"}'))$$, '23514', 'messages.16', 'no link');
select pg_temp.refused($$select pg_temp.imports('walk', pg_temp.message('x', 'bob', 'x', '2020-01-01T00:00:00Z', jsonb_build_object('replyToId', pg_temp.id('nothing'))))$$, 'PT422', 'messages.9', 'an answer to nothing');
select is((select count(*) from chat.messages m where m.id in (pg_temp.id('x'), pg_temp.id('y'))), 0::bigint, 'imports.2: and nothing of it is there');
select is(pg_temp.imports('walk', pg_temp.message('long', 'bob', repeat('x', 20000), '2020-01-01T00:00:00Z')), '1 imported, 0 there', 'messages.8: what was said may be longer than what is said today');

-- afterwards it is like all others
select pg_temp.become('alice');
select pg_temp.does($$insert into chat.messages (chat_id, id, text) values (pg_temp.id('walk'), pg_temp.id('then'), 'what is said then')$$, 1, 'messages.2', 'the chat goes on');
select is((select m.seq from chat.messages m where m.id = pg_temp.id('then')), (select max(m.seq) from chat.messages m where m.chat_id = pg_temp.id('walk')), 'revs.2: above what was imported');
select pg_temp.does($$delete from chat.messages where id = pg_temp.id('i3')$$, 0, 'messages.5', 'an owner deletes what was imported');
select is((select m.rev > m.seq and m.deleted_at is not null from chat.messages m where m.id = pg_temp.id('i3')), true, 'revs.2: … which gets a rev of its own');
select pg_temp.become('chat_owner');
delete from chat.messages where id = pg_temp.id('i5');
select pg_temp.become('service_role');
select is(pg_temp.imports('walk', pg_temp.message('i5', 'bob', 'fifth', '2020-01-04T00:00:00Z')), '0 imported, 1 there', 'imports.3: what was deleted for good does not come back');
select pg_temp.become('bob');
select is((select array_agg(s.id) from chat.search('first') s), array[pg_temp.id('i1')], 'search.1: what was imported is found');
select is((select array_agg(s.text order by s.created_at desc) from chat.search('said') s), array['what is said then', 'what is said now'], 'search.1: … and so is what was said around it');

-- the door alone ---------------------------------------------------------------------------------------------------

select pg_temp.become('chat_owner');
select pg_temp.refused($$insert into chat.messages (chat_id, text, sender_id, seq, rev, imported_at) values (pg_temp.id('walk'), 'x', pg_temp.id('bob'), 1, 1, now())$$, 'PT409', 'revs.2', 'not even the owner puts a row below what has been told');

select * from finish();
rollback;

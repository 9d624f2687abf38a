-- What those who are here say of themselves in a chat: under the lease of presence, seen as presence is, told as what came and what ended.
begin isolation level read committed;
select plan(56);
set local client_min_messages = warning;

\ir people.psql

select pg_temp.become(w.who), chat.introduce_me() from unnest(array['alice', 'bob', 'carol', 'dora', 'mallory', 'adam']) w (who);
select pg_temp.become('adam');
select chat.create_room('square', 'public', null, pg_temp.id('square'));
select pg_temp.become('alice');
select chat.create_group('walk', array[pg_temp.id('bob'), pg_temp.id('carol'), pg_temp.id('dora')], pg_temp.id('walk'));
select pg_temp.become('carol');
insert into chat.blocks (blocked_id) values (pg_temp.id('alice'));

create function pg_temp.gathered(_sql text) returns text language plpgsql as $$
-- the hints that a statement gathers for the server, with chats by name
declare
  said text;
begin
  perform set_config('chat.hints_to', 'server', true), set_config('chat.hints', '', true);
  execute _sql;
  said := current_setting('chat.hints');
  perform set_config('chat.hints_to', 'nobody', true), set_config('chat.hints', '', true);
  said := replace(replace(said, pg_temp.id('walk')::text, 'walk'), pg_temp.id('square')::text, 'square');
  return (select coalesce(string_agg(distinct s.one, ' ' order by s.one), '') from string_to_table(said, ',') s (one) where s.one like 's%');
end
$$;
create function pg_temp.says(_process text, _ended text[], _said text[]) returns text language sql as $$
  -- who/where/what, known by the word
  select format('select chat.keep_states(%L, %L, %L, %L, %L, %L, array[%s]::json[])', pg_temp.id(_process),
                array(select pg_temp.id(e) from unnest(_ended) e), array_agg(pg_temp.id(split_part(s, '/', 3))),
                array_agg(pg_temp.id(split_part(s, '/', 2))), array_agg(pg_temp.id(split_part(s, '/', 1))),
                array_agg(split_part(s, '/', 1)), coalesce(string_agg(format('%L', to_json(split_part(s, '/', 3))), ','), ''))
  from unnest(_said) s
$$;
create function pg_temp.seen() returns text language sql as
  $$ select 'select state from chat.presence_states where chat_id = pg_temp.id(''walk'')' $$;
create function pg_temp.told() returns text language sql as $$
  select $q$select t.state #>> '{}' || case when t.is_living then '' else ' ended' end
              || case when t.hidden_from = array[pg_temp.id('alice')] then ' not for alice' when t.hidden_from = array[pg_temp.id('carol')] then ' not for carol' else '' end
            from chat.states_told(array[pg_temp.id('walk')], '{}', '{}') t where t.id is not null$q$
$$;
select set_config('chat.hints_to', 'nobody', true);

-- kept

select pg_temp.become('chat_relay');
select pg_temp.sees(pg_temp.says('one', '{}', '{alice/walk/hello}'), 'false', 'presence.3', 'a process without a lease says nothing of anybody');
select chat.keep_presence(pg_temp.id('one'), '{}', '{}', true), chat.keep_presence(pg_temp.id('two'), '{}', '{}', true);
select is(pg_temp.gathered(pg_temp.says('one', '{}', '{alice/walk/hello,bob/walk/reads}')), 'swalk', 'presence.3: what somebody says of themselves is hinted at, by the chat');
select is(pg_temp.gathered(pg_temp.says('two', '{}', '{carol/walk/waves}')), 'swalk', 'presence.3: through another process as well');
select is(pg_temp.gathered(pg_temp.says('one', '{}', '{}')), '', 'presence.3: nothing is no news');
select pg_temp.sees(pg_temp.says('one', '{}', '{mallory/walk/sneaks,mallory/square/strolls,bob/nowhere/is}'), 'true', 'presence.3', 'who is not in a chat');
select pg_temp.become('chat_owner');
select pg_temp.sees('select user_id = any (array[pg_temp.id(''alice''), pg_temp.id(''bob''), pg_temp.id(''carol'')]) from chat.presence_states', 'true, true, true', 'presence.3', '… says nothing there');
select pg_temp.become('chat_relay');
select pg_temp.refused('select 1 from chat.presence_states', '42501', 'presence.1', 'the relay reads no rows of it');
select pg_temp.refused(format('select chat_private.keep_states(%L, ''{}'', ''{}'', ''{}'', ''{}'', ''{}'', ''{}'')', pg_temp.id('one')), '42501', 'presence.3', 'and goes through the door alone');

-- seen

select pg_temp.become('bob');
select pg_temp.sees(pg_temp.seen(), '"hello", "reads", "waves"', 'presence.1', 'who is in a chat sees what people say of themselves');
select pg_temp.refused('select process_id from chat.presence_states', '42501', 'presence.1', 'but not through which process');
select pg_temp.refused(format('insert into chat.presence_states (process_id, id, chat_id, user_id, key, state) values (%L, %L, %L, %L, ''k'', ''1'')', pg_temp.id('one'), pg_temp.id('x'), pg_temp.id('walk'), pg_temp.id('bob')), '42501', 'presence.3', 'nobody writes it down');
select pg_temp.refused('update chat.presence_states set state = ''1''', '42501', 'presence.3', 'nor changes it');
select pg_temp.refused('delete from chat.presence_states', '42501', 'presence.3', 'nor ends it');
select pg_temp.refused(pg_temp.says('one', '{}', '{bob/walk/lies}'), '42501', 'presence.3', 'nor through the relay''s door');
select pg_temp.refused('select chat.forget_states()', '42501', 'presence.3', 'and has nothing forgotten');
select pg_temp.refused('select chat.states_marks()', '42501', 'presence.1', 'what the relay is told is for the relay');
select pg_temp.refused(pg_temp.told(), '42501', 'presence.1', 'all of it');
select pg_temp.become('alice');
select pg_temp.sees(pg_temp.seen(), '"hello", "reads"', 'presence.1', 'a block hides what who blocked says');
select pg_temp.become('carol');
select pg_temp.sees(pg_temp.seen(), '"reads", "waves"', 'presence.1', 'and what who is blocked says');
select pg_temp.become('mallory');
select pg_temp.sees(pg_temp.seen(), 'nothing', 'presence.1', 'a stranger sees nothing');
select pg_temp.become('anon');
select pg_temp.sees(pg_temp.seen(), 'nothing', 'presence.1', 'nor does anon');
select pg_temp.become('service_role');
select pg_temp.sees('select count(*) from chat.presence_states', '3', 'staff.2', 'the service role sees all of it');
select pg_temp.refused('delete from chat.presence_states', '42501', 'staff.2', 'and writes none');
select pg_temp.become('chat_auditor');
select pg_temp.sees('select count(*) from chat.presence_states', '3', 'staff.2', 'auditors see the rows');
select pg_temp.refused('delete from chat.presence_states', '42501', 'staff.2', 'and write none');

-- told

select pg_temp.become('chat_relay');
select pg_temp.sees(pg_temp.told(), 'hello not for carol, reads, waves not for alice', 'presence.1', 'the relay is told what there is, and from whom it is hidden');
select pg_temp.sees($$select t.standing_rev = (select max(p.rev) from chat.participants p where p.chat_id = pg_temp.id('walk')) and t.mark is not null
    from chat.states_told(array[pg_temp.id('walk')], '{}', '{}') t where t.id is null$$, 'true', 'presence.1', 'and as of when');
select pg_temp.sees($$select coalesce(t.state #>> '{}', 'as known') from chat.states_told(array[pg_temp.id('walk')], array[pg_temp.id('hello')], '{}') t where t.id is not null$$,
  'as known, reads, waves', 'presence.1', 'what it knows comes without what it says');
select pg_temp.sees($$select t.mark is null from chat.states_told(array[pg_temp.id('square')], '{}', '{}') t$$, 'true', 'presence.1', 'of a chat where nobody says anything it is told that');
create temporary table marks as select m.mark from chat.states_marks() m;
select is(pg_temp.gathered(pg_temp.says('one', '{hello}', '{alice/walk/bye}')), 'swalk', 'presence.3: who says something else ends what they said');
select pg_temp.sees(pg_temp.told(), 'bye not for carol, hello ended not for carol, reads, waves not for alice', 'presence.3', 'and what ended is told for a while');
select pg_temp.sees($$select t.id from chat.states_told(array[pg_temp.id('walk')], '{}', array[pg_temp.id('hello')]) t where t.id = pg_temp.id('hello')$$, 'nothing', 'presence.3', 'but not again');
select isnt((select m.mark from chat.states_marks() m), (select m.mark from marks m), 'presence.3: by its mark one sees that the chat has other states');
select is(pg_temp.gathered(pg_temp.says('one', '{hello}', '{}')), '', 'presence.3: what has ended does not end again');
select is(pg_temp.gathered(pg_temp.says('two', '{bye}', '{}')), '', 'presence.3: nor by a process that did not say it');
select pg_temp.become('alice');
select pg_temp.sees(pg_temp.seen(), '"bye", "reads"', 'presence.1', 'what ended is seen by nobody');

-- a block that comes or goes, and who leaves

select is(pg_temp.gathered($$insert into chat.blocks (blocked_id) values (pg_temp.id('bob'))$$), 'swalk', 'presence.1: a block is hinted at where the two say something of themselves');
select pg_temp.sees(pg_temp.seen(), '"bye"', 'presence.1', 'and hides at once');
select is(pg_temp.gathered($$delete from chat.blocks where blocked_id = pg_temp.id('bob')$$), 'swalk', 'presence.1: and so is its end');
select is(pg_temp.gathered($$insert into chat.blocks (blocked_id) values (pg_temp.id('mallory'))$$), '', 'presence.1: but not of two who share no such chat');
select pg_temp.become('bob');
select is(pg_temp.gathered($$update chat.participants set left_at = clock_timestamp() where chat_id = pg_temp.id('walk') and user_id = pg_temp.id('bob')$$), 'swalk', 'presence.3: who leaves says nothing there any more');
select pg_temp.become('chat_relay');
select pg_temp.sees(pg_temp.told(), 'bye not for carol, hello ended not for carol, reads ended, waves not for alice', 'presence.3', 'which is told');
select pg_temp.become('dora');
select is(pg_temp.gathered($$update chat.participants set left_at = clock_timestamp() where chat_id = pg_temp.id('walk') and user_id = pg_temp.id('dora')$$), '', 'presence.3: who said nothing is no news');
select pg_temp.become('chat_owner');
insert into chat.presence_states (process_id, id, chat_id, user_id, key, state) values (pg_temp.id('one'), pg_temp.id('late'), pg_temp.id('walk'), pg_temp.id('bob'), 'k', '1');
select pg_temp.become('chat_relay');
select is(pg_temp.gathered('select chat.forget_states()'), 'swalk', 'presence.3: what was written down in the moment in which somebody left ends as well');
select pg_temp.become('chat_owner');
update chat.presence_states set ended_at = clock_timestamp() - interval '31 seconds' where id = pg_temp.id('hello');
select pg_temp.become('chat_relay');
select pg_temp.sees('select chat.forget_states()', 'false', 'presence.3', 'what ended long ago is forgotten');
select pg_temp.become('chat_owner');
select pg_temp.sees('select count(*) filter (where id = pg_temp.id(''hello'')) || '' of '' || count(*) from chat.presence_states', '0 of 4', 'presence.3', 'and nothing else');

-- the lease

update chat_private.leases set renewed_at = clock_timestamp() - interval '11 seconds' where process_id = pg_temp.id('two');
select pg_temp.become('alice');
select pg_temp.sees(pg_temp.seen(), '"bye"', 'presence.1', 'what a process said that nobody hears of any more counts for nothing');
select pg_temp.become('chat_relay');
select pg_temp.sees($$select t.is_living from chat.states_told(array[pg_temp.id('walk')], '{}', '{}') t where t.id = pg_temp.id('waves')$$, 'false', 'presence.1', 'and is told to have ended');
select chat.keep_presence(pg_temp.id('one'), '{}', '{}', false);
select pg_temp.become('chat_owner');
select pg_temp.sees('select count(*) from chat.presence_states where process_id = pg_temp.id(''two'')', '0', 'presence.3', 'whoever renews next sweeps it away');

-- bounds

select pg_temp.become('chat_relay');
select pg_temp.sees(format('select chat.keep_states(%L, ''{}'', %L, %L, %L, %L, array[%L, %L, ''1'']::json[])', pg_temp.id('one'),
    array[pg_temp.id('long'), pg_temp.id('unnamed'), pg_temp.id('short')], array[pg_temp.id('walk'), pg_temp.id('walk'), pg_temp.id('walk')],
    array[pg_temp.id('carol'), pg_temp.id('carol'), pg_temp.id('carol')], array['k', '', 'k'], to_json(repeat('x', 8191)), '1'),
  'true', 'presence.4', 'what is too long keeps nothing else from being said');
select pg_temp.become('chat_owner');
select pg_temp.sees('select id = pg_temp.id(''short'') from chat.presence_states where user_id = pg_temp.id(''carol'')', 'true', 'presence.4', 'but is not said');
select pg_temp.refused(format('insert into chat.presence_states (process_id, id, chat_id, user_id, key, state) values (%L, %L, %L, %L, ''k'', %L)', pg_temp.id('one'), pg_temp.id('x'), pg_temp.id('walk'), pg_temp.id('carol'), to_json(repeat('x', 8191))), '23514', 'presence.4', 'by whomever');
select pg_temp.become('chat_relay');
select pg_temp.sees(pg_temp.says('one', '{}', (select array_agg('carol/walk/' || n) from generate_series(1, 30) n)), 'true', 'presence.5', 'of thirty things');
select pg_temp.become('chat_owner');
select pg_temp.sees('select count(*) from chat.presence_states where user_id = pg_temp.id(''carol'') and ended_at is null', '20', 'presence.5', '… twenty are said, with what was said before');
insert into chat.presence_states (process_id, id, chat_id, user_id, key, state) select pg_temp.id('one'), pg_temp.id('a' || n), pg_temp.id('walk'), pg_temp.id('dora'), 'k', '1' from generate_series(1, 978) n;
select pg_temp.become('chat_relay');
select pg_temp.sees(pg_temp.says('one', '{}', '{alice/walk/first,alice/walk/second}'), 'true', 'presence.5', 'of two things where 999 are said');
select pg_temp.become('chat_owner');
select pg_temp.sees($$select id = pg_temp.id('first') from chat.presence_states where id in (pg_temp.id('first'), pg_temp.id('second'))$$, 'true', 'presence.5', '… one is said');

select * from finish();
rollback;

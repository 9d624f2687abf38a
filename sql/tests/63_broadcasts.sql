-- Broadcasts: said by who may write, told to the relay alone, kept for half a minute and by no disk.
begin isolation level read committed;
select plan(37);
set local client_min_messages = warning;

\ir people.psql

select pg_temp.become(w.who), chat.introduce_me() from unnest(array['alice', 'bob', 'mallory', 'adam']) w (who);
select pg_temp.become('adam');
select chat.create_room('square', 'public', null, pg_temp.id('square'));
select pg_temp.become('alice');
select chat.create_group('walk', array[pg_temp.id('bob')], pg_temp.id('walk'));
insert into chat.friendships (addressee_id) values (pg_temp.id('bob'));
select pg_temp.become('bob');
update chat.friendships set accepted_at = clock_timestamp();
select chat.open_direct(pg_temp.id('alice'));

create function pg_temp.says(_chat text, _content text default 'null', _event text default 'cursor') returns text language sql as
  $$ select format('select chat.broadcast(%L, %L, %s)', pg_temp.id(_chat), _event, _content) $$;
create function pg_temp.gathered(_sql text) returns text language plpgsql as $$
declare
  said text;
  id bigint;
begin
  perform set_config('chat.hints_to', 'server', true), set_config('chat.hints', '', true);
  execute _sql into id;
  said := replace(replace(current_setting('chat.hints'), pg_temp.id('walk')::text, 'walk'), '.' || id, '.its id');
  perform set_config('chat.hints_to', 'nobody', true), set_config('chat.hints', '', true);
  return said;
end
$$;
create function pg_temp.wal_of(_sql text) returns bigint language plpgsql as $$
-- the records of the write-ahead log that a statement makes
declare
  plan json;
begin
  execute 'explain (analyze, wal, format json) ' || _sql into plan;
  return plan -> 0 -> 'Plan' ->> 'WAL Records';
end
$$;
create function pg_temp.told(_columns text) returns text language sql as $$
  select format('select %s from chat.broadcasts_told(array(select g from generate_series(1, 100) g)) t', _columns)
$$;
select set_config('chat.hints_to', 'nobody', true);

-- said

select pg_temp.become('bob');
select is(pg_temp.gathered(pg_temp.says('walk', $$'{"b": 1, "a": "\u0000"}'$$)), 'wwalk.its id', 'broadcasts.1: who may write in a chat broadcasts, and it is hinted at');
select pg_temp.does(pg_temp.says('walk', $$null, '\x00ff'$$, 'ink'), 1, 'broadcasts.1', 'bytes as well');
select pg_temp.does(format('select chat.broadcast(%L, ''bare'')', pg_temp.id('walk')), 1, 'broadcasts.1', 'or nothing but a name');
select is(pg_temp.wal_of(pg_temp.says('walk', $$'"quick"'$$)), 0::bigint, 'broadcasts.1: and no log is written of it');
select pg_temp.refused(pg_temp.says('walk', 'null', ''), '23514', 'broadcasts.2', 'not without a name');
select pg_temp.refused(pg_temp.says('walk', 'null', repeat('x', 256)), '23514', 'broadcasts.2', 'nor by too long a one');
select is(pg_temp.outcome(pg_temp.says('walk', 'null', repeat('é', 127) || 'x'), false), '1 rows', 'broadcasts.2: of letters that are two bytes each as many as this');
select pg_temp.refused(pg_temp.says('walk', 'null', repeat('é', 128)), '23514', 'broadcasts.2', 'and no more');
select pg_temp.does(pg_temp.says('walk', format('%L', to_json(repeat('x', 262142)))), 1, 'broadcasts.3', 'as much as this');
select pg_temp.refused(pg_temp.says('walk', format('%L', to_json(repeat('x', 262143)))), '23514', 'broadcasts.3', 'and no more');
select pg_temp.refused(pg_temp.says('walk', $$null, decode(repeat('00', 262145), 'hex')$$), '23514', 'broadcasts.3', 'of bytes either');
select pg_temp.refused(pg_temp.says('walk', $$'1', '\x00'$$), '23514', 'broadcasts.4', 'not both at once');
select pg_temp.become('service_role');
select pg_temp.does(pg_temp.says('walk', $$'"by the host"'$$), 1, 'broadcasts.1', 'the host application broadcasts');
select pg_temp.refused(pg_temp.says('nowhere'), 'PT404', 'chats.2', 'but to no chat that is not there');
select pg_temp.become('mallory');
select pg_temp.refused(pg_temp.says('walk'), 'PT403', 'broadcasts.1', 'a stranger does not');
select pg_temp.refused(pg_temp.says('square'), 'PT403', 'broadcasts.1', 'nor does a visitor of a public room');
select pg_temp.refused(pg_temp.says('nowhere'), 'PT404', 'chats.2', 'nobody broadcasts where there is no chat');
select pg_temp.become('anon');
select pg_temp.refused(pg_temp.says('square'), '42501', 'broadcasts.1', 'nor does anon');
select pg_temp.become('alice');
update chat.chats set read_only = true where id = pg_temp.id('walk');
insert into chat.blocks (blocked_id) values (pg_temp.id('bob'));
select pg_temp.become('bob');
select pg_temp.refused(pg_temp.says('walk'), 'PT403', 'messages.18', 'nor a member in a read-only chat');
select pg_temp.refused(format('select chat.broadcast(%L, ''cursor'')', (select c.id from chat.chats c where c.type = 'direct')), 'PT403', 'direct.2', 'nor who is blocked, to who blocked them');

-- told

select pg_temp.refused(pg_temp.told('1'), '42501', 'broadcasts.5', 'nobody reads what the relay is told');
select pg_temp.refused('select 1 from chat_private.broadcasts', '42501', 'broadcasts.5', 'nor the table');
select pg_temp.refused('select chat.forget_broadcasts()', '42501', 'broadcasts.5', 'nor forgets it');
select pg_temp.become('service_role');
select pg_temp.refused(pg_temp.told('1'), '42501', 'broadcasts.5', 'not the host application either');
select pg_temp.become('chat_relay');
select pg_temp.sees(pg_temp.told('t.event'), 'bare, cursor, cursor, cursor, cursor, ink', 'broadcasts.5', 'the relay is told all of it');
select pg_temp.sees(pg_temp.told($$case when t.user_id = pg_temp.id('bob') then 'bob' else coalesce(t.user_id::text, 'the host') end$$), 'bob, bob, bob, bob, bob, the host', 'broadcasts.5', 'and whose it is');
select is((select t.payload from chat.broadcasts_told(array(select g from generate_series(1, 100) g)) t limit 1), '{"b": 1, "a": "\u0000"}', 'broadcasts.5: as it was said');
select is((select array_agg(t.id) from chat.broadcasts_told(array(select g from generate_series(100, 1, -1) g)) t), (select array_agg(t.id order by t.id) from chat.broadcasts_told(array(select g from generate_series(1, 100) g)) t), 'broadcasts.5: in the order in which it was said');
select pg_temp.sees(pg_temp.told('distinct t.standing_rev = (select max(p.rev) from chat.participants p where p.chat_id = t.chat_id)'), 'true', 'broadcasts.5', 'and as of when');
select pg_temp.become('chat_owner');
insert into chat.participants (chat_id, user_id) values (pg_temp.id('walk'), pg_temp.id('mallory'));
delete from chat.participants where chat_id = pg_temp.id('walk') and user_id = pg_temp.id('mallory');
select set_config('test.rev', (select max(t.rev)::text from chat.tombstones t where t.chat_id = pg_temp.id('walk')), true);
select pg_temp.become('chat_relay');
select is((select max(t.standing_rev) from chat.broadcasts_told(array(select g from generate_series(1, 100) g)) t), current_setting('test.rev')::bigint, 'broadcasts.5: also of who was removed for good');
select pg_temp.sees('select 1 from chat.broadcasts_told(array[0, 1000000])', 'nothing', 'broadcasts.5', 'of what is not there nothing');
select pg_temp.become('bob');
select pg_temp.become('service_role');
select pg_temp.does(format('select chat.broadcast(%L, ''much'', to_json(repeat(''x'', 262000))) from generate_series(1, 20)', pg_temp.id('walk')), 20, 'broadcasts.3', 'there may be much at once');
select pg_temp.become('chat_relay');
select is((select count(*) filter (where t.is_left) || ' of ' || count(*) from chat.broadcasts_told(array(select g from generate_series(1, 100) g)) t where t.event = 'much'), '17 of 20', 'broadcasts.5: what is too much for one answer is left');
select pg_temp.sees(pg_temp.told('distinct t.payload is null') || ' where t.is_left', 'true', 'broadcasts.5', 'and comes without what it says');

-- forgotten

select pg_temp.become('chat_owner');
update chat_private.broadcasts set told_at = clock_timestamp() - interval '31 seconds' where event <> 'much';
select pg_temp.become('chat_relay');
select pg_temp.sees(pg_temp.told('distinct t.event'), 'much', 'broadcasts.5', 'what is older than half a minute is not told');
select pg_temp.sees('select chat.forget_broadcasts()', 'false', 'broadcasts.5', 'and forgotten');
select pg_temp.become('chat_owner');
select pg_temp.sees('select count(*) from chat_private.broadcasts', '20', 'broadcasts.5', 'and nothing else is');

select * from finish();
rollback;

-- A small history for the questions of sql/audit, by a superuser: the sessions of others are taken on, as are their claims.
\set ON_ERROR_STOP on
set timezone = 'UTC';
create function pg_temp.asks(_who text, _session text, _request integer) returns void language sql as $$
  -- as the server does: who asks, from which session, by which request
  select set_config('role', 'authenticated', true),
         set_config('request.jwt.claims', json_build_object('sub', case _who
           when 'alice' then 'a11ce000-0000-4000-8000-000000000000'
           when 'bob' then 'b0b00000-0000-4000-8000-000000000000'
           when 'carol' then 'ca401000-0000-4000-8000-000000000000' end, 'name', initcap(_who), 'session_id', _session)::text, true),
         set_config('chat.request_id', '0192d3a4-0000-7000-8000-' || lpad(_request::text, 12, '0'), true)
$$;
set session authorization chat_api;
set application_name = 'tabletalk';

-- what is old: carol came and was removed days ago
begin;
select pg_temp.asks('bob', null, 1);
select chat.introduce_me();
select pg_temp.asks('carol', null, 2);
select chat.introduce_me();
select pg_temp.asks('alice', 'desk', 3);
select chat.introduce_me();
select chat.create_room('the room', 'private', null, 'c4a70000-0000-4000-8000-000000000000');
insert into chat.participants (chat_id, user_id) values ('c4a70000-0000-4000-8000-000000000000', 'ca401000-0000-4000-8000-000000000000');
update chat.participants set left_at = now() where user_id = 'ca401000-0000-4000-8000-000000000000';
commit;
reset session authorization;
set session_replication_role = replica;
update chat.audit_log set at = at - interval '3 days';
update chat.participants set joined_at = joined_at - interval '3 days', left_at = left_at - interval '3 days';
set session_replication_role = origin;
set session authorization chat_api;

-- today
begin;
select pg_temp.asks('alice', 'phone', 4);
insert into chat.participants (chat_id, user_id, role) values ('c4a70000-0000-4000-8000-000000000000', 'b0b00000-0000-4000-8000-000000000000', 'moderator');
commit;
begin;
select pg_temp.asks('alice', 'phone', 5);
insert into chat.messages (chat_id, id, text) values ('c4a70000-0000-4000-8000-000000000000', 'e5500000-0000-4000-8000-000000000001', 'shall we met?');
commit;
begin;
select pg_temp.asks('alice', 'phone', 6);
update chat.messages set text = 'shall we meet?' where id = 'e5500000-0000-4000-8000-000000000001';
commit;
begin;
select pg_temp.asks('bob', null, 7);
insert into chat.reactions (chat_id, message_id, emoji) values ('c4a70000-0000-4000-8000-000000000000', 'e5500000-0000-4000-8000-000000000001', '+1');
insert into chat.messages (chat_id, id, text) values ('c4a70000-0000-4000-8000-000000000000', 'e5500000-0000-4000-8000-000000000002', 'no');
commit;
begin;
select pg_temp.asks('bob', null, 8);
update chat.messages set pinned_at = now() where id = 'e5500000-0000-4000-8000-000000000001';
select chat.delete_message('c4a70000-0000-4000-8000-000000000000', 'e5500000-0000-4000-8000-000000000002');
commit;
begin;
select pg_temp.asks('alice', 'phone', 9);
update chat.participants set role = 'member' where user_id = 'b0b00000-0000-4000-8000-000000000000';
update chat.participants set left_at = now() where user_id = 'b0b00000-0000-4000-8000-000000000000';
commit;

-- somebody with another login types alice's claims, and a request id
set session authorization installer;
set application_name = 'psql';
begin;
set local role chat_owner;
select set_config('request.jwt.claims', '{"sub": "a11ce000-0000-4000-8000-000000000000"}', true),
       set_config('chat.request_id', '0192d3a4-0000-7000-8000-000000000010', true);
update chat.messages set text = 'shall we never meet?' where id = 'e5500000-0000-4000-8000-000000000001';
delete from chat.messages where id = 'e5500000-0000-4000-8000-000000000001';
commit;

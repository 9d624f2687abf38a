-- What a hostile person tries with plain SQL: nothing of it may run as, read as or write as somebody else.
begin isolation level read committed;
select plan(25);
set local client_min_messages = warning;

\ir people.psql

select pg_temp.become(w.who), chat.introduce_me() from unnest(array['alice', 'bob', 'mallory']) w (who);
select pg_temp.become('alice');
select chat.create_group('walk', array[pg_temp.id('bob')], pg_temp.id('walk'));
insert into chat.messages (chat_id, id, text) values (pg_temp.id('walk'), pg_temp.id('a1'), 'hello');

-- blindly: without a WHERE an update asks no SELECT policy, so the UPDATE policy alone must keep her out ----------

select pg_temp.become('mallory');
select pg_temp.does($$update chat.chats set name = 'x'$$, 0, 'chats.5', 'a blind update reaches no chat of others');
select pg_temp.does($$update chat.participants set role = 'member'$$, 0, 'participants.5', 'nor their participants');
select pg_temp.does($$update chat.messages set text = 'x'$$, 0, 'messages.3', 'nor their messages');
select pg_temp.does('delete from chat.messages', 0, 'messages.5', 'nor does a blind delete');
select pg_temp.does($$update chat.read_markers set seq = 1$$, 0, 'reads.2', 'nor their read markers');
select pg_temp.does($$update chat.friendships set accepted_at = now()$$, 0, 'friends.3', 'nor their friendships');
select pg_temp.does($$update chat.users set display_name = 'Mal'$$, 1, 'users.2', 'it reaches her own profile and no other');

-- private things cannot be named -----------------------------------------------------------------------------

select pg_temp.become('mallory');
select pg_temp.refused($$select chat_private.lock_chat(pg_temp.id('walk'))$$, '42501', 'chats.1', 'private functions are not called');
select pg_temp.refused($$select chat_private.delete_message(pg_temp.id('walk'), pg_temp.id('a1'))$$, '42501', 'messages.5', 'not even those behind a door');
select pg_temp.refused($$create temp table names (like chat_private.my_memberships)$$, '42501', 'participants.1', 'private views are not copied');
select pg_temp.refused($$select query_to_xml('select text from chat_private.my_memberships', true, true, '')$$, '42501', 'chats.1', 'nor read through a query of a query');
select pg_temp.refused($$select table_to_xml(c.oid, true, true, '') from pg_class c where c.relname = 'my_memberships' and c.relkind = 'v'$$, '42501', 'participants.1', 'nor by their oid');
create temp table bait (chat_id uuid, id uuid, seq bigint, rev bigint, sender_id uuid, text text);
select pg_temp.refused('create trigger t before insert on bait for each row execute function chat_private.stamp_message()', '42501', 'revs.2', 'private trigger functions are not hung on a table of one''s own');
select pg_temp.refused('create view pg_temp.v as select * from chat_private.my_memberships', '42501', 'participants.1', 'nor private views into a view of one''s own');
select pg_temp.refused('create function chat.uid(integer) returns uuid language sql as ''select null::uuid''', '42501', 'users.2', 'nobody makes functions in schema chat');
select pg_temp.refused('create table chat.mine (id integer)', '42501', 'users.2', 'nor tables');
select pg_temp.refused('alter table chat.messages disable row level security', '42501', 'messages.1', 'nor switches policies off');
select pg_temp.refused('alter table chat.messages disable trigger all', '42501', 'messages.3', 'or triggers');
select pg_temp.refused('set session_replication_role = replica', '42501', 'messages.3', 'not by way of replication either');
select pg_temp.refused('truncate chat.messages', '42501', 'messages.5', 'or empties a table');
select set_config('row_security', 'off', true);
select is(pg_temp.outcome('select text from chat.messages', false), '42501', 'messages.1: row_security = off is refused, not obeyed');
select is(pg_temp.outcome($$insert into chat.messages (chat_id, text) values (pg_temp.id('walk'), 'x')$$, false), '42501', 'messages.2: … for writing as well');
select set_config('row_security', 'on', true);

-- a view of one's own reads as oneself
create view pg_temp.all_messages as select text from chat.messages;
grant select on pg_temp.all_messages to public;
select pg_temp.sees('select text from pg_temp.all_messages', 'nothing', 'messages.1', 'a view of hers reads as she does');
select pg_temp.become('alice');
select pg_temp.sees('select text from pg_temp.all_messages', 'hello', 'messages.1', '… and when alice looks through it, as alice');

-- a function of hers that is run by alice's session runs as alice; one that the database runs must not run as its owner
select pg_temp.become('mallory');
create function pg_temp.who_runs(_value anyelement) returns boolean language plpgsql as $$
begin
  perform set_config('test.ran_as', coalesce(current_setting('test.ran_as', true) || ' ', '') || current_user, true);
  return true;
end
$$;
create domain pg_temp.uuid as pg_catalog.uuid check (pg_temp.who_runs(value));
create domain pg_temp.text as pg_catalog.text check (pg_temp.who_runs(value));
create domain pg_temp.jsonb as pg_catalog.jsonb check (pg_temp.who_runs(value));
create domain pg_temp.timestamptz as pg_catalog.timestamptz check (pg_temp.who_runs(value));
create temp table settings as select s.only_row, interval '1 year' as edit_window, 1 as text_max from chat.settings s;
-- each function is compiled at its first call, and again when the types it leans on have changed
discard plans;
select chat.introduce_me();
select chat.create_group('mine', array[pg_temp.id('bob')], pg_temp.id('mine'));
select chat.create_room('hers', 'unlisted', null, pg_temp.id('hers'));
insert into chat.messages (chat_id, id, text) values (pg_temp.id('mine'), pg_temp.id('m1'), 'hi');
update chat.messages set text = 'hi there' where id = pg_temp.id('m1');
select chat.delete_message(pg_temp.id('mine'), pg_temp.id('m1'));
insert into chat.read_markers (chat_id, seq) values (pg_temp.id('mine'), 1);
insert into chat.friendships (addressee_id) values (pg_temp.id('alice'));
insert into chat.blocks (blocked_id) values (pg_temp.id('alice'));
update chat.participants set role = 'owner' where chat_id = pg_temp.id('mine') and user_id = pg_temp.id('bob');
select pg_temp.outcome($$select chat.open_direct(pg_temp.id('bob'))$$, false), pg_temp.outcome($$select chat.join_room('x')$$, false), pg_temp.outcome($$select chat.expect_reader(pg_temp.id('walk'))$$, false);
select chat.delete_chat(pg_temp.id('mine'));
select ok(coalesce(current_setting('test.ran_as', true), '') !~ 'chat_owner', 'users.2: a type of hers named like one of Postgres'' never has its check run as the owner');
drop domain pg_temp.uuid cascade;
drop domain pg_temp.text cascade;
drop domain pg_temp.jsonb cascade;
drop domain pg_temp.timestamptz cascade;

select * from finish();
rollback;

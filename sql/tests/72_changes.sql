-- Changes: told to who reads a chat, as keys whose rows they read themselves.
begin isolation level read committed;
select plan(24);
set local client_min_messages = warning;

\ir people.psql

select pg_temp.become(w.who), chat.introduce_me() from unnest(array['alice', 'bob', 'carol', 'mallory', 'adam']) w (who);
select pg_temp.become('adam');
select chat.create_room('square', 'public', null, pg_temp.id('square'));
insert into chat.messages (chat_id, id, text) values (pg_temp.id('square'), pg_temp.id('s1'), 'welcome');
select pg_temp.become('alice');
select chat.create_group('walk', array[pg_temp.id('bob'), pg_temp.id('carol')], pg_temp.id('walk'));
insert into chat.messages (chat_id, id, text) values (pg_temp.id('walk'), pg_temp.id('a1'), 'hello'), (pg_temp.id('walk'), pg_temp.id('a2'), 'oops');
select chat.delete_message(pg_temp.id('walk'), pg_temp.id('a2'));

-- one chat -----------------------------------------------------------------------------------------------------

select pg_temp.become('bob');
select results_eq($$select rev, what, is_new from chat.changes(pg_temp.id('walk'), 4)$$,
  $$values (7::bigint, 'head', false), (5::bigint, 'message', true), (6::bigint, 'message', true)$$, 'changes.1: a member is told the head, and the keys of what is new since');
select results_eq($$select rev, what, is_new from chat.changes(pg_temp.id('walk'), 6)$$,
  $$values (7::bigint, 'head', false), (7::bigint, 'message', false)$$, 'changes.1: … and of what was changed');
select pg_temp.sees($$select count(*) from chat.changes(pg_temp.id('walk'), 6) c join chat.messages m on m.chat_id = c.chat_id and m.id = c.row_id$$, '0', 'changes.1', 'what is deleted is a key without a row');
select pg_temp.sees($$select what || ' ' || rev from chat.changes(pg_temp.id('walk'), 8)$$, 'reset 7', 'changes.1', 'a rev that has not come yet is of another time');
select pg_temp.sees($$select what || ' ' || rev from chat.changes(pg_temp.id('walk'), 4, 1)$$, 'head 7, message 5', 'changes.1', 'no more keys than asked for');
select pg_temp.become('mallory');
select pg_temp.refused($$select chat.changes(pg_temp.id('walk'), 0)$$, 'PT403', 'chats.1', 'a stranger is told nothing');
select pg_temp.refused($$select chat.changes(pg_temp.id('nothing'), 0)$$, 'PT404', 'chats.2', 'nor is anybody of a chat that does not exist');
select pg_temp.sees($$select count(*) from chat.changes(pg_temp.id('square'), 0) where what = 'message'$$, '1', 'changes.1', 'who reads a public room is told of it');
select pg_temp.refused($$select chat_private.changed(pg_temp.id('walk'), 0, 0, 10)$$, '42501', 'changes.1', 'nobody asks behind the door');
select pg_temp.become('anon');
select pg_temp.refused($$select chat.changes(pg_temp.id('square'), 0)$$, 'PT403', 'chats.1', 'anon is told when the settings say so');
select pg_temp.become('service_role');
select pg_temp.sees($$select count(*) from chat.changes(pg_temp.id('walk'), 0) c join chat.messages m on m.chat_id = c.chat_id and m.id = c.row_id$$, '2', 'staff.2', 'the host sees what is deleted as well');

-- all of one's chats -------------------------------------------------------------------------------------------
-- One transaction sees its own changes as not yet there, so a position from here on knows of none of them.

select pg_temp.become('bob');
select pg_temp.sees($$select what || ' ' || (chat_id is not distinct from pg_temp.id('walk')) from chat.sync()$$, 'end false, entered true', 'changes.1', 'from the start every chat is entered');
select pg_temp.become('mallory');
select pg_temp.sees($$select what from chat.sync()$$, 'end', 'changes.1', 'who is in none enters none');
select pg_temp.sees($$select what from chat.sync('0123456789abcdef', '1:1:')$$, 'end, reset', 'changes.1', 'a position of another life starts afresh');
select pg_temp.become('anon');
select pg_temp.refused($$select chat.sync()$$, '42501', 'changes.1', 'anon has no chats');
select pg_temp.become('chat_relay');
select pg_temp.refused($$select chat.changes(pg_temp.id('walk'), 0)$$, '42501', 'changes.1', 'the relay asks for nothing as a person');

-- what lies before one joined ------------------------------------------------------------------------------------

select pg_temp.become('chat_owner');
update chat.settings set history = 'since_join';
select pg_temp.become('alice');
insert into chat.participants (chat_id, user_id) values (pg_temp.id('walk'), pg_temp.id('mallory'));
insert into chat.messages (chat_id, id, text) values (pg_temp.id('walk'), pg_temp.id('a3'), 'after');
update chat.messages set text = 'hello again' where id = pg_temp.id('a1');
select pg_temp.become('mallory');
select pg_temp.sees($$select row_id = pg_temp.id('a3') from chat.changes(pg_temp.id('walk'), 0) where what = 'message'$$, 'true', 'participants.11', 'who reads from where they joined is told from there');
select pg_temp.sees($$select count(*) from chat.changes(pg_temp.id('walk'), 8) where what = 'message' and row_id = pg_temp.id('a1')$$, '0', 'participants.11', '… and not even the ids of what was changed before');
select pg_temp.become('chat_owner');
delete from chat.messages where id = pg_temp.id('a2');
select pg_temp.become('mallory');
select pg_temp.sees($$select what from chat.changes(pg_temp.id('walk'), 0) where what like 'removed%'$$, 'removed message', 'tombstones.1', 'what is removed now is told to all who are in it now');
update chat.participants set left_at = now() where chat_id = pg_temp.id('walk') and user_id = pg_temp.id('mallory');

-- rows of another life -------------------------------------------------------------------------------------------

select pg_temp.become('chat_owner');
select is(chat_private.is_news(pg_current_xact_id(), pg_current_snapshot()), false, 'changes.1: a transaction without an end is no news');
select is(chat_private.is_news('1099511627776', '10:10:'), false, 'changes.1: nor is one of the future: its row came with a restore');
select is(chat_private.is_news(pg_snapshot_xmin(pg_current_snapshot())::text::xid8, '3:3:'), pg_snapshot_xmin(pg_current_snapshot()) < pg_snapshot_xmax(pg_current_snapshot()), 'changes.1: one that came after a snapshot is');

-- tombstones of participations stay ------------------------------------------------------------------------------

select pg_temp.become('chat_owner');
delete from chat.participants where user_id = pg_temp.id('carol');
insert into chat.tombstones (chat_id, rev, kind, row_id) values (pg_temp.id('walk'), 100, 'message', pg_temp.id('old'));
select pg_temp.does($$delete from chat.tombstones$$, 2, 'tombstones.3', 'those of messages are purged');
select pg_temp.sees($$select kind from chat.tombstones where chat_id = pg_temp.id('walk')$$, 'participant, reset', 'tombstones.3', '… those of participations stay');

select * from finish();
rollback;

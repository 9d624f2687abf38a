-- In depth: most writes are refused twice, by a trigger that names the rule and by a policy. Each alone must do.
begin isolation level read committed;
select plan(18);
set local client_min_messages = warning;

\ir people.psql

select pg_temp.become(w.who), chat.introduce_me() from unnest(array['alice', 'bob', 'mallory', 'adam']) w (who);
select pg_temp.become('adam');
select chat.create_room('square', 'public', null, pg_temp.id('square'));
insert into chat.messages (chat_id, id, text) values (pg_temp.id('square'), pg_temp.id('s1'), 'welcome');
select pg_temp.become('alice');
select chat.create_group('walk', array[pg_temp.id('bob')], pg_temp.id('walk'));
insert into chat.messages (chat_id, id, text) values (pg_temp.id('walk'), pg_temp.id('a1'), 'hello');

-- the rules under the lock, were the question before it not asked ----------------------------------------------

select pg_temp.become('chat_owner');
alter table chat.messages disable trigger _100_sender_is_in;
select pg_temp.become('mallory');
select pg_temp.refused($$insert into chat.messages (chat_id, text) values (pg_temp.id('walk'), 'x')$$, 'PT403', 'messages.2', 'who is found to be no participant under the lock sends nothing');
select pg_temp.refused($$update chat.messages set text = 'x' where id = pg_temp.id('s1')$$, 'PT403', 'messages.2', '… and edits nothing');
select pg_temp.refused($$update chat.messages set pinned_at = now() where id = pg_temp.id('s1')$$, 'PT403', 'messages.2', '… and pins nothing');

-- the policies, were there no rules ----------------------------------------------------------------------------

select pg_temp.become('chat_owner');
alter table chat.messages disable trigger _950_insert_rules;
alter table chat.participants disable trigger _100_rules;
alter table chat.read_markers disable trigger user;
alter table chat.chats disable trigger _100_rules;
alter table chat.friendships disable trigger _100_rules;
grant insert (sender_id, kind) on chat.messages to authenticated;
grant insert (created_by, event_id, low_user_id, high_user_id) on chat.chats to authenticated;
grant insert (left_at) on chat.participants to authenticated;
grant insert (user_id) on chat.read_markers to authenticated;
select pg_temp.become('mallory');
select pg_temp.refused($$insert into chat.messages (chat_id, text) values (pg_temp.id('walk'), 'x')$$, '42501', 'messages.2', 'the policy keeps strangers out');
select pg_temp.refused($$insert into chat.messages (chat_id, text) values (pg_temp.id('square'), 'x')$$, '42501', 'messages.2', '… and visitors of public rooms');
select pg_temp.refused($$insert into chat.participants (chat_id) values (pg_temp.id('walk'))$$, '42501', 'participants.2', 'nobody invites themselves');
select pg_temp.refused($$insert into chat.participants (chat_id, role) values (pg_temp.id('square'), 'owner')$$, '42501', 'participants.2', 'nobody joins as an owner');
select pg_temp.refused($$insert into chat.participants (chat_id, user_id) values (pg_temp.id('square'), pg_temp.id('bob'))$$, '42501', 'participants.3', 'strangers add nobody');
select pg_temp.refused($$insert into chat.read_markers (chat_id, seq) values (pg_temp.id('square'), 1)$$, '42501', 'reads.2', 'nobody marks what they are not in');
select pg_temp.refused($$insert into chat.chats (type, name, visibility) values ('room', 'x', 'public')$$, '42501', 'chats.4', 'nobody opens a room to the public');
select pg_temp.refused($$insert into chat.chats (type, name, created_by) values ('group', 'x', pg_temp.id('alice'))$$, '42501', 'chats.3', 'nobody founds in another''s name');
select pg_temp.refused($$insert into chat.chats (type, low_user_id, high_user_id) values ('direct', least(pg_temp.id('alice'), pg_temp.id('mallory')), greatest(pg_temp.id('alice'), pg_temp.id('mallory')))$$, '42501', 'chats.3', 'or a direct chat by hand');
select pg_temp.refused($$insert into chat.chats (type, event_id) values ('event_authors', 'x')$$, '42501', 'chats.17', 'or an event''s');
select pg_temp.become('bob');
select pg_temp.refused($$insert into chat.messages (chat_id, sender_id, text) values (pg_temp.id('walk'), pg_temp.id('alice'), 'x')$$, '42501', 'messages.2', 'nobody writes as another, were the column theirs to write');
select pg_temp.refused($$insert into chat.messages (chat_id, kind, text) values (pg_temp.id('walk'), 'system', 'x')$$, '42501', 'messages.2', 'nor as the system');
select pg_temp.refused($$insert into chat.participants (chat_id, user_id) values (pg_temp.id('walk'), pg_temp.id('mallory'))$$, '42501', 'participants.3', 'members add nobody');
select pg_temp.refused($$insert into chat.read_markers (chat_id, user_id, seq) values (pg_temp.id('walk'), pg_temp.id('alice'), 1)$$, '42501', 'reads.2', 'nobody reads for another');
select pg_temp.refused($$insert into chat.friendships (requester_id, addressee_id) values (pg_temp.id('alice'), pg_temp.id('bob'))$$, '42501', 'friends.2', 'nobody asks for another');

select * from finish();
rollback;

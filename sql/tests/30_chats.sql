-- Chats: groups, rooms, direct chats and event chats; who founds, reads, changes and ends them.
begin isolation level read committed;
select plan(159);
set local client_min_messages = warning;

\ir people.psql

select pg_temp.become(w.who), chat.introduce_me() from unnest(array['alice', 'bob', 'carol', 'dave', 'mallory', 'adam']) w (who);

-- founding ---------------------------------------------------------------------------------------------------

select pg_temp.become('alice');
select pg_temp.does($$select chat.create_group('walk', array[pg_temp.id('bob'), pg_temp.id('carol'), pg_temp.id('bob'), null], pg_temp.id('walk'))$$, 1, 'chats.3', 'alice founds a group with bob and carol');
select pg_temp.sees($$select display_name || ' ' || role from chat.people(pg_temp.id('walk'))$$, 'Alice owner, Bob member, Carol member', 'chats.3', 'and becomes its owner');
select pg_temp.sees($$select created_by = pg_temp.id('alice') from chat.chats$$, 'true', 'chats.3', 'it is founded in her own name');
select pg_temp.refused($$insert into chat.chats (type, name, created_by) values ('group', 'x', pg_temp.id('bob'))$$, '42501', 'chats.3', 'not in bob''s');
select pg_temp.does($$insert into chat.chats (id, type) values (pg_temp.id('alone'), 'group')$$, 1, 'chats.3', 'a group may be founded alone, and without a name');
select pg_temp.refused($$insert into chat.chats (type, low_user_id, high_user_id) values ('direct', pg_temp.id('alice'), pg_temp.id('bob'))$$, '42501', 'chats.3', 'direct chats are not founded by hand');
select pg_temp.refused($$insert into chat.chats (type) values ('direct')$$, '42501', 'chats.3', 'not even without a pair');
select pg_temp.refused($$insert into chat.chats (type, name) values ('event_authors', 'x')$$, '42501', 'chats.17', 'people make no event chats');
select pg_temp.refused($$insert into chat.chats (type, event_id) values ('event_authors', 'x')$$, '42501', 'chats.17', 'nor name an event');
select pg_temp.refused($$insert into chat.chats (type, uid) values ('group', 'walk')$$, '42501', 'chats.20', 'nobody chooses a uid');
select pg_temp.refused($$insert into chat.chats (id, type, rev) values (pg_temp.id('x'), 'group', 1)$$, '42501', 'revs.2', 'nor the rev of a chat');
select pg_temp.refused($$select chat.create_group('x', array[pg_temp.id('nobody')])$$, 'PT404', 'users.8', 'a group is founded with people who exist');
select pg_temp.refused($$insert into chat.chats (type) values ('club')$$, '42501', 'chats.8', 'there are no clubs');
select pg_temp.refused($$insert into chat.chats (type, name, visibility) values ('room', 'x', 'secret')$$, '23514', 'chats.9', 'no visibility is called secret');
select pg_temp.refused($$insert into chat.chats (type, visibility) values ('group', 'unlisted')$$, '23514', 'chats.7', 'a group is private');
select pg_temp.refused($$update chat.chats set visibility = 'unlisted' where id = pg_temp.id('walk')$$, '23514', 'chats.7', '… and stays so');
select pg_temp.refused($$insert into chat.chats (type, name) values ('group', E' \n ')$$, '23514', 'chats.10', 'white space is no name');
select pg_temp.refused($$insert into chat.chats (type, name) values ('group', repeat('n', 201))$$, '23514', 'chats.10', 'a name has at most 200 characters');
select pg_temp.refused($$insert into chat.chats (type, topic) values ('group', repeat('n', 1001))$$, '23514', 'chats.11', 'a topic has at most 1,000 characters');
select pg_temp.refused($$insert into chat.chats (type) values ('room')$$, '23514', 'chats.14', 'a room without a name is none');
select pg_temp.become('anon');
select pg_temp.refused($$insert into chat.chats (type, name) values ('group', 'x')$$, '42501', 'chats.3', 'anon founds nothing');
select pg_temp.refused($$select chat.create_group('x', '{}')$$, '42501', 'chats.3', 'through no door either');
select set_config('role', 'authenticated', true), set_config('request.jwt.claims', '{}', true);
select pg_temp.refused($$insert into chat.chats (type, name) values ('group', 'x')$$, '42501', 'chats.3', 'nor does a token without a sub');

-- rooms ------------------------------------------------------------------------------------------------------

select pg_temp.become('bob');
select pg_temp.refused($$select chat.create_room('square', 'public')$$, 'PT403', 'chats.4', 'bob opens no room to the public');
select pg_temp.refused($$insert into chat.chats (type, name, visibility) values ('room', 'square', 'public') on conflict do nothing$$, 'PT403', 'chats.4', 'nor by upsert');
select pg_temp.does($$select chat.create_room('den', 'unlisted', 'quiet', pg_temp.id('den'))$$, 1, 'chats.3', 'bob founds an unlisted room');
select pg_temp.does($$select chat.create_room('cell', 'private', null, pg_temp.id('cell'))$$, 1, 'chats.3', 'and a private one');
select pg_temp.refused($$update chat.chats set visibility = 'public' where id = pg_temp.id('den')$$, 'PT403', 'chats.4', 'he does not open one later');
select set_config('request.jwt.claims', json_build_object('sub', pg_temp.id('bob'), 'user_metadata', json_build_object('role', 'admin'))::text, true);
select pg_temp.refused($$update chat.chats set visibility = 'public' where id = pg_temp.id('den')$$, 'PT403', 'chats.4', 'user_metadata makes no admin');
select pg_temp.become('adam');
select pg_temp.does($$select chat.create_room('square', 'public', null, pg_temp.id('square'))$$, 1, 'chats.4', 'an admin opens a room to the public');
select pg_temp.become('chat_owner');
update chat.settings set public_rooms = 'everyone';
select pg_temp.become('bob');
select pg_temp.does($$select chat.create_room('market', 'public', null, pg_temp.id('market'))$$, 1, 'chats.4', 'everyone does when the settings say so');
select pg_temp.become('chat_owner');
update chat.settings set public_rooms = 'admins';
select pg_temp.become('bob');
select pg_temp.does($$update chat.chats set name = 'bazaar' where id = pg_temp.id('market')$$, 1, 'chats.4', 'a room that is public may be renamed by its owner without an admin');
select pg_temp.does($$update chat.chats set visibility = 'unlisted' where id = pg_temp.id('market')$$, 1, 'chats.5', 'and closed');
select pg_temp.refused($$update chat.chats set visibility = 'public' where id = pg_temp.id('market')$$, 'PT403', 'chats.4', '… but not opened again');

-- reading ----------------------------------------------------------------------------------------------------

select pg_temp.become('alice');
select pg_temp.sees('select name from chat.chats where name is not null', 'square, walk', 'chats.1', 'alice sees her group and the public room');
select pg_temp.become('mallory');
select pg_temp.sees('select name from chat.chats', 'square', 'chats.1', 'a stranger sees the public room; nothing unlisted, nothing private');
select pg_temp.sees($$select uid from chat.chats where id = pg_temp.id('den')$$, 'nothing', 'chats.1', 'knowing its id shows no unlisted room');
select pg_temp.does('select 1 from chat.chats for update', 1, 'chats.1', 'locking shows her no more than reading');
select pg_temp.become('anon');
select pg_temp.sees('select name from chat.chats', 'nothing', 'chats.1', 'anon sees nothing while the settings don''t say so');
select pg_temp.refused($$select chat.expect_reader(pg_temp.id('square'))$$, 'PT403', 'chats.1', 'and is told so');
select pg_temp.become('chat_owner');
update chat.settings set anon_reads_public_rooms = true;
select pg_temp.become('anon');
select pg_temp.sees('select name from chat.chats', 'square', 'chats.1', 'anon sees public rooms when they do, and nothing else');
select pg_temp.refused($$update chat.chats set name = 'x'$$, '42501', 'chats.5', '… and changes none');
select pg_temp.become('chat_owner');
update chat.settings set anon_reads_public_rooms = false;
select pg_temp.become('mallory');
select pg_temp.refused($$select chat.expect_reader(pg_temp.id('walk'))$$, 'PT403', 'chats.1', 'mallory is told that the group is not hers');
select pg_temp.refused($$select chat.expect_reader(pg_temp.id('nothing'))$$, 'PT404', 'chats.2', 'and of what does not exist that it does not');
select pg_temp.does($$select chat.expect_reader(pg_temp.id('square'))$$, 1, 'chats.1', 'she may read the public room');
select pg_temp.become('bob');
select pg_temp.does($$select chat.expect_reader(pg_temp.id('walk'))$$, 1, 'chats.1', 'bob may read the group');
select pg_temp.become('chat_auditor');
select pg_temp.sees('select count(*) from chat.chats', '6', 'staff.2', 'auditors see all chats');
select pg_temp.refused($$update chat.chats set name = 'x'$$, '42501', 'staff.2', 'and change none');
select pg_temp.become('service_role');
select pg_temp.sees('select count(*) from chat.chats', '6', 'staff.2', 'the service role sees all chats');
select pg_temp.does($$update chat.chats set topic = 'by the host' where id = pg_temp.id('walk')$$, 1, 'staff.1', 'and changes them');
select pg_temp.refused($$insert into chat.chats (type, name) values ('group', 'x')$$, '42501', 'staff.1', 'but founds none outside its doors');
select pg_temp.does($$select chat.expect_reader(pg_temp.id('walk'))$$, 1, 'staff.2', 'it may read every chat');

-- changing ---------------------------------------------------------------------------------------------------

select pg_temp.become('alice');
select pg_temp.does($$update chat.chats set name = 'hike', topic = 't', read_only = true where id = pg_temp.id('walk')$$, 1, 'chats.5', 'the owner changes name, topic and whether it is read-only');
update chat.participants set role = 'moderator' where chat_id = pg_temp.id('walk') and user_id = pg_temp.id('bob');
select pg_temp.become('bob');
select pg_temp.does($$update chat.chats set read_only = false where id = pg_temp.id('walk')$$, 1, 'chats.5', 'so does a moderator');
select pg_temp.become('carol');
select pg_temp.refused($$update chat.chats set name = 'x' where id = pg_temp.id('walk')$$, 'PT403', 'chats.5', 'a member does not');
select pg_temp.become('mallory');
select pg_temp.refused($$update chat.chats set name = 'x' where id = pg_temp.id('square')$$, 'PT403', 'chats.5', 'nor a visitor of a public room');
select pg_temp.does($$update chat.chats set name = 'x' where id = pg_temp.id('walk')$$, 0, 'chats.5', 'a stranger does not even reach a private one');
select pg_temp.refused($$insert into chat.chats (id, type, name) values (pg_temp.id('walk'), 'group', 'x') on conflict (id) do update set name = 'x'$$, '42501', 'chats.5', 'nor by upsert');
select pg_temp.does($$insert into chat.chats (id, type, name) values (pg_temp.id('walk'), 'group', 'x') on conflict do nothing$$, 0, 'chats.3', 'nor does she found what is founded');
select pg_temp.refused($$merge into chat.chats c using (values (1)) v on c.visibility = 'public' when matched then update set name = 'x'$$, 'PT403', 'chats.5', 'nor by merge');
select pg_temp.refused($$delete from chat.chats$$, '42501', 'chats.6', 'nobody deletes the row of a chat');
select pg_temp.become('adam');
select pg_temp.does($$update chat.chats set name = 'x' where id = pg_temp.id('walk')$$, 0, 'chats.5', 'being an admin does not open a group');
select pg_temp.become('alice');
select pg_temp.refused($$update chat.chats set type = 'room' where id = pg_temp.id('walk')$$, '42501', 'chats.15', 'not even the owner changes what type of chat it is');
select pg_temp.refused($$update chat.chats set created_by = pg_temp.id('bob') where id = pg_temp.id('walk')$$, '42501', 'chats.15', 'or who founded it');
select pg_temp.become('chat_owner');
select pg_temp.refused($$update chat.chats set type = 'room' where id = pg_temp.id('walk')$$, 'PT409', 'chats.15', 'a chat keeps its type, whoever asks');
select pg_temp.refused($$update chat.chats set uid = 'x' where id = pg_temp.id('walk')$$, 'PT409', 'chats.15', 'its uid');
select pg_temp.refused($$update chat.chats set id = pg_temp.id('x') where id = pg_temp.id('alone')$$, 'PT409', 'chats.15', 'its id');
select pg_temp.refused($$update chat.chats set event_id = 'x' where id = pg_temp.id('walk')$$, 'PT409', 'chats.15', 'its event');
select pg_temp.refused($$update chat.chats set low_user_id = pg_temp.id('bob') where id = pg_temp.id('walk')$$, 'PT409', 'chats.15', 'and its pair');
select pg_temp.refused($$insert into chat.chats (type, uid) select 'group', c.uid from chat.chats c where c.id = pg_temp.id('walk')$$, '23505', 'chats.20', 'no two chats have one uid');
select pg_temp.refused($$insert into chat.chats (type) values ('club')$$, '23514', 'chats.8', 'the table knows no clubs either');

-- deleting ---------------------------------------------------------------------------------------------------

select pg_temp.become('bob');
select pg_temp.refused($$select chat.delete_chat(pg_temp.id('walk'))$$, 'PT403', 'chats.6', 'a moderator does not delete the group');
select pg_temp.become('mallory');
select pg_temp.refused($$select chat.delete_chat(pg_temp.id('walk'))$$, 'PT403', 'chats.6', 'nor a stranger');
select pg_temp.refused($$select chat.delete_chat(pg_temp.id('square'))$$, 'PT403', 'chats.6', 'nor a visitor the public room');
select pg_temp.refused($$select chat.delete_chat(pg_temp.id('nothing'))$$, 'PT404', 'chats.2', 'what does not exist is not deleted');
select pg_temp.become('anon');
select pg_temp.refused($$select chat.delete_chat(pg_temp.id('square'))$$, '42501', 'chats.6', 'anon deletes nothing');
select pg_temp.become('adam');
select pg_temp.refused($$select chat.delete_chat(pg_temp.id('walk'))$$, 'PT403', 'chats.6', 'an admin deletes no group');
select pg_temp.does($$select chat.delete_chat(pg_temp.id('cell'))$$, 1, 'chats.6', 'but any room, also one they are not in');
select pg_temp.become('alice');
insert into chat.messages (chat_id, text) values (pg_temp.id('walk'), 'before the end');
select pg_temp.does($$select chat.delete_chat(pg_temp.id('walk'))$$, 1, 'chats.6', 'the owner deletes the group');
select pg_temp.does($$select chat.delete_chat(pg_temp.id('walk'))$$, 1, 'chats.6', 'twice, if she likes');
select pg_temp.sees($$select name from chat.chats where id = pg_temp.id('walk')$$, 'nothing', 'chats.2', 'then it is gone for her');
select pg_temp.sees($$select text from chat.messages where chat_id = pg_temp.id('walk')$$, 'nothing', 'chats.2', 'with what was said in it');
select pg_temp.refused($$select chat.expect_reader(pg_temp.id('walk'))$$, 'PT404', 'chats.2', '… and does not exist any more');
select pg_temp.refused($$insert into chat.messages (chat_id, text) values (pg_temp.id('walk'), 'x')$$, 'PT404', 'chats.2', 'it takes no messages');
select pg_temp.become('bob');
select pg_temp.refused($$insert into chat.participants (chat_id, user_id) values (pg_temp.id('walk'), pg_temp.id('dave'))$$, 'PT404', 'chats.2', 'and nobody in');
select pg_temp.become('service_role');
select pg_temp.sees($$select count(*) from chat.participants where chat_id = pg_temp.id('walk') and left_at is null$$, '0', 'chats.2', 'nobody is in it');
select pg_temp.refused($$insert into chat.messages (chat_id, sender_id, text) values (pg_temp.id('walk'), pg_temp.id('bob'), 'x')$$, 'PT404', 'chats.2', 'it takes none of the host''s messages');
select pg_temp.refused($$insert into chat.participants (chat_id, user_id) values (pg_temp.id('walk'), pg_temp.id('mallory'))$$, 'PT404', 'chats.2', 'and nobody whom the host adds');
select pg_temp.refused($$update chat.participants set left_at = null where chat_id = pg_temp.id('walk') and user_id = pg_temp.id('bob')$$, 'PT404', 'chats.2', 'or brings back');
select pg_temp.refused($$update chat.chats set name = 'again' where id = pg_temp.id('walk')$$, 'PT409', 'chats.16', 'and is not changed any more');
select pg_temp.become('chat_owner');
select pg_temp.refused($$update chat.chats set deleted_at = null where id = pg_temp.id('walk')$$, 'PT409', 'chats.16', 'nobody brings a deleted chat back');

select pg_temp.become('adam');
insert into chat.messages (chat_id, text) values (pg_temp.id('square'), 'in public');
select pg_temp.become('mallory');
select pg_temp.sees('select text from chat.messages', 'in public', 'chats.1', 'what is said in a public room is public');
select pg_temp.become('adam');
select chat.delete_chat(pg_temp.id('square'));
select pg_temp.become('mallory');
select pg_temp.sees($$select text from chat.messages union all select display_name from chat.people(pg_temp.id('square')) union all select name from chat.chats$$, 'nothing', 'chats.2', '… until the room is deleted');
select pg_temp.refused($$select chat.join_room(pg_temp.id('square')::text)$$, 'PT404', 'chats.2', 'then nobody joins it');

-- direct chats -----------------------------------------------------------------------------------------------

select pg_temp.become('alice');
select pg_temp.refused($$select chat.open_direct(pg_temp.id('bob'))$$, 'PT403', 'direct.1', 'alice opens no direct chat with who is no friend');
insert into chat.friendships (addressee_id) values (pg_temp.id('bob'));
select pg_temp.refused($$select chat.open_direct(pg_temp.id('bob'))$$, 'PT403', 'direct.1', 'nor with who has not accepted');
select pg_temp.refused($$select chat.open_direct(pg_temp.id('alice'))$$, 'PT422', 'direct.3', 'nor with herself');
select pg_temp.refused($$select chat.open_direct(pg_temp.id('nobody'))$$, 'PT404', 'users.8', 'nor with nobody');
select pg_temp.refused($$select chat.open_direct(null)$$, 'PT404', 'users.8', 'nor with null');
select pg_temp.become('bob');
update chat.friendships set accepted_at = now();
select pg_temp.sees($$select created from chat.open_direct(pg_temp.id('alice'))$$, 'true', 'direct.1', 'friends open one');
select pg_temp.become('alice');
select pg_temp.sees($$select created from chat.open_direct(pg_temp.id('bob'))$$, 'false', 'chats.18', 'and it is the same from both sides');
select pg_temp.sees($$select count(*) from chat.chats where type = 'direct'$$, '1', 'chats.18', 'there is one');
create function pg_temp.direct() returns uuid language sql stable as $$
  select c.id from chat.chats c where c.type = 'direct' and c.low_user_id = least(pg_temp.id('alice'), pg_temp.id('bob')) and c.high_user_id = greatest(pg_temp.id('alice'), pg_temp.id('bob'))
$$;
select pg_temp.sees($$select display_name || ' ' || role from chat.people(pg_temp.direct())$$, 'Alice member, Bob member', 'chats.12', 'both are in it, neither owns it');
select pg_temp.does($$insert into chat.messages (chat_id, text) values (pg_temp.direct(), 'hello')$$, 1, 'direct.1', 'friends write in it');
select pg_temp.refused($$insert into chat.participants (chat_id, user_id) values (pg_temp.direct(), pg_temp.id('carol'))$$, 'PT403', 'participants.3', 'nobody is added to a direct chat');
select pg_temp.refused($$update chat.chats set name = 'ours' where id = pg_temp.direct()$$, 'PT403', 'chats.5', 'it has no name to change');
select pg_temp.refused($$select chat.delete_chat(pg_temp.direct())$$, 'PT403', 'chats.6', 'neither deletes it');
select pg_temp.refused($$update chat.participants set left_at = now() where chat_id = pg_temp.direct() and user_id = pg_temp.id('bob')$$, 'PT403', 'participants.5', 'or puts the other out');
select pg_temp.refused($$update chat.participants set role = 'owner' where chat_id = pg_temp.direct() and user_id = pg_temp.id('alice')$$, 'PT403', 'participants.4', 'or makes it theirs');
select pg_temp.become('mallory');
select pg_temp.sees($$select 1 from chat.chats where type = 'direct'$$, 'nothing', 'chats.1', 'a third person does not see it');
select pg_temp.become('chat_owner');
select pg_temp.refused($$insert into chat.chats (type, low_user_id, high_user_id) select 'direct', c.low_user_id, c.high_user_id from chat.chats c where c.type = 'direct'$$, '23505', 'chats.18', 'a pair has no second chat');
select pg_temp.refused($$insert into chat.chats (type, low_user_id, high_user_id) select 'direct', c.high_user_id, c.low_user_id from chat.chats c where c.type = 'direct'$$, '23514', 'chats.12', 'nor the other way round');
select pg_temp.refused($$insert into chat.chats (type, low_user_id) values ('direct', pg_temp.id('carol'))$$, '23514', 'chats.12', 'a direct chat needs two');
select pg_temp.refused($$insert into chat.chats (type, low_user_id, high_user_id) values ('direct', pg_temp.id('carol'), pg_temp.id('carol'))$$, '23514', 'chats.12', '… two people');
select pg_temp.refused($$insert into chat.chats (type, low_user_id, high_user_id) values ('group', least(pg_temp.id('carol'), pg_temp.id('bob')), greatest(pg_temp.id('carol'), pg_temp.id('bob')))$$, '23514', 'chats.12', 'and a group has no pair');

-- left, and come back
select set_config('test.direct', pg_temp.direct()::text, true);
select pg_temp.become('bob');
select pg_temp.does($$update chat.participants set left_at = now() where chat_id = pg_temp.direct() and user_id = pg_temp.id('bob')$$, 1, 'direct.4', 'bob leaves the direct chat');
select pg_temp.sees('select text from chat.messages', 'nothing', 'direct.4', 'and reads it no more');
select pg_temp.refused($$update chat.participants set left_at = null where chat_id = current_setting('test.direct')::uuid and user_id = pg_temp.id('bob')$$, 'PT403', 'participants.2', 'he does not come back by hand');
select pg_temp.become('alice');
select pg_temp.sees($$select count(*) from chat.chats where id = pg_temp.direct() and deleted_at is null$$, '1', 'participants.10', 'a direct chat that one left does not end');
select pg_temp.does($$insert into chat.messages (chat_id, text) values (pg_temp.direct(), 'are you there?')$$, 1, 'direct.4', 'alice writes on');
select pg_temp.become('bob');
select pg_temp.sees('select text from chat.messages', 'are you there?, hello', 'direct.4', 'which brings it back to bob, with its history');
update chat.participants set left_at = now() where chat_id = pg_temp.direct() and user_id = pg_temp.id('bob');
select pg_temp.sees($$select created from chat.open_direct(pg_temp.id('alice'))$$, 'false', 'direct.4', 'opening it again finds the old one');
select pg_temp.sees('select text from chat.messages', 'are you there?, hello', 'direct.4', 'and brings it back as well');

-- blocks and ended friendships
insert into chat.messages (chat_id, text) values (pg_temp.direct(), 'I am back');
select pg_temp.become('alice');
insert into chat.blocks (blocked_id) values (pg_temp.id('bob'));
select pg_temp.refused($$insert into chat.messages (chat_id, text) values (pg_temp.direct(), 'x')$$, 'PT403', 'direct.2', 'who blocks writes no direct messages to the blocked');
select pg_temp.become('bob');
select pg_temp.refused($$insert into chat.messages (chat_id, text) values (pg_temp.direct(), 'x')$$, 'PT403', 'direct.2', 'nor the blocked to who blocks');
select pg_temp.refused($$update chat.messages set text = 'x' where text = 'I am back'$$, 'PT403', 'direct.2', 'nor puts new words into an old message');
select pg_temp.sees('select count(*) from chat.messages', '3', 'direct.2', 'both go on reading what was said');
select pg_temp.become('alice');
delete from chat.blocks;
select pg_temp.refused($$insert into chat.messages (chat_id, text) values (pg_temp.direct(), 'x')$$, 'PT403', 'direct.1', 'the friendship is ended: no direct messages');
select pg_temp.become('chat_owner');
update chat.settings set direct = 'anyone';
select pg_temp.become('alice');
select pg_temp.does($$insert into chat.messages (chat_id, text) values (pg_temp.direct(), 'again')$$, 1, 'direct.1', 'anyone writes to anyone when the settings say so');
select pg_temp.sees($$select created from chat.open_direct(pg_temp.id('carol'))$$, 'true', 'direct.1', 'and opens');
select pg_temp.become('dave');
insert into chat.blocks (blocked_id) values (pg_temp.id('alice'));
select pg_temp.refused($$select chat.open_direct(pg_temp.id('alice'))$$, 'PT403', 'direct.2', '… but not towards whom one blocks');
select pg_temp.become('alice');
select pg_temp.refused($$select chat.open_direct(pg_temp.id('dave'))$$, 'PT403', 'direct.2', '… nor who blocks one');
select pg_temp.become('chat_owner');
update chat.settings set direct = 'friends';
select pg_temp.become('anon');
select pg_temp.refused($$select chat.open_direct(pg_temp.id('alice'))$$, '42501', 'direct.1', 'anon opens no direct chats');
select set_config('role', 'authenticated', true), set_config('request.jwt.claims', '{"sub": ""}', true);
select pg_temp.refused($$select chat.open_direct(pg_temp.id('alice'))$$, 'PT422', 'direct.3', 'nor does a token without a sub');

-- event chats ------------------------------------------------------------------------------------------------

select pg_temp.become('service_role');
select pg_temp.sees($$select created from chat.put_event_chat('expo', 'event_authors', 'Expo', array[pg_temp.id('alice'), pg_temp.id('bob')])$$, 'true', 'chats.17', 'the host makes an event''s chat');
create function pg_temp.event() returns uuid language sql stable as $$ select c.id from chat.chats c where c.event_id = 'expo' and c.type = 'event_authors' and c.deleted_at is null $$;
select pg_temp.sees($$select display_name || ' ' || role from chat.people(pg_temp.event()) where left_at is null$$, 'Alice member, Bob member', 'chats.17', 'with the people it names, all members');
select pg_temp.sees($$select created from chat.put_event_chat('expo', 'event_authors', 'Expo 2', array[pg_temp.id('alice'), pg_temp.id('carol'), null])$$, 'false', 'chats.17', 'the second time it updates it');
select pg_temp.sees($$select display_name from chat.people(pg_temp.event()) where left_at is null$$, 'Alice, Carol', 'chats.17', 'to exactly the people it names');
select pg_temp.sees($$select name from chat.chats where id = pg_temp.event()$$, 'Expo 2', 'chats.17', 'and the name');
select pg_temp.does($$select chat.put_event_chat('expo', 'event_authors')$$, 1, 'chats.17', 'null');
select pg_temp.sees($$select c.name || ' ' || count(*) from chat.chats c join chat.participants p on p.chat_id = c.id where c.id = pg_temp.event() and p.left_at is null group by c.name$$, 'Expo 2 2', 'chats.17', '… leaves as it is');
select pg_temp.sees($$select created from chat.put_event_chat('expo', 'approved_group', null, array[pg_temp.id('alice')])$$, 'true', 'chats.19', 'an event has one chat of each type');
select pg_temp.refused($$select chat.put_event_chat('expo', 'group')$$, 'PT422', 'chats.13', 'and of no other');
select pg_temp.refused($$select chat.put_event_chat(null, 'event_authors')$$, '23514', 'chats.13', 'an event chat without an event is none');
select pg_temp.refused($$select chat.put_event_chat('', 'event_authors')$$, '23514', 'chats.13', 'the id of an event is not empty');
select pg_temp.become('chat_owner');
select pg_temp.refused($$insert into chat.chats (type, event_id) values ('event_authors', 'expo')$$, '23505', 'chats.19', 'there is no second one');
select pg_temp.refused($$insert into chat.chats (type, event_id) values ('group', 'expo')$$, '23514', 'chats.13', 'a group has no event');
select pg_temp.become('alice');
select pg_temp.become('service_role');
update chat.participants set role = 'owner' where chat_id = pg_temp.event() and user_id = pg_temp.id('alice');
select set_config('test.event', pg_temp.event()::text, true);
select pg_temp.become('alice');
select pg_temp.refused($$insert into chat.participants (chat_id, user_id) values (current_setting('test.event')::uuid, pg_temp.id('dave'))$$, 'PT403', 'participants.3', 'who owns an event''s chat, by the host''s will, adds nobody to it');
select pg_temp.refused($$select chat.delete_chat(current_setting('test.event')::uuid)$$, 'PT403', 'chats.6', 'nor deletes it');
select pg_temp.become('service_role');
update chat.participants set role = 'member' where chat_id = pg_temp.event() and user_id = pg_temp.id('alice');
select pg_temp.become('alice');
select pg_temp.refused($$update chat.chats set name = 'x' where id = pg_temp.event()$$, 'PT403', 'chats.5', 'its people do not rename an event''s chat');
select pg_temp.refused($$insert into chat.participants (chat_id, user_id) values (pg_temp.event(), pg_temp.id('dave'))$$, 'PT403', 'participants.3', 'or add anyone to it');
select pg_temp.refused($$select chat.delete_chat(pg_temp.event())$$, 'PT403', 'chats.6', 'or delete it');
select pg_temp.refused($$select chat.put_event_chat('expo', 'event_authors', 'x')$$, '42501', 'chats.17', 'or go through the host''s door');
select pg_temp.refused($$select chat.end_event_chat('expo', 'event_authors')$$, '42501', 'chats.17', 'or end it');
select pg_temp.does($$update chat.participants set left_at = now() where chat_id = pg_temp.event() and user_id = pg_temp.id('alice')$$, 1, 'participants.5', 'they leave');
select pg_temp.become('carol');
select pg_temp.does($$update chat.participants set left_at = now() where chat_id = pg_temp.event() and user_id = pg_temp.id('carol')$$, 1, 'participants.5', '… all of them');
select pg_temp.become('service_role');
select pg_temp.sees($$select count(*) from chat.chats where id = pg_temp.event()$$, '1', 'chats.17', 'an event''s chat does not end by itself');
select pg_temp.does($$select chat.end_event_chat('expo', 'event_authors')$$, 1, 'chats.17', 'the host ends it');
select pg_temp.sees($$select created from chat.put_event_chat('expo', 'event_authors', 'Expo 3')$$, 'true', 'chats.19', 'and may make a new one then');

select * from finish();
rollback;

-- Earlier texts: who sees what a message said before it was edited, and what it means that there are none.
begin isolation level read committed;
select plan(16);
set local client_min_messages = warning;

\ir people.psql

-- people and chats -------------------------------------------------------------------------------------------

insert into chat.users (id, display_name)
select pg_temp.id(w), w from unnest(array['alice', 'bob', 'carol', 'dave', 'mallory', 'adam']) w;
select pg_temp.become('alice');
select chat.create_group('walk', array[pg_temp.id('bob'), pg_temp.id('carol'), pg_temp.id('dave')], pg_temp.id('walk'));
update chat.participants set role = 'moderator' where chat_id = pg_temp.id('walk') and user_id = pg_temp.id('dave');
select pg_temp.become('adam');
select chat.create_room('square', 'public', null, pg_temp.id('square'));
select pg_temp.become('bob');
select chat.join_room(pg_temp.id('square')::text);
insert into chat.messages (chat_id, id, text) values
  (pg_temp.id('walk'), pg_temp.id('b1'), 'first'), (pg_temp.id('walk'), pg_temp.id('b2'), 'untouched'), (pg_temp.id('square'), pg_temp.id('s1'), 'shouted');

-- what no earlier texts means ----------------------------------------------------------------------------------

select pg_temp.does($$select chat.expect_edits(pg_temp.id('walk'), pg_temp.id('b2'))$$, 1, 'edits.1', 'who sent a message that was never edited is refused nothing');
select pg_temp.refused($$select chat.expect_edits(pg_temp.id('walk'), pg_temp.id('nothing'))$$, 'PT404', 'messages.12', 'nobody finds the earlier texts of no message');
select pg_temp.refused($$select chat.expect_edits(pg_temp.id('square'), pg_temp.id('b2'))$$, 'PT404', 'messages.12', 'nor of one of another chat');
select pg_temp.refused($$select chat.expect_edits(pg_temp.id('nothing'), pg_temp.id('b2'))$$, 'PT404', 'chats.2', 'nor where there is no chat');
select pg_temp.become('alice');
select pg_temp.does($$select chat.expect_edits(pg_temp.id('walk'), pg_temp.id('b2'))$$, 1, 'edits.1', 'nor is the owner refused');
select pg_temp.become('dave');
select pg_temp.does($$select chat.expect_edits(pg_temp.id('walk'), pg_temp.id('b2'))$$, 1, 'edits.1', 'nor a moderator');
select pg_temp.become('service_role');
select pg_temp.does($$select chat.expect_edits(pg_temp.id('walk'), pg_temp.id('b2'))$$, 1, 'edits.1', 'nor the host');
select pg_temp.refused($$select chat.expect_edits(pg_temp.id('walk'), pg_temp.id('nothing'))$$, 'PT404', 'messages.12', '… where there is a message');
select pg_temp.become('carol');
select pg_temp.refused($$select chat.expect_edits(pg_temp.id('walk'), pg_temp.id('b2'))$$, 'PT403', 'edits.1', 'another member is, edited or not');
select pg_temp.refused($$select chat.expect_edits(pg_temp.id('square'), pg_temp.id('s1'))$$, 'PT403', 'edits.1', 'and who reads a public room');
select pg_temp.become('mallory');
select pg_temp.refused($$select chat.expect_edits(pg_temp.id('walk'), pg_temp.id('b2'))$$, 'PT403', 'chats.1', 'a stranger is told that the chat is not hers');
select pg_temp.refused($$select chat.expect_edits(pg_temp.id('walk'), pg_temp.id('nothing'))$$, 'PT403', 'chats.1', '… and nothing about messages');
select pg_temp.become('anon');
select pg_temp.refused($$select chat.expect_edits(pg_temp.id('square'), pg_temp.id('s1'))$$, '42501', 'edits.1', 'anon has no such question');

-- deleted
select pg_temp.become('bob');
select chat.delete_message(pg_temp.id('walk'), pg_temp.id('b2'));
select pg_temp.refused($$select chat.expect_edits(pg_temp.id('walk'), pg_temp.id('b2'))$$, 'PT404', 'messages.12', 'who sent a message that is deleted finds it no more');
select pg_temp.become('dave');
select pg_temp.does($$select chat.expect_edits(pg_temp.id('walk'), pg_temp.id('b2'))$$, 1, 'edits.1', 'a moderator does');

-- who is out of the room and reads it still
select pg_temp.become('bob');
update chat.participants set left_at = now() where chat_id = pg_temp.id('square') and user_id = pg_temp.id('bob');
select pg_temp.does($$select chat.expect_edits(pg_temp.id('square'), pg_temp.id('s1'))$$, 1, 'edits.1', 'who sent it and reads it still is refused nothing');

select * from finish();
rollback;

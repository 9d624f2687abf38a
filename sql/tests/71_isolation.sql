-- Revisions: the isolation they need. In a file of its own, since isolation is a transaction's, not a statement's.
begin isolation level repeatable read;
select plan(5);
set local client_min_messages = warning;

\ir people.psql

select pg_temp.become('chat_owner');
insert into chat.users (id, display_name) values (pg_temp.id('alice'), 'Alice'), (pg_temp.id('bob'), 'Bob');
select pg_temp.become('alice');
select pg_temp.refused($$select chat.create_group('walk', array[pg_temp.id('bob')])$$, 'PT409', 'revs.1', 'no chat is founded under repeatable read');
select pg_temp.refused($$insert into chat.chats (type) values ('group')$$, 'PT409', 'revs.1', 'by hand neither');
select pg_temp.become('chat_owner');
select pg_temp.refused($$insert into chat.participants (chat_id, user_id) values (pg_temp.id('walk'), pg_temp.id('alice'))$$, 'PT409', 'revs.1', 'nobody comes');
select pg_temp.refused($$insert into chat.messages (chat_id, sender_id, text) values (pg_temp.id('walk'), pg_temp.id('alice'), 'x')$$, 'PT409', 'revs.1', 'and nothing is said, whoever asks');
select pg_temp.become('alice');
select pg_temp.sees('select display_name from chat.users', 'Alice', 'revs.1', 'reading is as ever');

select * from finish();
rollback;

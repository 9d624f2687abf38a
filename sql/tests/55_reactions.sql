-- Reactions: made by participants on what they read, counted by the message, taken back by who made them.
begin isolation level read committed;
select plan(49);
set local client_min_messages = warning;

\ir people.psql

select pg_temp.become(w.who), chat.introduce_me() from unnest(array['alice', 'bob', 'carol', 'dave', 'mallory', 'adam']) w (who);
select pg_temp.become('adam');
select chat.create_room('square', 'public', null, pg_temp.id('square'));
insert into chat.messages (chat_id, id, text) values (pg_temp.id('square'), pg_temp.id('s1'), 'welcome');
select pg_temp.become('alice');
select chat.create_group('walk', array[pg_temp.id('bob'), pg_temp.id('carol'), pg_temp.id('dave')], pg_temp.id('walk'));
update chat.participants set role = 'moderator' where chat_id = pg_temp.id('walk') and user_id = pg_temp.id('dave');
insert into chat.messages (chat_id, id, text) values (pg_temp.id('walk'), pg_temp.id('a1'), 'hello'), (pg_temp.id('walk'), pg_temp.id('a2'), 'who walks?');

-- reacting -----------------------------------------------------------------------------------------------------

select pg_temp.become('bob');
create temp table before as select m.rev, m.seq from chat.messages m where m.id = pg_temp.id('a1');
grant select on before to public;
select pg_temp.does($$insert into chat.reactions (chat_id, message_id, emoji) values (pg_temp.id('walk'), pg_temp.id('a1'), '👍')$$, 1, 'reactions.2', 'bob, who is in the chat, reacts');
select pg_temp.sees($$select user_id = pg_temp.id('bob') from chat.reactions$$, 'true', 'reactions.2', '… as himself');
select pg_temp.sees($$select m.rev > b.rev and m.seq = b.seq and m.edited_at is null from chat.messages m, before b where m.id = pg_temp.id('a1')$$, 'true', 'reactions.1', 'the message gets the next rev, and is not edited by it');
select pg_temp.does($$insert into chat.reactions (chat_id, message_id, emoji) values (pg_temp.id('walk'), pg_temp.id('a1'), '👍') on conflict do nothing$$, 0, 'reactions.2', 'reacting again is reacting once');
select pg_temp.does($$insert into chat.reactions (chat_id, message_id, emoji) values (pg_temp.id('walk'), pg_temp.id('a1'), '🏳️‍🌈')$$, 1, 'reactions.4', 'an emoji of several code points is one');
select pg_temp.does($$insert into chat.reactions (chat_id, message_id, emoji) values (pg_temp.id('walk'), pg_temp.id('a1'), 'party_parrot')$$, 1, 'reactions.4', 'so is the name of one');
select pg_temp.become('carol');
select pg_temp.does($$insert into chat.reactions (chat_id, message_id, emoji) values (pg_temp.id('walk'), pg_temp.id('a1'), '👍')$$, 1, 'reactions.2', 'carol reacts like bob');
select pg_temp.sees($$select e ->> 'emoji' || ' ' || (e ->> 'count') from chat.messages m, jsonb_array_elements(m.reactions) e where m.id = pg_temp.id('a1')$$, 'party_parrot 1, 🏳️‍🌈 1, 👍 2', 'reactions.1', 'the message counts them');
select is((select array_agg(e ->> 'emoji' order by n) from chat.messages m, jsonb_array_elements(m.reactions) with ordinality x (e, n) where m.id = pg_temp.id('a1')), array['👍', '🏳️‍🌈', 'party_parrot'], 'reactions.1: in the order in which they came');
select pg_temp.refused($$insert into chat.reactions (chat_id, message_id, emoji) values (pg_temp.id('walk'), pg_temp.id('a1'), '')$$, '23514', 'reactions.4', 'nothing is no emoji');
select pg_temp.refused($$insert into chat.reactions (chat_id, message_id, emoji) values (pg_temp.id('walk'), pg_temp.id('a1'), 'two words')$$, '23514', 'reactions.4', 'nor are two words');
select pg_temp.refused($$insert into chat.reactions (chat_id, message_id, emoji) values (pg_temp.id('walk'), pg_temp.id('a1'), '..')$$, '23514', 'reactions.4', 'nor are dots');
select pg_temp.refused($$insert into chat.reactions (chat_id, message_id, emoji) values (pg_temp.id('walk'), pg_temp.id('a1'), U&'\200b')$$, '23514', 'reactions.4', 'nor is what nobody sees');
select pg_temp.refused($$insert into chat.reactions (chat_id, message_id, emoji) values (pg_temp.id('walk'), pg_temp.id('a1'), E'\x07')$$, '23514', 'reactions.4', 'nor is a bell');
select pg_temp.refused($$insert into chat.reactions (chat_id, message_id, emoji) values (pg_temp.id('walk'), pg_temp.id('a1'), repeat('x', 33))$$, '23514', 'reactions.4', 'nor is a sentence');
select pg_temp.does($$insert into chat.reactions (chat_id, message_id, emoji) values (pg_temp.id('walk'), pg_temp.id('a2'), repeat('x', 32))$$, 1, 'reactions.4', '32 characters are a name');
select pg_temp.does($$insert into chat.reactions (chat_id, message_id, emoji) select pg_temp.id('walk'), pg_temp.id('a2'), 'e' || i from generate_series(1, 49) i$$, 49, 'reactions.5', '50 different emoji fit on a message');
select pg_temp.refused($$insert into chat.reactions (chat_id, message_id, emoji) values (pg_temp.id('walk'), pg_temp.id('a2'), 'one_more')$$, 'PT422', 'reactions.5', 'one more does not');
select pg_temp.become('bob');
select pg_temp.does($$insert into chat.reactions (chat_id, message_id, emoji) values (pg_temp.id('walk'), pg_temp.id('a2'), 'e7')$$, 1, 'reactions.5', 'joining one that is there does');

-- who may not --------------------------------------------------------------------------------------------------

select pg_temp.refused($$insert into chat.reactions (chat_id, message_id, user_id, emoji) values (pg_temp.id('walk'), pg_temp.id('a1'), pg_temp.id('alice'), 'x')$$, '42501', 'reactions.2', 'nobody reacts as another');
select pg_temp.refused($$update chat.reactions set emoji = 'x'$$, '42501', 'reactions.3', 'nobody changes a reaction');
select pg_temp.refused($$update chat.messages set reactions = null$$, '42501', 'reactions.1', 'nobody counts but the database');
select pg_temp.refused($$insert into chat.reactions (chat_id, message_id, emoji) values (pg_temp.id('walk'), pg_temp.id('s1'), 'x')$$, 'PT404', 'messages.12', 'a message of another chat is not here');
select pg_temp.become('mallory');
select pg_temp.refused($$insert into chat.reactions (chat_id, message_id, emoji) values (pg_temp.id('walk'), pg_temp.id('a1'), 'x')$$, 'PT403', 'reactions.2', 'a stranger does not react');
select pg_temp.refused($$insert into chat.reactions (chat_id, message_id, emoji) values (pg_temp.id('walk'), pg_temp.id('a1'), '👍') on conflict do nothing$$, 'PT403', 'reactions.2', '… nor learns who did');
select pg_temp.refused($$insert into chat.reactions (chat_id, message_id, emoji) values (pg_temp.id('nothing'), pg_temp.id('a1'), 'x')$$, 'PT404', 'chats.2', 'nobody reacts where no chat is');
select pg_temp.refused($$insert into chat.reactions (chat_id, message_id, emoji) values (pg_temp.id('square'), pg_temp.id('s1'), 'x')$$, 'PT403', 'reactions.2', 'nor does who reads a public room without being in it');
select pg_temp.sees($$select emoji from chat.reactions$$, 'nothing', 'reactions.1', 'a stranger sees none');
select pg_temp.does($$delete from chat.reactions$$, 0, 'reactions.3', '… and takes none back');
select pg_temp.become('anon');
select pg_temp.refused($$insert into chat.reactions (chat_id, message_id, emoji) values (pg_temp.id('square'), pg_temp.id('s1'), 'x')$$, '42501', 'reactions.2', 'anon does not react');
select pg_temp.become('service_role');
select pg_temp.refused($$insert into chat.reactions (chat_id, message_id, emoji) values (pg_temp.id('square'), pg_temp.id('s1'), 'x')$$, '42501', 'reactions.2', 'the host has no feelings');

-- taking back --------------------------------------------------------------------------------------------------

select pg_temp.become('dave');
select pg_temp.refused($$delete from chat.reactions where user_id = pg_temp.id('carol')$$, 'PT403', 'reactions.3', 'not even a moderator takes back another''s');
select pg_temp.become('carol');
select pg_temp.does($$delete from chat.reactions where message_id = pg_temp.id('a1') and user_id = pg_temp.id('carol')$$, 1, 'reactions.3', 'carol takes hers back');
select pg_temp.sees($$select e ->> 'emoji' || ' ' || (e ->> 'count') from chat.messages m, jsonb_array_elements(m.reactions) e where m.id = pg_temp.id('a1')$$, 'party_parrot 1, 🏳️‍🌈 1, 👍 1', 'reactions.1', '… and the message counts one less');
select pg_temp.become('bob');
select pg_temp.does($$delete from chat.reactions where message_id = pg_temp.id('a1')$$, 3, 'reactions.3', 'bob takes all of his back');
select pg_temp.sees($$select reactions is null from chat.messages where id = pg_temp.id('a1')$$, 'true', 'reactions.1', '… and nothing is left to count');
select pg_temp.become('service_role');
select pg_temp.does($$delete from chat.reactions where message_id = pg_temp.id('a2') and emoji = 'e7'$$, 2, 'staff.1', 'the host removes what should not be there');
select pg_temp.sees($$select jsonb_array_length(reactions) from chat.messages where id = pg_temp.id('a2')$$, '49', 'reactions.1', '… and the message counts it no more');

-- deleted messages, and who has left ---------------------------------------------------------------------------

select pg_temp.become('alice');
select chat.delete_message(pg_temp.id('walk'), pg_temp.id('a2'));
select pg_temp.refused($$insert into chat.reactions (chat_id, message_id, emoji) values (pg_temp.id('walk'), pg_temp.id('a2'), 'x')$$, 'PT404', 'messages.12', 'nobody reacts to a deleted message, not even who sees it');
select pg_temp.sees($$select count(*) from chat.reactions where message_id = pg_temp.id('a2')$$, '49', 'reactions.1', 'who sees it sees how people reacted');
select pg_temp.become('carol');
select pg_temp.sees($$select count(*) from chat.reactions where message_id = pg_temp.id('a2')$$, '0', 'reactions.1', 'who does not see it does not, not even their own');
insert into chat.reactions (chat_id, message_id, emoji) values (pg_temp.id('walk'), pg_temp.id('a1'), '👍');
update chat.participants set left_at = now() where chat_id = pg_temp.id('walk') and user_id = pg_temp.id('carol');
select pg_temp.does($$delete from chat.reactions$$, 0, 'reactions.3', 'who has left takes nothing back');
select pg_temp.refused($$insert into chat.reactions (chat_id, message_id, emoji) values (pg_temp.id('walk'), pg_temp.id('a1'), 'x')$$, 'PT403', 'reactions.2', '… and reacts no more');
select pg_temp.become('chat_owner');
select pg_temp.does($$delete from chat.messages where id = pg_temp.id('a1')$$, 1, 'reactions.1', 'a message removed for good');
select pg_temp.sees($$select count(*) from chat.reactions where message_id = pg_temp.id('a1')$$, '0', 'reactions.1', '… takes its reactions with it');

-- direct chats -------------------------------------------------------------------------------------------------

select pg_temp.become('alice');
insert into chat.friendships (addressee_id) values (pg_temp.id('bob'));
select pg_temp.become('bob');
update chat.friendships set accepted_at = now();
select set_config('test.direct', (select chat_id from chat.open_direct(pg_temp.id('alice')))::text, true);
insert into chat.messages (chat_id, id, text) values (current_setting('test.direct')::uuid, pg_temp.id('d1'), 'between us');
select pg_temp.become('alice');
select pg_temp.does($$insert into chat.reactions (chat_id, message_id, emoji) values (current_setting('test.direct')::uuid, pg_temp.id('d1'), '❤️')$$, 1, 'reactions.2', 'friends react to each other');
select pg_temp.become('bob');
insert into chat.blocks (blocked_id) values (pg_temp.id('alice'));
select pg_temp.become('alice');
select pg_temp.refused($$insert into chat.reactions (chat_id, message_id, emoji) values (current_setting('test.direct')::uuid, pg_temp.id('d1'), '😡')$$, 'PT403', 'direct.2', 'over a block nobody reacts');
select pg_temp.does($$insert into chat.reactions (chat_id, message_id, emoji) values (current_setting('test.direct')::uuid, pg_temp.id('d1'), '❤️') on conflict do nothing$$, 0, 'reactions.2', 'what stands is made again without harm');
select pg_temp.does($$delete from chat.reactions where message_id = pg_temp.id('d1')$$, 1, 'reactions.3', 'and is taken back');

select * from finish();
rollback;

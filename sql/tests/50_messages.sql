-- Messages: sent by participants, edited by their sender, deleted by those who may, read by who reads the chat.
begin isolation level read committed;
select plan(152);
set local client_min_messages = warning;

\ir people.psql

select pg_temp.become(w.who), chat.introduce_me() from unnest(array['alice', 'bob', 'carol', 'dave', 'mallory', 'adam']) w (who);
select pg_temp.become('adam');
select chat.create_room('square', 'public', null, pg_temp.id('square'));
select pg_temp.become('alice');
select chat.create_group('walk', array[pg_temp.id('bob'), pg_temp.id('carol'), pg_temp.id('dave')], pg_temp.id('walk'));
update chat.participants set role = 'moderator' where chat_id = pg_temp.id('walk') and user_id = pg_temp.id('dave');

-- sending ----------------------------------------------------------------------------------------------------

select pg_temp.does($$insert into chat.messages (chat_id, id, text) values (pg_temp.id('walk'), pg_temp.id('a1'), 'hello')$$, 1, 'messages.2', 'alice sends to her group');
select pg_temp.become('bob');
select pg_temp.does($$insert into chat.messages (chat_id, id, text, mentions, reply_to_id, attachment_url) values (pg_temp.id('walk'), pg_temp.id('b1'), 'hello alice', array[pg_temp.id('alice')], pg_temp.id('a1'), 'https://example.com/x.png')$$, 1, 'messages.2', 'bob replies, mentions her and attaches a picture');
select pg_temp.sees($$select sender_id = pg_temp.id('bob') and kind = 'user' and seq = rev and edited_at is null from chat.messages where id = pg_temp.id('b1')$$, 'true', 'messages.2', '… as himself');
select pg_temp.refused($$insert into chat.messages (chat_id, sender_id, text) values (pg_temp.id('walk'), pg_temp.id('alice'), 'x')$$, '42501', 'messages.2', 'nobody writes as another');
select pg_temp.refused($$insert into chat.messages (chat_id, kind, text) values (pg_temp.id('walk'), 'system', 'x')$$, '42501', 'messages.2', 'nor as the system');
select pg_temp.refused($$insert into chat.messages (chat_id, text, created_at) values (pg_temp.id('walk'), 'x', '2001-01-01')$$, '42501', 'messages.2', 'nor at another time');
select pg_temp.refused($$insert into chat.messages (chat_id, text, seq) values (pg_temp.id('walk'), 'x', 1)$$, '42501', 'revs.2', 'nor at a place of their choice');
select pg_temp.refused($$insert into chat.messages (chat_id, text, pinned_at) values (pg_temp.id('walk'), 'x', now())$$, '42501', 'messages.6', 'nor pinned from the start');
select pg_temp.refused($$insert into chat.messages (chat_id, text) values (pg_temp.id('walk'), 'x'), (pg_temp.id('square'), 'x')$$, 'PT403', 'messages.2', 'one chat does not open another');
select pg_temp.become('mallory');
select pg_temp.refused($$insert into chat.messages (chat_id, text) values (pg_temp.id('walk'), 'x')$$, 'PT403', 'messages.2', 'a stranger sends nothing');
select pg_temp.refused($$insert into chat.messages (chat_id, id, text) values (pg_temp.id('walk'), pg_temp.id('a1'), 'x')$$, 'PT403', 'messages.2', 'and learns nothing from an id that is taken');
select pg_temp.refused($$insert into chat.messages (chat_id, id, text) values (pg_temp.id('walk'), pg_temp.id('a1'), 'x') on conflict do nothing$$, 'PT403', 'messages.2', '… nor by on conflict do nothing');
select pg_temp.refused($$insert into chat.messages (chat_id, text) values (pg_temp.id('square'), 'x')$$, 'PT403', 'messages.2', 'who reads a public room without being in it sends nothing');
select pg_temp.refused($$insert into chat.messages (chat_id, text) values (pg_temp.id('nothing'), 'x')$$, 'PT404', 'chats.2', 'nothing is sent to a chat that does not exist');
select pg_temp.become('anon');
select pg_temp.refused($$insert into chat.messages (chat_id, text) values (pg_temp.id('square'), 'x')$$, '42501', 'messages.2', 'anon sends nothing');
select set_config('role', 'authenticated', true), set_config('request.jwt.claims', '', true);
select pg_temp.refused($$insert into chat.messages (chat_id, text) values (pg_temp.id('square'), 'x')$$, 'PT403', 'messages.2', 'nor does who has no claims');
select set_config('request.jwt.claims', '{"sub": "bob"}', true);
select is(pg_temp.outcome($$insert into chat.messages (chat_id, text) values (md5('walk')::uuid, 'x')$$, false), '22P02', 'messages.2: nor whose sub is no uuid');
select is(pg_temp.outcome($$select text from chat.messages$$, false), '22P02', 'messages.1: … who reads nothing either');
select pg_temp.become('bob');
select pg_temp.does($$insert into chat.messages (chat_id, text) values (pg_temp.id('walk'), 'without an id')$$, 1, 'messages.2', 'an id need not be chosen');
select pg_temp.sees($$select substr(id::text, 15, 1) || ' ' || (abs(extract(epoch from now()) * 1000 - ('x' || translate(left(id::text, 13), '-', ''))::bit(48)::bigint) < 60000) from chat.messages where text = 'without an id'$$, '7 true', 'messages.2', '… then it is a uuid of version 7, of this very minute');

-- what a message is ------------------------------------------------------------------------------------------

select pg_temp.refused($$insert into chat.messages (chat_id, text) values (pg_temp.id('walk'), E' \n\t ')$$, '23514', 'messages.7', 'white space is no message');
select pg_temp.refused($$update chat.messages set text = '' where id = pg_temp.id('b1')$$, '23514', 'messages.7', 'nor does an edit make it one');
select pg_temp.does($$insert into chat.messages (chat_id, id, text) values (pg_temp.id('walk'), pg_temp.id('long'), repeat('ä', 10000))$$, 1, 'messages.8', '10,000 characters are a message');
select pg_temp.refused($$insert into chat.messages (chat_id, text) values (pg_temp.id('walk'), repeat('ä', 10001))$$, 'PT422', 'messages.8', 'one more is too many');
select pg_temp.refused($$update chat.messages set text = text || 'x' where id = pg_temp.id('long')$$, 'PT422', 'messages.8', '… by an edit as well');
select pg_temp.become('service_role');
select pg_temp.refused($$insert into chat.messages (chat_id, sender_id, text) values (pg_temp.id('walk'), pg_temp.id('bob'), repeat('x', 10001))$$, 'PT422', 'messages.8', 'for the host too');
select pg_temp.become('bob');
select pg_temp.refused($$insert into chat.messages (chat_id, text, attachment_url) values (pg_temp.id('walk'), 'x', 'javascript:alert(1)')$$, '23514', 'messages.16', 'a script is no attachment');
select pg_temp.refused($$insert into chat.messages (chat_id, text, attachment_url) values (pg_temp.id('walk'), 'x', 'https://x/' || repeat('x', 2000))$$, '23514', 'messages.16', 'a link has at most 2,000 characters');
select pg_temp.refused($$insert into chat.messages (chat_id, text, mentions) select pg_temp.id('walk'), 'x', array_agg(pg_temp.id(i::text)) from generate_series(1, 51) i$$, '23514', 'messages.17', '51 people are not a few');
select pg_temp.does($$insert into chat.messages (chat_id, text, mentions) select pg_temp.id('walk'), 'fifty', array_agg(pg_temp.id(i::text)) from generate_series(1, 50) i$$, 1, 'messages.17', '50 are');
select pg_temp.refused($$insert into chat.messages (chat_id, text, mentions) values (pg_temp.id('walk'), 'x', array[null::uuid])$$, '23514', 'messages.17', 'nobody is not mentioned');
select pg_temp.refused($$insert into chat.messages (chat_id, text, mentions) values (pg_temp.id('walk'), 'x', array[[pg_temp.id('bob'), pg_temp.id('bob')], [pg_temp.id('bob'), pg_temp.id('bob')]])$$, '23514', 'messages.17', 'mentions are a list, not a table');
select pg_temp.become('adam');
insert into chat.messages (chat_id, id, text) values (pg_temp.id('square'), pg_temp.id('s1'), 'welcome');
select pg_temp.become('bob');
select pg_temp.refused($$insert into chat.messages (chat_id, text, reply_to_id) values (pg_temp.id('walk'), 'x', pg_temp.id('s1'))$$, 'PT422', 'messages.9', 'a reply is not to a message of another chat');
select pg_temp.refused($$insert into chat.messages (chat_id, text, reply_to_id) values (pg_temp.id('walk'), 'x', pg_temp.id('nothing'))$$, 'PT422', 'messages.9', 'nor to none');
select pg_temp.refused($$insert into chat.messages (chat_id, id, text, reply_to_id) values (pg_temp.id('walk'), pg_temp.id('x'), 'x', pg_temp.id('x'))$$, 'PT422', 'messages.9', 'nor to itself');
select pg_temp.become('service_role');
select pg_temp.refused($$insert into chat.messages (chat_id, sender_id, text, reply_to_id) values (pg_temp.id('walk'), pg_temp.id('bob'), 'x', pg_temp.id('s1'))$$, 'PT422', 'messages.9', 'for the host neither');
select pg_temp.does($$insert into chat.messages (chat_id, kind, text) values (pg_temp.id('walk'), 'system', 'bob joined')$$, 1, 'messages.15', 'the system needs no sender');
select pg_temp.does($$insert into chat.messages (chat_id, kind, sender_id, text) values (pg_temp.id('walk'), 'assistant', pg_temp.id('hal'), 'at your service')$$, 1, 'staff.1', 'the host writes for an assistant');
select pg_temp.refused($$insert into chat.messages (chat_id, kind, text) values (pg_temp.id('walk'), 'user', 'x')$$, '23514', 'messages.15', 'a user''s message has a sender');
select pg_temp.refused($$insert into chat.messages (chat_id, kind, sender_id, text) values (pg_temp.id('walk'), 'robot', pg_temp.id('hal'), 'x')$$, '23514', 'messages.15', 'a robot writes nothing');
select pg_temp.refused($$insert into chat.messages (chat_id, sender_id, text, created_at) values (pg_temp.id('walk'), pg_temp.id('bob'), 'x', '2001-01-01')$$, '42501', 'messages.10', 'the host chooses no time');

-- reading ----------------------------------------------------------------------------------------------------

select pg_temp.become('carol');
select pg_temp.sees($$select text from chat.messages where char_length(text) < 20$$, 'at your service, bob joined, fifty, hello, hello alice, welcome, without an id', 'messages.1', 'carol reads her group and the public room');
select pg_temp.become('mallory');
select pg_temp.sees('select text from chat.messages', 'welcome', 'messages.1', 'a stranger reads the public room alone');
select pg_temp.sees($$select text from chat.messages where id = pg_temp.id('a1')$$, 'nothing', 'messages.1', 'knowing an id helps nothing');
create function pg_temp.leak(_what text) returns boolean language plpgsql cost 0.0001 as $$
begin
  perform set_config('test.leaked', concat_ws(', ', nullif(current_setting('test.leaked', true), ''), _what), true);
  return true;
end
$$;
select pg_temp.sees('select text from chat.messages where pg_temp.leak(text)', 'welcome', 'messages.1', 'nor does a function in WHERE');
select is(current_setting('test.leaked'), 'welcome', 'messages.1: … which is shown no other text');
select pg_temp.become('anon');
select pg_temp.sees('select text from chat.messages', 'nothing', 'messages.1', 'anon reads nothing while the settings don''t say so');
select pg_temp.become('chat_owner');
update chat.settings set anon_reads_public_rooms = true;
select pg_temp.become('anon');
select pg_temp.sees('select text from chat.messages', 'welcome', 'messages.1', 'anon reads public rooms when they do');
select pg_temp.refused($$update chat.messages set text = 'x'$$, '42501', 'messages.3', '… and edits nothing');
select pg_temp.refused('delete from chat.messages', '42501', 'messages.5', '… nor deletes');
select pg_temp.become('chat_owner');
update chat.settings set anon_reads_public_rooms = false;
select pg_temp.become('chat_auditor');
select pg_temp.sees('select count(*) from chat.messages', '8', 'staff.2', 'auditors read all messages');
select pg_temp.refused($$update chat.messages set text = 'x'$$, '42501', 'staff.2', 'edit none');
select pg_temp.refused('delete from chat.messages', '42501', 'staff.2', 'and delete none');
select pg_temp.become('service_role');
select pg_temp.sees('select count(*) from chat.messages', '8', 'staff.2', 'the service role reads all messages');

-- editing ----------------------------------------------------------------------------------------------------

select pg_temp.become('bob');
select pg_temp.does($$update chat.messages set text = 'hello Alice!', mentions = '{}' where id = pg_temp.id('b1')$$, 1, 'messages.3', 'bob edits text and mentions of his own');
select pg_temp.sees($$select text || ' ' || (rev > seq) || ' ' || (edited_at is not null) from chat.messages where id = pg_temp.id('b1')$$, 'hello Alice! true true', 'messages.3', '… which shows as edited');
select pg_temp.does($$update chat.messages set text = text where id = pg_temp.id('a1')$$, 1, 'messages.3', 'an update that changes nothing is none');
select pg_temp.sees($$select (rev = seq) || ' ' || (edited_at is null) from chat.messages where id = pg_temp.id('a1')$$, 'true true', 'messages.3', '… and leaves no trace');
select pg_temp.refused($$update chat.messages set text = 'x' where id = pg_temp.id('a1')$$, 'PT403', 'messages.3', 'bob cannot edit what alice wrote');
select pg_temp.refused($$update chat.messages set mentions = array[pg_temp.id('bob')] where id = pg_temp.id('a1')$$, 'PT403', 'messages.3', 'nor whom she mentions');
select pg_temp.refused($$update chat.messages set text = 'x' where chat_id = pg_temp.id('walk') and kind = 'system'$$, 'PT403', 'messages.3', 'nor what the system wrote');
select pg_temp.refused($$update chat.messages set text = 'x' where chat_id = pg_temp.id('walk')$$, 'PT403', 'messages.3', 'nor everything at once');
select pg_temp.refused($$insert into chat.messages (chat_id, id, text) values (pg_temp.id('walk'), pg_temp.id('a1'), 'x') on conflict (chat_id, id) do update set text = 'x'$$, 'PT403', 'messages.3', 'nor by upsert');
select pg_temp.refused($$merge into chat.messages m using (values (1)) v on m.id = pg_temp.id('a1') when matched then update set text = 'x'$$, 'PT403', 'messages.3', 'nor by merge');
select pg_temp.refused($$update chat.messages set chat_id = pg_temp.id('square') where id = pg_temp.id('b1')$$, '42501', 'messages.10', 'nobody moves a message');
select pg_temp.refused($$update chat.messages set sender_id = pg_temp.id('alice') where id = pg_temp.id('b1')$$, '42501', 'messages.10', 'or gives it away');
select pg_temp.refused($$update chat.messages set created_at = now() where id = pg_temp.id('b1')$$, '42501', 'messages.10', 'or makes it younger');
select pg_temp.refused($$update chat.messages set reply_to_id = null where id = pg_temp.id('b1')$$, '42501', 'messages.3', 'what it answers stays');
select pg_temp.refused($$update chat.messages set attachment_url = null where id = pg_temp.id('b1')$$, '42501', 'messages.3', 'and what came with it');
select pg_temp.refused($$update chat.messages set deleted_at = now() where id = pg_temp.id('b1')$$, '42501', 'messages.5', 'deletion has a door of its own');
select pg_temp.become('alice');
select pg_temp.refused($$update chat.messages set text = 'x' where id = pg_temp.id('b1')$$, 'PT403', 'messages.3', 'the owner edits nobody''s words');
select pg_temp.become('dave');
select pg_temp.refused($$update chat.messages set text = 'x' where id = pg_temp.id('b1')$$, 'PT403', 'messages.3', 'nor a moderator');
select pg_temp.become('mallory');
select pg_temp.refused($$update chat.messages set text = 'x' where id = pg_temp.id('s1')$$, 'PT403', 'messages.2', 'nor a visitor of a public room');
select pg_temp.does($$update chat.messages set text = 'x' where id = pg_temp.id('b1')$$, 0, 'messages.3', 'a stranger does not reach it');
select pg_temp.does($$insert into chat.participants (chat_id) values (pg_temp.id('square'))$$, 1, 'participants.2', 'mallory joins the public room');
insert into chat.messages (chat_id, id, text) values (pg_temp.id('square'), pg_temp.id('s2'), 'spam');
select pg_temp.does($$update chat.participants set left_at = now() where chat_id = pg_temp.id('square') and user_id = pg_temp.id('mallory')$$, 1, 'participants.5', 'writes, and leaves');
select pg_temp.refused($$update chat.messages set text = 'x' where id = pg_temp.id('s2')$$, 'PT403', 'messages.2', 'then she no longer edits');
select pg_temp.refused($$delete from chat.messages where id = pg_temp.id('s2')$$, 'PT403', 'chats.1', 'nor deletes');
select pg_temp.become('service_role');
select pg_temp.does($$update chat.messages set text = 'good day' where id = pg_temp.id('a1')$$, 1, 'staff.1', 'the host edits');
select pg_temp.become('chat_owner');
select pg_temp.refused($$update chat.messages set sender_id = pg_temp.id('alice') where id = pg_temp.id('b1')$$, 'PT409', 'messages.10', 'a message keeps its sender, whoever asks');
select pg_temp.refused($$update chat.messages set created_at = '2001-01-01' where id = pg_temp.id('b1')$$, 'PT409', 'messages.10', 'its time');
select pg_temp.refused($$update chat.messages set seq = 1 where id = pg_temp.id('b1')$$, 'PT409', 'messages.10', 'its seq');
select pg_temp.refused($$update chat.messages set id = pg_temp.id('x') where id = pg_temp.id('b1')$$, 'PT409', 'messages.10', 'its id');
select pg_temp.refused($$update chat.messages set chat_id = pg_temp.id('square') where id = pg_temp.id('b1')$$, 'PT409', 'messages.10', 'its chat');
select pg_temp.refused($$update chat.messages set kind = 'system' where id = pg_temp.id('b1')$$, 'PT409', 'messages.10', 'and its kind');

-- the window
update chat.settings set edit_window = '0';
select pg_temp.become('bob');
select pg_temp.refused($$update chat.messages set text = 'too late' where id = pg_temp.id('b1')$$, 'PT403', 'messages.4', 'when the window is over bob edits no more');
select pg_temp.refused($$insert into chat.messages (chat_id, id, text) values (pg_temp.id('walk'), pg_temp.id('b1'), 'x') on conflict (chat_id, id) do update set text = 'too late'$$, 'PT403', 'messages.4', 'nor by upsert');
select pg_temp.refused($$update chat.messages set text = 'x' where id = pg_temp.id('a1')$$, 'PT403', 'messages.3', 'what alice wrote is hers whatever the time');
select pg_temp.become('chat_owner');
update chat.settings set edit_window = '15 minutes';

-- earlier texts
select pg_temp.become('bob');
select pg_temp.sees('select text from chat.message_edits', 'hello alice', 'messages.19', 'the earlier text of an edited message is kept');
select pg_temp.sees('select cardinality(mentions) from chat.message_edits', '1', 'messages.19', 'with whom it mentioned');
select pg_temp.sees('select message_id = pg_temp.id(''b1'') from chat.message_edits', 'true', 'edits.1', 'bob, who sent it, sees it; not what alice wrote before');
select pg_temp.become('alice');
select pg_temp.sees('select text from chat.message_edits', 'hello, hello alice', 'edits.1', 'the owner sees earlier texts');
select pg_temp.become('dave');
select pg_temp.sees('select text from chat.message_edits', 'hello, hello alice', 'edits.1', 'and a moderator');
select pg_temp.become('carol');
select pg_temp.sees('select text from chat.message_edits', 'nothing', 'edits.1', 'another member does not');
select pg_temp.become('mallory');
select pg_temp.sees('select text from chat.message_edits', 'nothing', 'edits.1', 'nor a stranger');
select pg_temp.become('anon');
select pg_temp.refused('select text from chat.message_edits', '42501', 'edits.1', 'nor anon');
select pg_temp.become('bob');
select pg_temp.refused($$insert into chat.message_edits (chat_id, message_id, rev, text, mentions) values (pg_temp.id('walk'), pg_temp.id('a1'), 1, 'x', '{}')$$, '42501', 'messages.19', 'nobody writes history');
select pg_temp.refused('delete from chat.message_edits', '42501', 'messages.19', 'or removes it');
select pg_temp.become('chat_auditor');
select pg_temp.sees('select count(*) from chat.message_edits', '2', 'staff.2', 'auditors see earlier texts');
select pg_temp.become('service_role');
select pg_temp.sees('select count(*) from chat.message_edits', '2', 'staff.2', 'and the service role');

-- pinning ----------------------------------------------------------------------------------------------------

select pg_temp.become('bob');
select pg_temp.refused($$update chat.messages set pinned_at = now() where id = pg_temp.id('b1')$$, 'PT403', 'messages.6', 'a member does not pin, not even what is theirs');
select pg_temp.refused($$update chat.messages set text = 'y', pinned_at = now() where id = pg_temp.id('b1')$$, 'PT403', 'messages.6', 'nor under cover of an edit');
select pg_temp.become('dave');
select pg_temp.does($$update chat.messages set pinned_at = '2001-01-01' where id = pg_temp.id('b1')$$, 1, 'messages.6', 'a moderator pins');
select pg_temp.sees($$select pinned_at > now() - interval '1 hour' from chat.messages where id = pg_temp.id('b1')$$, 'true', 'messages.6', '… at the time that it is');
select pg_temp.refused($$update chat.messages set text = 'y', pinned_at = now() where id = pg_temp.id('b1')$$, 'PT403', 'messages.3', 'and does not edit under cover of a pin');
select pg_temp.become('alice');
select pg_temp.does($$update chat.messages set pinned_at = null where id = pg_temp.id('b1')$$, 1, 'messages.6', 'the owner unpins');

-- read-only --------------------------------------------------------------------------------------------------

update chat.chats set read_only = true where id = pg_temp.id('walk');
select pg_temp.does($$insert into chat.messages (chat_id, id, text) values (pg_temp.id('walk'), pg_temp.id('a2'), 'an announcement')$$, 1, 'messages.18', 'in a read-only chat the owner writes');
select pg_temp.become('dave');
select pg_temp.does($$insert into chat.messages (chat_id, text) values (pg_temp.id('walk'), 'another')$$, 1, 'messages.18', 'and a moderator');
select pg_temp.become('bob');
select pg_temp.refused($$insert into chat.messages (chat_id, text) values (pg_temp.id('walk'), 'x')$$, 'PT403', 'messages.18', 'a member does not');
select pg_temp.refused($$update chat.messages set text = 'x' where id = pg_temp.id('b1')$$, 'PT403', 'messages.18', 'nor puts new words into an old message');
select pg_temp.become('alice');
update chat.chats set read_only = false where id = pg_temp.id('walk');

-- ids --------------------------------------------------------------------------------------------------------

select pg_temp.become('bob');
select is(pg_temp.outcome($$insert into chat.messages (chat_id, id, text) values (md5('walk')::uuid, md5('b1')::uuid, 'x')$$, false), '23505 messages_pkey', 'messages.13: an id names one message of a chat');
select pg_temp.does($$insert into chat.messages (chat_id, id, text) values (pg_temp.id('walk'), pg_temp.id('b1'), 'x') on conflict do nothing$$, 0, 'messages.13', 'sending it again sends nothing');
select pg_temp.refused($$select chat.expect_free_id(pg_temp.id('walk'), pg_temp.id('a1'))$$, 'PT409', 'messages.13', 'bob is told that alice''s id is taken');
select pg_temp.does($$insert into chat.messages (chat_id, id, text) values (pg_temp.id('walk'), pg_temp.id('s1'), 'the same id elsewhere')$$, 1, 'messages.13', 'an id of another chat is free here');
select pg_temp.become('mallory');
select pg_temp.refused($$select chat.expect_free_id(pg_temp.id('walk'), pg_temp.id('a1'))$$, 'PT403', 'chats.1', 'a stranger is told nothing about ids');
select pg_temp.refused($$select chat.expect_message(pg_temp.id('walk'), pg_temp.id('a1'))$$, 'PT403', 'chats.1', 'nor about messages');
select pg_temp.become('anon');
select pg_temp.refused($$select chat.expect_free_id(pg_temp.id('walk'), pg_temp.id('a1'))$$, '42501', 'chats.1', 'nor anon');

-- deleting ---------------------------------------------------------------------------------------------------

select pg_temp.become('bob');
select pg_temp.refused($$select chat.expect_message(pg_temp.id('walk'), pg_temp.id('nothing'))$$, 'PT404', 'messages.12', 'who reads the chat is told of a message that it is not there');
select pg_temp.refused($$select chat.delete_message(pg_temp.id('walk'), pg_temp.id('a1'))$$, 'PT403', 'messages.5', 'bob does not delete what alice wrote');
select pg_temp.refused($$delete from chat.messages where id = pg_temp.id('a1')$$, 'PT403', 'messages.5', 'nor by DELETE');
select pg_temp.refused($$delete from chat.messages where chat_id = pg_temp.id('walk')$$, 'PT403', 'messages.5', 'nor blindly');
select pg_temp.refused($$merge into chat.messages m using (values (1)) v on m.id = pg_temp.id('a1') when matched then delete$$, 'PT403', 'messages.5', 'nor by merge');
select pg_temp.refused($$select chat.delete_message(pg_temp.id('walk'), pg_temp.id('nothing'))$$, 'PT404', 'messages.12', 'nor what does not exist');
select pg_temp.refused($$select chat.delete_message(pg_temp.id('square'), pg_temp.id('s1'))$$, 'PT403', 'chats.1', 'nor in a public room he is not in');
select pg_temp.become('mallory');
select pg_temp.refused($$select chat.delete_message(pg_temp.id('walk'), pg_temp.id('a1'))$$, 'PT403', 'chats.1', 'nor does a stranger');
select pg_temp.refused($$select chat.delete_message(pg_temp.id('nothing'), pg_temp.id('a1'))$$, 'PT404', 'chats.2', 'nor anyone where there is no chat');
select pg_temp.become('bob');
insert into chat.messages (chat_id, id, text, reply_to_id) values (pg_temp.id('walk'), pg_temp.id('b2'), 'a reply', pg_temp.id('b1'));
select pg_temp.does($$delete from chat.messages where id = pg_temp.id('b1')$$, 0, 'messages.5', 'bob deletes his own, softly: no row is removed');
select pg_temp.sees($$select text from chat.messages where id = pg_temp.id('b1')$$, 'nothing', 'messages.1', 'then he does not see it');
select pg_temp.sees('select text from chat.message_edits', 'nothing', 'edits.1', 'nor its earlier texts');
select pg_temp.does($$select chat.delete_message(pg_temp.id('walk'), pg_temp.id('b1'))$$, 1, 'messages.5', 'deleting it again is no error');
select pg_temp.become('carol');
select pg_temp.sees($$select text from chat.messages where id = pg_temp.id('b1')$$, 'nothing', 'messages.1', 'nor does another member see it');
select pg_temp.sees($$select o.text from chat.messages r join chat.messages o on o.chat_id = r.chat_id and o.id = r.reply_to_id where r.id = pg_temp.id('b2')$$, 'nothing', 'messages.1', 'a reply does not show what it answered');
select pg_temp.refused($$select chat.delete_message(pg_temp.id('walk'), pg_temp.id('b1'))$$, 'PT404', 'messages.12', 'who may not delete it is told that it is not there');
select pg_temp.refused($$insert into chat.messages (chat_id, text, reply_to_id) values (pg_temp.id('walk'), 'x', pg_temp.id('b1'))$$, 'PT422', 'messages.9', 'a deleted message gets no replies');
select pg_temp.become('alice');
select pg_temp.sees($$select text || ' ' || (deleted_at is not null) from chat.messages where id = pg_temp.id('b1')$$, 'hello Alice! true', 'messages.1', 'the owner sees it as deleted');
select pg_temp.sees($$select text from chat.message_edits where message_id = pg_temp.id('b1')$$, 'hello alice', 'edits.1', 'with its earlier texts');
select pg_temp.refused($$update chat.messages set pinned_at = now() where id = pg_temp.id('b1')$$, 'PT409', 'messages.11', 'but does not pin it');
select pg_temp.become('dave');
select pg_temp.sees($$select text from chat.messages where id = pg_temp.id('b1')$$, 'hello Alice!', 'messages.1', 'a moderator sees it');
select pg_temp.does($$select chat.delete_message(pg_temp.id('walk'), pg_temp.id('a2'))$$, 1, 'messages.5', 'and deletes what others wrote, the owner even');
select pg_temp.become('alice');
select pg_temp.does($$delete from chat.messages where chat_id = pg_temp.id('walk') and text = 'fifty'$$, 0, 'messages.5', 'as does the owner');
select pg_temp.sees($$select deleted_at is not null from chat.messages where text = 'fifty'$$, 'true', 'messages.5', '… softly');
select pg_temp.become('bob');
select pg_temp.refused($$insert into chat.messages (chat_id, id, text) values (pg_temp.id('walk'), pg_temp.id('b1'), 'x') on conflict (chat_id, id) do update set text = 'back'$$, '42501', 'messages.11', 'no upsert brings it back');
select pg_temp.does($$insert into chat.messages (chat_id, id, text) values (pg_temp.id('walk'), pg_temp.id('b1'), 'x') on conflict do nothing$$, 0, 'messages.14', 'its id is not used again');
select pg_temp.refused($$select chat.expect_free_id(pg_temp.id('walk'), pg_temp.id('b1'))$$, 'PT409', 'messages.14', '… and bob is told why');
select pg_temp.refused($$select chat.expect_free_id(pg_temp.id('walk'), pg_temp.id('a2'))$$, 'PT409', 'messages.14', '… whoever''s it was');
select pg_temp.become('service_role');
select pg_temp.refused($$update chat.messages set text = 'x' where id = pg_temp.id('b1')$$, 'PT409', 'messages.11', 'the host does not edit what is deleted');
select pg_temp.does($$delete from chat.messages where id = pg_temp.id('b2')$$, 0, 'staff.1', 'and deletes softly, like everyone');
select pg_temp.sees($$select deleted_at is not null from chat.messages where id = pg_temp.id('b2')$$, 'true', 'staff.2', '… it is still there');
select pg_temp.become('chat_owner');
select pg_temp.refused($$update chat.messages set deleted_at = null where id = pg_temp.id('b1')$$, 'PT409', 'messages.11', 'nobody brings a deleted message back');
select pg_temp.become('anon');
select pg_temp.refused($$select chat.delete_message(pg_temp.id('square'), pg_temp.id('s1'))$$, '42501', 'messages.5', 'anon deletes nothing');

-- who left
select pg_temp.become('carol');
update chat.participants set left_at = now() where chat_id = pg_temp.id('walk') and user_id = pg_temp.id('carol');
select pg_temp.sees($$select text from chat.messages where chat_id = pg_temp.id('walk')$$, 'nothing', 'messages.1', 'who left reads nothing');
select pg_temp.refused($$insert into chat.messages (chat_id, text) values (pg_temp.id('walk'), 'x')$$, 'PT403', 'messages.2', 'and sends nothing');

select * from finish();
rollback;

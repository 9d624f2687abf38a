-- Erasure: who erases whom, what is left, and that it stays so.
begin isolation level read committed;
select plan(67);
set local client_min_messages = warning;

\ir people.psql
create function pg_temp.in_chat(_word text) returns text language sql as $$
  -- who is in it, by name and role, and whether it ended
  select coalesce(string_agg(u.display_name || ' ' || p.role, ', ' order by u.display_name), 'nobody')
         || case when (select c.deleted_at is not null from chat.chats c where c.id = pg_temp.id(_word)) then ', ended' else '' end
  from chat.participants p
  join chat.users u on u.id = p.user_id
  where p.chat_id = pg_temp.id(_word) and p.left_at is null
$$;
create function pg_temp.erases(_call text) returns text language plpgsql as $$
-- calls until it says that nothing is left
declare
  more boolean := true;
  n integer := 0;
begin
  while more loop
    execute _call into more;
    n := n + 1;
  end loop;
  return n || case when more is null then ' nobody' else '' end;
end
$$;

-- people and chats -------------------------------------------------------------------------------------------

insert into chat.users (id, display_name, username, avatar_url, last_active_at)
select pg_temp.id(w), initcap(w), w, 'https://example.com/' || w, clock_timestamp()
from unnest(array['alice', 'bob', 'carol', 'dave', 'erin', 'mallory']) w;
update chat.settings set public_rooms = 'everyone', direct = 'anyone';

select pg_temp.become('bob');
insert into chat.friendships (addressee_id) values (pg_temp.id('alice'));
insert into chat.blocks (blocked_id) values (pg_temp.id('mallory'));
select chat.create_group('walk', array[pg_temp.id('alice'), pg_temp.id('carol'), pg_temp.id('dave')], pg_temp.id('walk'));
select chat.create_group('duet', array[pg_temp.id('alice')], pg_temp.id('duet'));
select chat.create_group('crew', array[pg_temp.id('alice'), pg_temp.id('carol')], pg_temp.id('crew'));
select chat.create_room('cell', 'private', null, pg_temp.id('cell'));
select chat.create_room('yard', 'public', null, pg_temp.id('yard'));
select chat.create_room('hall', 'public', null, pg_temp.id('hall'));
select chat.open_direct(pg_temp.id('alice'));
-- carol has been in it longest, dave is a moderator
update chat.participants set role = 'moderator' where chat_id = pg_temp.id('walk') and user_id = pg_temp.id('dave');
select pg_temp.become('carol');
select chat.join_room(pg_temp.id('yard')::text);
insert into chat.blocks (blocked_id) values (pg_temp.id('bob'));
select pg_temp.become('alice');
select chat.join_room(pg_temp.id('yard')::text);
update chat.friendships set accepted_at = now();
select chat.create_group('club', array[pg_temp.id('bob'), pg_temp.id('erin')], pg_temp.id('club'));
update chat.participants set role = 'owner' where chat_id = pg_temp.id('club') and user_id = pg_temp.id('bob');
insert into chat.messages (chat_id, id, text) values (pg_temp.id('walk'), pg_temp.id('a1'), 'what alice said');
select pg_temp.become('service_role');
select chat.put_event_chat('expo', 'approved_group', 'Expo', array[pg_temp.id('bob'), pg_temp.id('erin')]);

select pg_temp.become('bob');
insert into chat.messages (chat_id, id, text, mentions, attachment_url, reply_to_id)
values (pg_temp.id('walk'), pg_temp.id('b1'), 'secret', array[pg_temp.id('alice')], 'https://example.com/secret', pg_temp.id('a1'));
update chat.messages set text = 'secret, edited', mentions = '{}' where id = pg_temp.id('b1');
insert into chat.messages (chat_id, id, text) values
  (pg_temp.id('walk'), pg_temp.id('b2'), 'secret and deleted'),
  (pg_temp.id('crew'), pg_temp.id('b3'), 'secret and left'),
  (pg_temp.id('hall'), pg_temp.id('b4'), 'secret in an empty room');
insert into chat.reactions (chat_id, message_id, emoji) values (pg_temp.id('walk'), pg_temp.id('a1'), '👍');
insert into chat.read_markers (chat_id, seq) values (pg_temp.id('walk'), 3);
select chat.delete_message(pg_temp.id('walk'), pg_temp.id('b2'));
select pg_temp.become('chat_owner');
update chat.participants set role = 'owner' where chat_id = pg_temp.id('crew') and user_id = pg_temp.id('alice');
select pg_temp.become('bob');
update chat.participants set left_at = now() where chat_id = pg_temp.id('crew') and user_id = pg_temp.id('bob');

-- who erases -------------------------------------------------------------------------------------------------

select pg_temp.become('mallory');
select pg_temp.refused($$select chat.erase_user(pg_temp.id('bob'))$$, '42501', 'users.10', 'nobody erases somebody else');
select pg_temp.refused($$update chat.users set erased_at = now()$$, '42501', 'users.10', 'nor says that they are, not even of themselves');
select pg_temp.refused($$update chat.messages set erased_at = now()$$, '42501', 'messages.20', 'nor of a message');
select pg_temp.become('anon');
select pg_temp.refused('select chat.erase_me()', '42501', 'users.10', 'anon has nothing to erase');
select pg_temp.refused('select chat.export_me()', '42501', 'users.11', 'or to take along');
select pg_temp.become('chat_auditor');
select pg_temp.refused($$select chat.erase_user(pg_temp.id('bob'))$$, '42501', 'staff.2', 'auditors erase nobody');
select pg_temp.become('service_role');
select pg_temp.refused($$select chat.erase_user(pg_temp.id('nobody'))$$, 'PT404', 'users.8', 'the host is told whom it does not know');
select pg_temp.sees('select chat.erase_me() is null', 'true', 'users.10', 'and is nobody itself');

-- bob erases himself -------------------------------------------------------------------------------------------

select pg_temp.become('bob');
select pg_temp.sees($$select pg_temp.erases('select chat.erase_me()')$$, '3', 'users.10', 'bob erases himself: his ties, his chats, the end');
select pg_temp.sees('select chat.erase_me()', 'false', 'users.10', 'doing it again does nothing');
select pg_temp.become('chat_owner');
select pg_temp.sees($$select concat_ws(' ', display_name, username, avatar_url, last_active_at) from chat.users where id = pg_temp.id('bob')$$, 'deleted user', 'users.10', 'his profile is empty');
select pg_temp.sees($$select count(*) from chat.friendships$$, '0', 'users.10', 'he has no friends');
select pg_temp.sees($$select count(*) from chat.blocks$$, '0', 'users.10', 'blocks nobody and is blocked by nobody');
select pg_temp.sees($$select count(*) from chat.reactions$$, '0', 'users.10', 'has reacted to nothing');
select pg_temp.sees($$select reactions::text from chat.messages where id = pg_temp.id('a1') and reactions is not null$$, 'nothing', 'users.10', '… and is not counted');
select pg_temp.sees($$select count(*) from chat.read_markers$$, '0', 'users.10', 'has read nothing');
select pg_temp.sees($$select count(*) from chat.participants where user_id = pg_temp.id('bob') and left_at is null$$, '0', 'users.10', 'and is in no chat');
select pg_temp.sees($$select text from chat.messages where text <> 'what alice said'$$, '[erased], [erased], [erased], [erased]', 'users.10', 'whatever he said is erased: what stood, what was deleted, where he is no longer');
select pg_temp.sees($$select count(*) from chat.messages where sender_id = pg_temp.id('bob') and erased_at is not null and rev > seq$$, '4', 'users.10', '… each with its time and a rev of its own');
select pg_temp.sees($$select attachment_url is null and cardinality(mentions) = 0 and reply_to_id = pg_temp.id('a1') from chat.messages where id = pg_temp.id('b1')$$, 'true', 'users.10', 'nothing comes with it, and its place is what it was');
select pg_temp.sees($$select deleted_at is not null from chat.messages where id = pg_temp.id('b2')$$, 'true', 'messages.11', 'what was deleted is deleted');
select pg_temp.sees($$select text || cardinality(mentions) from chat.message_edits$$, '[erased]0', 'messages.20', 'of its earlier texts nothing is left, and the erasure made none');
select pg_temp.sees($$select edited_at = (select replaced_at from chat.message_edits) or edited_at < erased_at from chat.messages where id = pg_temp.id('b1')$$, 'true', 'messages.20', 'an erasure is no edit');
select pg_temp.sees($$select text from chat.messages where sender_id = pg_temp.id('alice')$$, 'what alice said', 'users.10', 'what others said is theirs');

-- whom he leaves his chats to
select pg_temp.sees($$select pg_temp.in_chat('walk')$$, 'Alice member, Carol member, Dave owner', 'participants.6', 'the last owner''s group is the moderator''s');
select pg_temp.sees($$select pg_temp.in_chat('yard')$$, 'Alice member, Carol owner', 'participants.6', '… or theirs who has been there longest');
select pg_temp.sees($$select pg_temp.in_chat('club')$$, 'Alice owner, Erin member', 'participants.6', 'who is not the last passes nothing on');
select pg_temp.sees($$select pg_temp.in_chat('duet')$$, 'nobody, ended', 'participants.10', 'a group of one is none');
select pg_temp.sees($$select pg_temp.in_chat('cell')$$, 'nobody, ended', 'users.10', 'a room of nobody ends');
select pg_temp.sees($$select u.display_name from chat.participants p join chat.chats c on c.id = p.chat_id and c.type = 'approved_group' and c.deleted_at is null join chat.users u on u.id = p.user_id where p.left_at is null$$, 'Erin', 'chats.17', 'an event''s chat goes on without him');

-- gone -------------------------------------------------------------------------------------------------------

select pg_temp.become('bob');
select pg_temp.refused('select chat.introduce_me()', 'PT403', 'users.9', 'no token brings him back');
select pg_temp.does($$update chat.users set display_name = 'Bob'$$, 0, 'users.9', 'he gives himself no name');
select pg_temp.refused($$select chat.create_group('x', '{}')$$, 'PT403', 'users.9', 'founds nothing');
select pg_temp.refused($$select chat.join_room(pg_temp.id('yard')::text)$$, 'PT403', 'users.9', 'joins nothing');
select pg_temp.refused($$insert into chat.participants (chat_id) values (pg_temp.id('yard'))$$, 'PT403', 'participants.2', 'nor by insert: no room is open to them');
select pg_temp.refused($$update chat.participants set left_at = null where chat_id = pg_temp.id('yard') and user_id = pg_temp.id('bob')$$, 'PT403', 'participants.2', 'nor comes back');
select is_empty('select id from chat.chats', 'users.9: reads no public room');
select is_empty('select id from chat.messages', 'users.9: nor what is said there');
select pg_temp.refused($$insert into chat.messages (chat_id, text) values (pg_temp.id('yard'), 'x')$$, 'PT403', 'messages.2', 'says nothing');
select pg_temp.refused($$insert into chat.friendships (addressee_id) values (pg_temp.id('alice'))$$, 'PT403', 'users.9', 'asks for no friendship');
select pg_temp.refused($$insert into chat.blocks (blocked_id) values (pg_temp.id('alice'))$$, 'PT403', 'users.9', 'and blocks nobody');
select pg_temp.become('alice');
select pg_temp.refused($$insert into chat.friendships (addressee_id) values (pg_temp.id('bob'))$$, 'PT404', 'users.8', 'nobody befriends him');
select pg_temp.refused($$insert into chat.blocks (blocked_id) values (pg_temp.id('bob'))$$, 'PT404', 'users.8', 'or blocks him');
select pg_temp.refused($$update chat.participants set left_at = null where chat_id = pg_temp.id('club') and user_id = pg_temp.id('bob')$$, 'PT404', 'users.8', 'or takes him in again');
select pg_temp.refused($$insert into chat.participants (chat_id, user_id) values (pg_temp.id('club'), pg_temp.id('bob'))$$, 'PT404', 'users.8', '… by whatever means');
select pg_temp.refused($$insert into chat.messages (chat_id, text) select c.id, 'x' from chat.chats c where c.type = 'direct'$$, 'PT403', 'users.9', 'or writes to him');
select pg_temp.sees($$select p.display_name from chat.people(pg_temp.id('walk')) p where p.user_id = pg_temp.id('bob')$$, 'deleted user', 'users.10', 'what he said bears no name');
select pg_temp.become('chat_owner');
update chat.settings set directory = 'everyone';
select pg_temp.become('alice');
select pg_temp.sees($$select display_name from chat.users$$, 'Alice, Carol, Dave, Erin, Mallory', 'users.1', 'an open directory does not list him');
select pg_temp.become('service_role');
select pg_temp.refused($$update chat.users set display_name = 'Bob' where id = pg_temp.id('bob')$$, '23514', 'users.9', 'the host names him no more');
select pg_temp.refused($$insert into chat.friendships (requester_id, addressee_id) values (pg_temp.id('alice'), pg_temp.id('bob'))$$, 'PT404', 'users.8', 'imports no friendship');
select pg_temp.refused($$insert into chat.participants (chat_id, user_id) values (pg_temp.id('yard'), pg_temp.id('bob')) on conflict (chat_id, user_id) do update set left_at = null$$, 'PT403', 'users.9', 'puts him into no chat');
select pg_temp.refused($$update chat.participants set left_at = null where user_id = pg_temp.id('bob') and chat_id = pg_temp.id('yard')$$, 'PT403', 'users.9', '… by update');
select pg_temp.does($$select chat.put_event_chat('expo', 'approved_group', 'Expo', array[pg_temp.id('bob'), pg_temp.id('erin'), pg_temp.id('dave')])$$, 1, 'users.9', 'who is on the list of an event and gone');
select pg_temp.sees($$select count(*) from chat.participants p join chat.chats c on c.id = p.chat_id and c.type = 'approved_group' where p.left_at is null$$, '2', 'users.9', '… is left out of its chat');
select pg_temp.refused($$insert into chat.messages (chat_id, sender_id, kind, text) values (pg_temp.id('yard'), pg_temp.id('bob'), 'user', 'x')$$, 'PT403', 'users.9', 'says nothing in his name');
select pg_temp.refused($$update chat.messages set text = 'secret' where id = pg_temp.id('b1')$$, '23514', 'messages.20', 'the host puts no words into an erased message');
select pg_temp.refused($$update chat.messages set mentions = array[pg_temp.id('alice')] where id = pg_temp.id('b1')$$, '23514', 'messages.20', 'nor names into it');
select pg_temp.become('chat_owner');
select pg_temp.refused($$update chat.messages set erased_at = null where id = pg_temp.id('b1')$$, 'PT409', 'messages.20', 'nobody makes it unerased');
select pg_temp.refused($$update chat.messages set erased_at = null where id = pg_temp.id('b2')$$, 'PT409', 'messages.20', 'nor one that is deleted as well');
select pg_temp.refused($$update chat.users set erased_at = null, display_name = 'Bob', last_active_at = now() where id = pg_temp.id('bob')$$, 'PT403', 'users.9', 'nor him');
select pg_temp.refused($$update chat.messages set deleted_at = null, text = '[erased]', erased_at = now() where id = pg_temp.id('b2')$$, 'PT409', 'messages.20', 'nor brings back what is deleted');
select pg_temp.become('dave');
select pg_temp.does($$delete from chat.messages where id = pg_temp.id('b1')$$, 0, 'messages.5', 'a moderator deletes what is erased');

-- the host erases ----------------------------------------------------------------------------------------------

select pg_temp.become('dave');
insert into chat.messages (chat_id, id, text) values (pg_temp.id('walk'), pg_temp.id('d1'), 'secret of dave'), (pg_temp.id('walk'), pg_temp.id('d2'), 'another');
select chat.delete_message(pg_temp.id('walk'), pg_temp.id('d2'));
select pg_temp.become('chat_owner');
update chat.settings set text_max = 1;
select pg_temp.refused($$update chat.messages set text = '[erased]', erased_at = now(), deleted_at = null where id = pg_temp.id('d2')$$, 'PT409', 'messages.11', 'under cover of an erasure nothing deleted comes back');
delete from chat.participants where chat_id = pg_temp.id('walk') and user_id = pg_temp.id('dave');
select pg_temp.become('service_role');
select pg_temp.sees($$select pg_temp.erases('select chat.erase_user(pg_temp.id(''dave''))')$$, '3', 'users.10', 'the host erases dave, in slices');
select pg_temp.become('chat_owner');
select pg_temp.sees($$select text from chat.messages where sender_id = pg_temp.id('dave')$$, '[erased], [erased]', 'users.10', '… whatever the setting of the longest text, and although his participation was removed for good');
select pg_temp.become('stranger');
select pg_temp.sees($$select pg_temp.erases('select chat.erase_me()')$$, '2', 'users.10', 'who was never seen erases themselves');
select pg_temp.refused('select chat.introduce_me()', 'PT403', 'users.9', '… and is gone');

select * from finish();
rollback;

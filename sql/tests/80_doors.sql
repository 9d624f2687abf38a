-- Doors: the functions of schema chat, as each role finds them.
begin isolation level read committed;
select plan(68);
set local client_min_messages = warning;

\ir people.psql

-- what one is, according to one's token ----------------------------------------------------------------------

select pg_temp.become('alice');
select is(chat.uid(), pg_temp.id('alice'), 'users.8: the claim sub says who asks');
select is(chat.is_admin(), false, 'chats.4: alice is no admin');
select is(chat.is_service(), false, 'staff.1: nor the host');
select pg_temp.become('adam');
select is(chat.is_admin(), true, 'chats.4: app_metadata says that adam is an admin');
select set_config('request.jwt.claims', '{"role": "service_role", "user_metadata": {"role": "admin"}, "app_metadata": {"role": "service_role"}}', true);
select is(chat.is_service(), false, 'staff.1: a claim makes nobody the host; the role does');
select is(chat.is_admin(), false, 'chats.4: nor does user_metadata make an admin');
select set_config('request.jwt.claims', '', true);
select is(chat.claims(), null, 'users.8: outside a request there are no claims');
select is(chat.uid(), null, 'users.8: … and nobody asks');
select set_config('request.jwt.claims', '{"sub": ""}', true);
select is(chat.uid(), null, 'users.8: an empty sub is nobody');
select set_config('request.jwt.claims', '["sub"]', true);
select is(chat.uid(), null, 'users.8: claims that are no object name nobody');
select is(chat.is_admin(), false, 'chats.4: … and no admin');
select pg_temp.become('anon');
select is(chat.uid(), null, 'users.8: anon is nobody');
select pg_temp.become('service_role');
select is(chat.is_service(), true, 'staff.1: the role service_role is the host');

-- founding -----------------------------------------------------------------------------------------------------

select pg_temp.become('bob');
select pg_temp.become(w.who), chat.introduce_me() from unnest(array['bob', 'mallory', 'adam']) w (who);
select pg_temp.become('alice');
select pg_temp.does($$select chat.create_group(null, null, pg_temp.id('walk'))$$, 1, 'chats.3', 'a group needs no name and no others');
select pg_temp.sees('select display_name from chat.users', 'Alice', 'users.8', 'founding one is a first sight as well');
select pg_temp.does($$insert into chat.participants (chat_id, user_id) values (pg_temp.id('walk'), pg_temp.id('bob'))$$, 1, 'participants.3', 'people are added later');
select is(pg_temp.outcome($$select chat.create_group('x', '{}', md5('walk')::uuid)$$, false), '23505 chats_pkey', 'chats.3: an id is used once');
select pg_temp.refused($$select chat.create_room(null, 'private')$$, '23514', 'chats.14', 'a room has a name');
select pg_temp.refused($$select chat.create_room('x', 'secret')$$, '23514', 'chats.9', 'a room is private, unlisted or public');
select is(pg_temp.outcome($$select chat.create_room('x', null)$$, false), '42501', 'chats.9: … one of them');
select pg_temp.does($$select chat.create_room('den', 'unlisted', 'topic', pg_temp.id('den'))$$, 1, 'chats.3', 'alice founds a room');
select pg_temp.sees($$select uid ~ '^[A-Za-z0-9_-]{12}$' from chat.chats where id = pg_temp.id('den')$$, 'true', 'chats.20', 'whose uid fits into a link');
select pg_temp.become('bob');
select pg_temp.sees($$select char_length(c.uid) || c.type from chat.chats c$$, '12group', 'chats.1', 'bob is in the group and sees no more than that');

-- what an empty result means -----------------------------------------------------------------------------------

select pg_temp.does($$select chat.expect_reader(pg_temp.id('walk'))$$, 1, 'chats.1', 'a participant may read');
select pg_temp.refused($$select chat.expect_reader(pg_temp.id('den'))$$, 'PT403', 'chats.1', 'who may not is told so');
select pg_temp.refused($$select chat.expect_reader(null)$$, 'PT404', 'chats.2', 'null is no chat');
select pg_temp.refused($$select chat.expect_message(pg_temp.id('den'), pg_temp.id('x'))$$, 'PT403', 'chats.1', 'nor anything about messages');
select pg_temp.refused($$select chat.expect_free_id(pg_temp.id('nothing'), pg_temp.id('x'))$$, 'PT404', 'chats.2', 'in a chat that does not exist no id is free');

-- overviews --------------------------------------------------------------------------------------------------

select pg_temp.sees($$select concat_ws(' | ', o.participants -> 0 ->> 'name', jsonb_array_length(o.participants), o.participant_count, o.members, o.sender_name, o.head_rev > 0) from chat.overviews(array[pg_temp.id('walk')], array[pg_temp.id('alice')]) o$$, 'Alice | 2 | 2 | @Alice, @Bob | Alice | t', 'participants.1', 'who reads a chat is told who is in it, how many, and who wrote last');
select pg_temp.sees($$select coalesce(o.sender_name, 'nobody') from chat.overviews(array[pg_temp.id('walk')], array[pg_temp.id('mallory')]) o$$, 'nobody', 'participants.1', '… but not what a stranger to it is called');
select pg_temp.sees($$select o.head_rev from chat.overviews(array[pg_temp.id('den'), pg_temp.id('nothing')], array[pg_temp.id('alice'), null]) o$$, 'nothing', 'participants.1', 'of a chat that one does not read there is nothing to tell');
select pg_temp.become('mallory');
select pg_temp.sees($$select o.head_rev from chat.overviews(array[pg_temp.id('walk'), pg_temp.id('den')], array[pg_temp.id('alice'), pg_temp.id('alice')]) o$$, 'nothing', 'participants.1', 'a stranger is told nothing');
select pg_temp.become('anon');
select pg_temp.sees($$select o.head_rev from chat.overviews(array[pg_temp.id('walk')], array[pg_temp.id('alice')]) o$$, 'nothing', 'participants.1', 'nor is anon');
select pg_temp.become('chat_owner');
update chat.settings set direct = 'anyone';
select pg_temp.become('bob');
select chat.open_direct(pg_temp.id('alice'));
select pg_temp.sees($$select o.other_name from chat.chats c, chat.overviews(array[c.id], array[null::uuid]) o where c.type = 'direct'$$, 'Alice', 'participants.1', 'a direct chat is called after the other');
select pg_temp.become('service_role');
select pg_temp.sees($$select o.participant_count from chat.overviews(array[pg_temp.id('walk')], array[pg_temp.id('alice')]) o$$, '2', 'staff.2', 'the host is told of every chat');
select pg_temp.become('bob');

-- who finds which door -----------------------------------------------------------------------------------------

select pg_temp.refused($$select chat.put_event_chat('e', 'event_authors')$$, '42501', 'chats.17', 'the host''s doors are closed to people');
select pg_temp.refused($$select chat.end_event_chat('e', 'event_authors')$$, '42501', 'chats.17', '… both');
select pg_temp.become('anon');
select pg_temp.refused('select chat.introduce_me()', '42501', 'users.8', 'anon introduces nobody');
select pg_temp.refused($$select chat.create_group('x', '{}')$$, '42501', 'chats.3', 'founds no group');
select pg_temp.refused($$select chat.create_room('x', 'private')$$, '42501', 'chats.3', 'no room');
select pg_temp.refused($$select chat.open_direct(pg_temp.id('bob'))$$, '42501', 'direct.1', 'no direct chat');
select pg_temp.refused($$select chat.join_room('x')$$, '42501', 'participants.2', 'joins none');
select pg_temp.refused($$select chat.delete_chat(pg_temp.id('walk'))$$, '42501', 'chats.6', 'deletes none');
select pg_temp.refused($$select chat.delete_message(pg_temp.id('walk'), pg_temp.id('x'))$$, '42501', 'messages.5', 'deletes no message');
select pg_temp.refused($$select chat.put_event_chat('e', 'event_authors')$$, '42501', 'chats.17', 'and is not the host');
select pg_temp.refused($$select chat.expect_reader(pg_temp.id('walk'))$$, 'PT403', 'chats.1', 'it may ask whether it may read');
select pg_temp.become('chat_auditor');
select pg_temp.refused($$select chat.delete_chat(pg_temp.id('walk'))$$, '42501', 'staff.2', 'auditors delete no chat');
select pg_temp.refused($$select chat.delete_message(pg_temp.id('walk'), pg_temp.id('x'))$$, '42501', 'staff.2', 'and no message');
select pg_temp.refused($$select chat.put_event_chat('e', 'event_authors')$$, '42501', 'staff.2', 'and make nothing');
select pg_temp.become('chat_relay');
select pg_temp.sees('select count(*) > 0 from chat.participants', 'true', 'live.1', 'the relay reads for everybody');
select pg_temp.refused('select session_id from chat.messages', '42501', 'live.1', '… what a person may read of a message');
select pg_temp.refused($$insert into chat.messages (chat_id, text) values (pg_temp.id('walk'), 'x')$$, '42501', 'live.1', '… and writes nothing');
select pg_temp.refused($$select chat.delete_chat(pg_temp.id('walk'))$$, '42501', 'chats.6', 'and has no doors');
select pg_temp.become('chat_api');
select pg_temp.refused('select text from chat.messages', '42501', 'messages.1', 'the server''s login by itself reads nothing');
select pg_temp.sees('select count(*) > 50 from chat.rules', 'true', 'rules.1', '… but the rules, to name the one that refused');
select pg_temp.refused('select text_max from chat.settings', '42501', 'settings.1', '… not even the settings');
select pg_temp.refused($$insert into chat.messages (chat_id, text) values (md5('walk')::uuid, 'x')$$, '42501', 'messages.2', 'and writes nothing');
select pg_temp.refused($$select chat.introduce_me()$$, '42501', 'users.8', 'and has no doors');
select pg_temp.does($$select chat_private.lock_chat(md5('walk')::uuid)$$, 1, 'revs.2', 'it takes a chat''s lock, so that the next statement''s snapshot is younger');
select pg_temp.become('service_role');
select pg_temp.refused($$select chat.create_group('x', '{}')$$, '42501', 'chats.3', 'the host founds no groups: it is nobody');
select pg_temp.refused($$select chat.open_direct(pg_temp.id('bob'))$$, '42501', 'direct.1', 'and has no friends');
select pg_temp.does($$select chat.expect_reader(pg_temp.id('walk'))$$, 1, 'staff.2', 'it reads every chat');
select pg_temp.does($$select chat.delete_chat(pg_temp.id('walk'))$$, 1, 'staff.1', 'and deletes any');
select pg_temp.does($$select chat.expect_reader(pg_temp.id('walk'))$$, 1, 'staff.2', 'it reads deleted ones as well');
select pg_temp.become('bob');
select pg_temp.refused($$select chat.expect_reader(pg_temp.id('walk'))$$, 'PT404', 'chats.2', '… which for bob exist no more');

-- who waits for a chat -----------------------------------------------------------------------------------------

-- chats that this transaction has not locked yet by making them
select pg_temp.become('chat_owner');
alter table chat.chats disable trigger user;
insert into chat.chats (id, type, name, visibility, rev) values
  (pg_temp.id('cell'), 'room', 'cell', 'private', 1),
  (pg_temp.id('hall'), 'room', 'hall', 'public', 1);
alter table chat.chats enable trigger user;
create function pg_temp.locked(_chat uuid) returns text language plpgsql as $$
begin
  perform chat_private.lock_chat(_chat);
  return (exists (
    select
    from pg_catalog.pg_locks l
    where l.locktype = 'advisory'
      and l.pid = pg_catalog.pg_backend_pid()
      and (l.classid::bigint << 32 | l.objid::bigint) = pg_catalog.uuid_hash_extended(_chat, 4279)))::text;
end
$$;
select set_config('request.jwt.claims', json_build_object('sub', pg_temp.id('bob'))::text, true);
select is(pg_temp.locked(pg_temp.id('nothing')), 'false', 'participants.2: nobody waits for a chat that does not exist');
select is(pg_temp.locked(pg_temp.id('cell')), 'false', 'participants.2: a stranger takes no private chat''s lock and waits for nobody');
select is(pg_temp.locked(pg_temp.id('hall')), 'true', 'participants.2: that of a room which they may join they do');

select * from finish();
rollback;

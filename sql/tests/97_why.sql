-- Why: the rules answer questions about themselves.
begin isolation level read committed;
select plan(70);
set local client_min_messages = warning;

\ir people.psql

select pg_temp.become(w.who), chat.introduce_me() from unnest(array['alice', 'bob', 'carol', 'dave', 'mallory', 'erin', 'adam']) w (who);
select pg_temp.become('adam');
select chat.create_room('square', 'public', null, pg_temp.id('square'));
select pg_temp.become('alice');
select chat.create_group('walk', array[pg_temp.id('bob'), pg_temp.id('carol'), pg_temp.id('dave'), pg_temp.id('erin')], pg_temp.id('walk'));
update chat.participants set role = 'moderator' where chat_id = pg_temp.id('walk') and user_id = pg_temp.id('dave');
insert into chat.messages (chat_id, id, text) values (pg_temp.id('walk'), pg_temp.id('a1'), 'hello');
insert into chat.friendships (addressee_id) values (pg_temp.id('bob'));
select pg_temp.become('bob');
insert into chat.messages (chat_id, id, text) values (pg_temp.id('walk'), pg_temp.id('b1'), 'hello alice'), (pg_temp.id('walk'), pg_temp.id('b2'), 'and bye');
insert into chat.blocks (blocked_id) values (pg_temp.id('mallory'));
select chat.delete_message(pg_temp.id('walk'), pg_temp.id('b2'));
select pg_temp.become('erin');
update chat.participants set left_at = now() where chat_id = pg_temp.id('walk') and user_id = pg_temp.id('erin');
select set_config('role', 'none', true), set_config('request.jwt.claims', '', true);

create function pg_temp.is_why(_who text, _command text, _table text, _id text, _values jsonb, _answer text, _says text) returns text language sql as $$
  -- times are told to the minute, and how long ago
  select is((select concat_ws(' | ', w.allowed, w.code, w.held_by,
                              regexp_replace(w.fact, '[0-9]{2}:[0-9]{2} UTC, (just now|(in )?[0-9]+ [a-z]+s?( ago)?)', '<time>', 'g'))
             from chat.why(case when _who in ('anon', 'service_role') then _who else pg_temp.id(_who)::text end, _command, _table, _id, _values,
                           case when _who = 'adam' then '{"app_metadata": {"role": "admin"}}' else '{}' end::jsonb) w
             where w.sentence is not distinct from (select r.sentence from chat.rules r where r.number = w.rule)
               and w.rule is not distinct from split_part(_says, ': ', 1)),
            _answer, _says)
$$;
create function pg_temp.of(variadic _words text[]) returns text language sql as
  $$ select string_agg(pg_temp.id(w.word)::text, '/' order by w.place) from unnest(_words) with ordinality w (word, place) $$;

-- whether, by whom, because --------------------------------------------------------------------------------------

select pg_temp.is_why('alice', 'update', 'messages', pg_temp.of('a1'), null,
  't | policy update_reader on chat.messages | Alice sent it at <time>, and the edit window ends at <time>', 'messages.3: alice edits what she said');
select pg_temp.is_why('alice', 'update', 'messages', pg_temp.of('walk', 'b1'), null,
  'f | messages_are_edited_by_their_sender | trigger _950_update_rules on chat.messages | Bob sent it at <time>', 'messages.3: and not what bob said');
select pg_temp.is_why('mallory', 'update', 'messages', pg_temp.of('a1'), null,
  'f | chats_are_read_by_participants | policy update_reader on chat.messages | Mallory is not a participant, and the chat is a group', 'chats.1: a stranger does not reach it');
select pg_temp.is_why('erin', 'insert', 'messages', pg_temp.of('walk'), null,
  'f | messages_are_sent_by_participants | trigger _100_sender_is_in on chat.messages | Erin is not a participant since <time>, and the chat is a group', 'messages.2: who left says nothing');
select pg_temp.is_why('carol', 'select', 'messages', pg_temp.of('b2'), null,
  'f | messages_exist | policy select_reader on chat.messages | Bob sent it at <time>, deleted at <time>, and Carol is a member', 'messages.12: what was deleted is not there for a member');
select pg_temp.is_why('dave', 'select', 'messages', pg_temp.of('b2'), null,
  't | policy select_reader on chat.messages | Bob sent it at <time>, deleted at <time>, and Dave is a moderator', 'messages.1: it is for a moderator');
select pg_temp.is_why('carol', 'select', 'messages', pg_temp.of('nothing'), null, 'f | messages_exist | no message has this id', 'messages.12: what is nowhere is not there');
select pg_temp.is_why('dave', 'update', 'messages', pg_temp.of('a1'), '{"pinned_at": "2026-01-01"}',
  't | policy update_reader on chat.messages | Alice sent it at <time>, and Dave is a moderator', 'messages.6: a moderator pins');
select pg_temp.is_why('carol', 'update', 'messages', pg_temp.of('a1'), '{"pinned_at": "2026-01-01"}',
  'f | messages_are_pinned_by_moderators | trigger _950_update_rules on chat.messages | Carol is a member, and the chat is a group', 'messages.6: a member does not');
select pg_temp.is_why('carol', 'delete', 'messages', pg_temp.of('a1'), null,
  'f | messages_are_deleted_by_sender_or_moderators | function chat_private.delete_message(uuid,uuid) | Alice sent it at <time>, and Carol is a member', 'messages.5: nor deletes');
select pg_temp.is_why('service_role', 'delete', 'messages', pg_temp.of('a1'), null,
  't | function chat.delete_message | service_role is the host application', 'messages.5: the host does');
select pg_temp.is_why('alice', 'insert', 'messages', pg_temp.of('walk'), '{"text": " "}',
  'f | messages_text_is_not_blank | constraint messages_text_is_not_blank on chat.messages | text is " "', 'messages.7: a constraint, and the value');
select pg_temp.is_why('alice', 'insert', 'messages', pg_temp.of('walk'), jsonb_build_object('text', repeat('x', 10001)),
  'f | messages_text_is_short_enough | trigger _200_words_inserted on chat.messages | this one has 10001, and text_max is 10000', 'messages.8: a setting, and the length');
select pg_temp.is_why('alice', 'insert', 'messages', pg_temp.of('walk', 'b1'), null,
  'f | message_id_is_taken | policy insert_participant on chat.messages | Bob sent it at <time>', 'messages.13: an id that is taken');
select pg_temp.is_why('alice', 'insert', 'messages', pg_temp.of('walk', 'a1'), null,
  't | policy insert_participant on chat.messages | it is so already', 'messages.2: one that is sent again');
select pg_temp.is_why('alice', 'insert', 'messages', pg_temp.of('walk'), '{"seq": 7}',
  'f | not_allowed | the grants on chat.messages | authenticated may not insert (seq)', 'messages.2: a grant that is not there');
select pg_temp.is_why('anon', 'insert', 'messages', pg_temp.of('square'), null,
  'f | not_allowed | the grants on chat.messages | anon may not insert (chat_id, text)', 'messages.2: nor for anon');
select pg_temp.is_why('anon', 'insert', 'participants', pg_temp.of('square'), null,
  'f | not_allowed | the grants on chat.join_room | anon may not execute chat.join_room', 'participants.2: the grant of a door');
select pg_temp.is_why('mallory', 'insert', 'participants', pg_temp.of('square'), null,
  't | function chat.join_room | the chat is a public room', 'participants.2: who joins');
select pg_temp.is_why('mallory', 'insert', 'participants', pg_temp.of('walk'), null,
  'f | participants_join_public_rooms | function chat_private.join_room(text) | Mallory is not a participant, and the chat is a group', 'participants.2: who can''t');
select pg_temp.is_why('bob', 'insert', 'participants', pg_temp.of('walk', 'mallory'), '{"role": "member"}',
  'f | participants_are_added_by_moderators | trigger _100_rules on chat.participants | Bob is a member, and the chat is a group', 'participants.3: who adds');
select pg_temp.is_why('dave', 'delete', 'participants', pg_temp.of('walk', 'alice'), null,
  'f | participants_are_removed_by_moderators | trigger _100_rules on chat.participants | Dave is a moderator, and Alice is an owner', 'participants.5: who removes whom');
select pg_temp.is_why('alice', 'delete', 'participants', pg_temp.of('walk'), null,
  'f | participants_keep_an_owner | trigger _100_rules on chat.participants | Alice is the only owner of 4', 'participants.6: who may not leave');
select pg_temp.is_why('carol', 'delete', 'chats', pg_temp.of('walk'), null,
  'f | chats_are_deleted_by_owners | function chat_private.delete_chat(uuid) | Carol is a member, and the chat is a group', 'chats.6: who deletes');
select pg_temp.is_why('adam', 'delete', 'chats', pg_temp.of('square'), null,
  't | function chat.delete_chat | Adam is an owner', 'chats.6: who may');
select pg_temp.is_why('alice', 'insert', 'chats', null, '{"type": "room", "visibility": "public"}',
  'f | chats_public_ones_are_made_by_admins | trigger _100_rules on chat.chats | Alice is no admin, and public_rooms is admins', 'chats.4: an admin''s claims are claims');
select pg_temp.is_why('adam', 'insert', 'chats', null, '{"type": "room", "visibility": "public"}',
  't | function chat.create_room | Adam founds it, as an admin', 'chats.3: … which are given with the question');
select pg_temp.is_why('alice', 'insert', 'chats', pg_temp.of('bob'), '{"type": "direct"}',
  'f | direct_chats_are_between_friends | function chat_private.check_direct(uuid) | Alice asked Bob for friendship at <time>, who has not accepted, and direct is friends', 'direct.1: what is missing between two');
select pg_temp.is_why('mallory', 'insert', 'friendships', pg_temp.of('bob'), null,
  'f | friendships_pass_no_block | trigger _100_rules on chat.friendships | Bob blocked Mallory at <time>', 'friends.6: what mallory is not told herself');
select pg_temp.is_why('bob', 'insert', 'friendships', pg_temp.of('alice'), null,
  't | policy insert_requester on chat.friendships | Alice asked Bob for friendship at <time>, who has not accepted', 'friends.2: what would be accepted');
select pg_temp.is_why('mallory', 'delete', 'blocks', pg_temp.of('bob', 'mallory'), null,
  'f | blocks_are_made_by_the_blocker | policy delete_blocker on chat.blocks | the block is of Bob, and Mallory asks', 'blocks.2: a row that is not reached');
select pg_temp.is_why('mallory', 'select', 'users', pg_temp.of('alice'), null,
  'f | users_are_seen_by_who_knows_them | policy select_acquaintance on chat.users | Mallory and Alice are not friends, share no chat, and directory is known', 'users.1: a person who is not seen');
select pg_temp.is_why('alice', 'select', 'users', pg_temp.of('carol'), null,
  't | policy select_acquaintance on chat.users | Alice and Carol are not friends, and they share 1 chat', 'users.1: a person who is');
select pg_temp.is_why('alice', 'update', 'users', pg_temp.of('bob'), null,
  'f | users_write_their_own_profile | policy update_self on chat.users | it is the profile of Bob, and Alice asks', 'users.2: the profile of another');
select pg_temp.is_why('alice', 'delete', 'users', pg_temp.of('bob'), null,
  'f | not_allowed | the grants on chat.erase_user | authenticated may not execute chat.erase_user', 'users.10: another is not erased');
select pg_temp.is_why('alice', 'update', 'settings', null, null,
  'f | not_allowed | the grants on chat.settings | authenticated may not update (edit_window)', 'settings.1: the settings are the DBA''s');
select pg_temp.is_why('carol', 'delete', 'reactions', pg_temp.of('a1') || '/👍', null,
  't | policy delete_reader on chat.reactions | there is no such row', 'reactions.3: what is not there is deleted without an objection');
select pg_temp.is_why('carol', 'select', 'friendships', pg_temp.of('dave'), null, 'there is no such row', 'friends.1: … and is not seen by anybody');

-- a DBA's own ----------------------------------------------------------------------------------------------------

select set_config('role', 'chat_owner', true);
create policy house on chat.messages as restrictive for select to authenticated using (text <> 'hello');
select set_config('role', 'none', true);
select pg_temp.is_why('bob', 'select', 'messages', pg_temp.of('a1'), null,
  'f | messages_exist | policy select_reader on chat.messages, or restrictive policy house | Alice sent it at <time>, and Bob is a member', 'messages.12: a restrictive policy is named beside ours');
select set_config('role', 'chat_owner', true);
drop policy house on chat.messages;
create policy house on chat.messages as restrictive for insert to public with check (text <> 'x');
create policy house_sees on chat.messages for select to authenticated using (false);
select set_config('role', 'none', true);
select is((select concat_ws(' | ', w.allowed, w.code, w.rule, w.held_by, w.fact)
           from chat.why(pg_temp.id('bob')::text, 'insert', 'messages', pg_temp.of('walk')) w),
  'f | not_allowed | restrictive policy house on chat.messages | new row violates row-level security policy "house" for table "messages"',
  'a restrictive policy that refuses is named alone, and no rule of ours');
select set_config('role', 'chat_owner', true);
drop policy house on chat.messages;
create function chat.house() returns trigger language plpgsql as $$ begin raise 'suspended' using errcode = '42501'; end $$;
create trigger _000_house before insert on chat.messages for each row execute function chat.house();
select set_config('role', 'none', true);
alter function chat.house() set schema public;
select is((select concat_ws(' | ', w.allowed, w.code, w.rule, w.held_by, w.fact)
           from chat.why(pg_temp.id('bob')::text, 'insert', 'messages', pg_temp.of('walk')) w),
  'f | not_allowed | function public.house() | suspended', 'so is a function of the house that refuses');
select set_config('role', 'chat_owner', true);
drop trigger _000_house on chat.messages;
create policy house on chat.messages as restrictive for insert to public with check (exists (select from chat_private.migrations));
select set_config('role', 'none', true);
select is((select concat_ws(' | ', w.allowed, w.code, w.rule, w.held_by, w.fact)
           from chat.why(pg_temp.id('bob')::text, 'insert', 'messages', pg_temp.of('walk')) w),
  'f | not_allowed | no rule of chat.messages | permission denied for table migrations', 'and where a policy of the house lacks a grant, no rule is named');
select pg_temp.is_why('bob', 'select', 'messages', pg_temp.of('a1'), null,
  't | policy select_reader on chat.messages, or policy house_sees | Alice sent it at <time>, and Bob is a member', 'messages.1: a permissive policy of the house is named beside ours');
select set_config('role', 'chat_owner', true);
drop policy house on chat.messages;
drop policy house_sees on chat.messages;
select set_config('role', 'none', true);

-- the time -------------------------------------------------------------------------------------------------------

update chat.settings set edit_window = '0';
select pg_temp.is_why('alice', 'update', 'messages', pg_temp.of('a1'), null,
  'f | messages_are_edited_within_the_window | trigger _950_update_rules on chat.messages | the edit window of 0 minutes ended at <time>', 'messages.4: the moment at which it ended');
select is(chat_private.when_was(clock_timestamp() - i.ago::interval) like '%' || i.words, true, 'messages.4: … as ' || i.words)
from (values ('00:00:00.1', ', just now'), ('00:00:20.2', ', 20 seconds ago'), ('00:01:01', ', 1 minute ago'), ('00:03:01', ', 3 minutes ago'), ('05:00:30', ', 5 hours ago'),
             ('3 days 1 minute', ', 3 days ago'), ('-00:14:50', ', in 15 minutes')) i (ago, words);
select ok(chat_private.when_was('2020-02-03 04:05:06+00') like '2020-02-03 04:05 UTC, % days ago', 'messages.4: … with the day, if it was another');

-- who may ask ----------------------------------------------------------------------------------------------------

select pg_temp.become('alice');
select throws_like($$select chat.why('bob', 'select', 'chats', 'x')$$, 'permission denied%', 'nobody asks about others who is not the DBA');
select set_config('role', 'none', true);
select is_empty($$
  select r.name from unnest(array['anon', 'authenticated', 'service_role', 'chat_auditor', 'chat_relay', 'chat_api']) r (name)
  where has_function_privilege(r.name, 'chat.why(text,text,text,text,jsonb,jsonb)', 'execute')
$$, '… whatever a token says');
select throws_like(q.sql, q.says, 'a question that is none: ' || q.says)
from (values
  ($$select chat.why(null, 'select', 'chats', 'x')$$, 'why may%'),
  ($$select chat.why('nobody at all', 'select', 'chats', 'x')$$, 'nobody is called nobody at all'),
  ($$select chat.why('anon', 'truncate', 'chats', 'x')$$, 'a command is%'),
  ($$select chat.why('anon', 'select', 'secrets', 'x')$$, 'schema chat has no table secrets'),
  ($$select chat.why('anon', 'select', 'chats')$$, 'of chat.chats, which row?'),
  ($$select chat.why('anon', 'insert', 'messages', null, '{"colour": "red"}')$$, 'chat.messages has no column colour')) q (sql, says);
select is((select w.allowed from chat.why('Alice', 'select', 'chats', pg_temp.of('walk')) w), true, 'one is asked about by name, if nobody else bears it');
update chat.users set display_name = 'Alice' where id = pg_temp.id('erin');
select throws_like($$select chat.why('Alice', 'select', 'chats', 'x')$$, 'several people are called Alice', '… and by id otherwise');
select is((select w.allowed from chat.why(pg_temp.id('alice')::text, 'select', 'chats', (select c.uid from chat.chats c where c.id = pg_temp.id('walk'))) w), true, 'a chat is named by its uid as well');

-- nothing stays --------------------------------------------------------------------------------------------------

select set_config('request.jwt.claims', '{"what": "was before"}', true), set_config('lock_timeout', '7s', true), set_config('chat.hints_to', 'server', true), set_config('chat.hints', '', true);
select pg_temp.is_why('bob', 'insert', 'messages', pg_temp.of('walk'), null, 't | policy insert_participant on chat.messages | Bob is a member', 'messages.2: bob might say something');
select results_eq(
  $$select current_setting('role'), current_setting('request.jwt.claims'), current_setting('lock_timeout'), current_setting('chat.hints_to'), current_setting('chat.hints')$$,
  $$values ('none', '{"what": "was before"}', '7s', 'server', '')$$, 'who asked is who they were, and knows of no change');
select is((select count(*) from chat.messages m where m.chat_id = pg_temp.id('walk')), 3::bigint, '… since there was none');
-- the rules ------------------------------------------------------------------------------------------------------

select set_eq($$
  select r.name
  from chat.rules r
  where not exists (select
                    from pg_proc p
                    where p.oid = 'chat_private.fact_of(text,uuid,uuid,uuid[],jsonb)'::regprocedure and strpos(p.prosrc, '''' || r.name || '''') > 0)
    and not exists (select from pg_constraint c where c.conname = r.name and c.contype = 'c' and c.connamespace = 'chat'::regnamespace)
$$,
  array[
    -- refuse nobody: it is what happens
    'blocks_end_friendships', 'direct_chats_come_back', 'messages_are_imported_once', 'messages_text_is_kept', 'participants_end_their_group',
    'participants_read_from_where_they_joined', 'reads_never_go_back', 'tombstones_of_participations_stay',
    'audit_forgets_words', 'audit_is_read_by_auditors', 'audit_is_written_by_what_happens', 'deleted_messages_are_kept_for_a_while', 'removed_messages_leave_their_ids',
    'rooms_keep_their_last_messages', 'upkeep_does_what_the_settings_say',
    -- bind those about whom nobody asks: grants keep everybody else from it
    'chats_keep_their_identity', 'chats_one_per_event', 'chats_one_per_pair', 'chats_uids_are_unique', 'messages_keep_their_identity',
    'participants_keep_their_identity', 'revs_are_given_by_the_database', 'revs_are_never_used_twice', 'revs_need_read_committed',
    -- bind what is in no table of the chats: nobody asks about it
    'broadcast_event_is_a_name', 'broadcast_has_one_content', 'broadcast_is_short', 'resume_is_short', 'states_are_few',
    -- searches are no question about a row
    'searches_are_for_a_few_words', 'searches_are_short', 'searches_find_what_one_reads', 'searches_have_a_word', 'searches_of_the_host_are_of_one_chat'],
  'every rule that refuses somebody tells the fact by which it does; a constraint tells the values');

select is_empty($$
  select p.oid::regprocedure::text
  from pg_proc p
  where p.pronamespace = 'chat'::regnamespace
    and has_function_privilege('authenticated', p.oid, 'execute') <> has_function_privilege('anon', p.oid, 'execute')
    and p.proname not in (select d.door from chat_private.doors d)
  union all
  select p.oid::regprocedure::text
  from pg_proc p
  where p.pronamespace = 'chat'::regnamespace
    and has_function_privilege('service_role', p.oid, 'execute') <> has_function_privilege('authenticated', p.oid, 'execute')
    and p.proname not in (select d.door from chat_private.doors d)
$$, 'a function that not everybody may call has its rule');
select is_empty($$
  select d.door || ' ' || d.rule
  from chat_private.doors d
  where d.door not in (select p.proname from pg_proc p where p.pronamespace = 'chat'::regnamespace) or d.rule not in (select r.number from chat.rules r)
$$, '… which exists, as the function does');
select is_empty($$
  select h.role || ' ' || h.command || ' ' || h.target from chat_private.holders h group by h.role, h.command, h.target having count(*) > 1
$$, 'one policy or function holds a command of a role');

select * from finish();
rollback;

-- Why: the rules answer questions.
--
-- chat.why does what it is asked about, as whom it is asked about, and takes it back. So its answer is that of the policies, triggers, constraints
-- and grants themselves, and nothing here decides anything. What is added is told afterwards: which of them it was, and the fact that decided.
--
-- What is tried is what the API does. That is the statement on the table itself, but for
--
--   insert messages       sent once per id; with a created_at: chat.import_messages
--   delete messages       chat.delete_message
--   insert chats          by type: chat.create_group, chat.create_room, chat.open_direct, chat.put_event_chat
--   delete chats          chat.delete_chat; that of an event, by event_id and type: chat.end_event_chat
--   insert participants   oneself: chat.join_room; somebody else: added, or given another role
--   delete participants   left_at: who is in it is removed, or leaves
--   insert friendships    asked for, or accepted where they have asked
--   delete users          oneself: chat.erase_me; somebody else: chat.erase_user
--
-- A row is named by its key, its parts joined by slashes: message or chat/message, chat/user, message/emoji. What is left out is whom it is
-- asked about.

-- who holds what -----------------------------------------------------------------------------------------------
-- A refusal by a grant or a policy names no rule, since Postgres knows of none. This is which it was: read from the catalogue.

create view chat_private.doors as
select d.door, d.rule
from (values
  ('create_group', 'chats.3'),
  ('create_room', 'chats.3'),
  ('open_direct', 'direct.1'),
  ('join_room', 'participants.2'),
  ('delete_chat', 'chats.6'),
  ('put_event_chat', 'chats.17'),
  ('end_event_chat', 'chats.17'),
  ('delete_message', 'messages.5'),
  ('import_messages', 'imports.1'),
  ('erase_me', 'users.10'),
  ('erase_user', 'users.10'),
  ('export_me', 'users.11'),
  ('introduce_me', 'users.8'),
  ('sync', 'changes.1'),
  ('changes', 'changes.1'),
  ('search', 'search.1'),
  ('upkeep', 'retention.4'),
  ('expect_edits', 'edits.1'),
  ('expect_free_id', 'messages.13')
) d (door, rule);

create view chat_private.holders as
with policies as (
  select
    c.relname::text as target,
    case p.polcmd when 'r' then 'select' when 'a' then 'insert' when 'w' then 'update' when 'd' then 'delete' end as command,
    r.rolname::text as role,
    p.polname::text as policy,
    split_part(obj_description(p.oid, 'pg_policy'), ':', 1) as rule
  from pg_policy p
  join pg_class c on c.oid = p.polrelid
  join pg_namespace n on n.oid = c.relnamespace and n.nspname = 'chat'
  join pg_roles r on r.oid = any (p.polroles)
  where p.polpermissive
)
-- who has no policy is held by that there is one for others: its rule says for whom
(select distinct on (k.role, p.command, p.target)
   k.role, p.command, p.target, format('policy %I on chat.%I', p.policy, p.target) as held_by, p.rule
 from (values ('anon'), ('authenticated'), ('service_role')) k (role)
 join policies p on p.role in ('anon', 'authenticated', 'service_role')
 order by k.role, p.command, p.target, p.role = k.role desc, p.role)
union all
-- what nobody has a policy for
select k.role, c.command, t.target, 'no policy on chat.' || t.target, t.rule
from (values ('anon'), ('authenticated'), ('service_role')) k (role),
     (values ('insert'), ('update'), ('delete')) c (command),
     (values ('rules', 'rules.1'), ('settings', 'settings.1')) t (target, rule)
union all
select k.role, 'execute', d.door, format('function chat.%I', d.door), d.rule
from (values ('anon'), ('authenticated'), ('service_role')) k (role), chat_private.doors d;

create function chat_private.held_rules() returns table (held text, name text)
language sql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
  -- what a problem document says where Postgres names no rule
  select concat_ws(' ', h.role, h.command, h.target), r.name
  from chat_private.holders h
  join chat.rules r on r.number = h.rule
$$;
grant execute on function chat_private.held_rules() to chat_api;

create function chat_private.holder(_role text, _command text, _table text, _door text, out held_by text, out rule text)
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
  select h.held_by
         || coalesce((select ', or ' || string_agg(format('restrictive policy %I', p.polname), ', ')
                      from pg_policy p
                      join pg_roles r on r.oid = any (p.polroles) and r.rolname = _role
                      where p.polrelid = to_regclass('chat.' || h.target)
                        and not p.polpermissive
                        and p.polcmd in ('*', case h.command when 'select' then 'r' when 'insert' then 'a' when 'update' then 'w' else 'd' end)), ''),
         h.rule
  from chat_private.holders h
  where h.role = _role
    and h.command = case when _door is null then _command else 'execute' end
    and h.target = coalesce(_door, _table)
$$;

create function chat_private.missing_grant(
  _role text, _door text, _table text, _reads boolean, _inserts text[], _updates text[], _deletes boolean) returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
-- which right the role lacks of those that the statement needs; null: none, so a policy held it
declare
  on_table text := format('chat.%I', _table);
  lacks text;
begin
  if _door is not null then
    return (select format('%s may not execute chat.%I', _role, _door)
            from pg_proc p
            where p.pronamespace = 'chat'::regnamespace and p.proname = _door and not has_function_privilege(_role, p.oid, 'execute'));
  end if;
  select string_agg(n.what, ', ')
  into lacks
  from (
    select 'select' where _reads and not has_any_column_privilege(_role, on_table, 'select')
    union all
    select format('insert (%s)', string_agg(i.name, ', ' order by i.place))
    from unnest(_inserts) with ordinality i (name, place)
    where not has_column_privilege(_role, on_table, i.name, 'insert')
    having count(*) > 0
    union all
    select format('update (%s)', string_agg(u.name, ', ' order by u.place))
    from unnest(_updates) with ordinality u (name, place)
    where not has_column_privilege(_role, on_table, u.name, 'update')
    having count(*) > 0
    union all
    select 'delete' where _deletes and not has_table_privilege(_role, on_table, 'delete')) n (what);
  return _role || ' may not ' || lacks;
end
$$;

create function chat_private.raiser(_context text, _table text, _command text) returns text
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
  -- The innermost of our functions that an error came through, but for those that only raise; and the trigger that it was called by. The words
  -- of a context differ with the language of the server, the signatures do not.
  with raised as (
    select p.oid, p.oid::regprocedure::text as signature, p.prorettype, strpos(_context, p.oid::regprocedure::text) as place
    from pg_proc p
    where p.pronamespace in ('chat'::regnamespace, 'chat_private'::regnamespace)
      and p.proname not in ('refuse', 'refuse_outsider', 'why')
      and strpos(_context, p.oid::regprocedure::text) > 0
  )
  select concat_ws(', ',
    case when i.prorettype <> 'trigger'::regtype then 'function ' || i.signature end,
    (select format('trigger %I on chat.%I', t.tgname, c.relname)
     from raised r
     join pg_trigger t on t.tgfoid = r.oid
     join pg_class c on c.oid = t.tgrelid
     where c.relnamespace = 'chat'::regnamespace
     order by
       r.place,
       c.relname = _table desc,
       t.tgtype & case _command when 'insert' then 4 when 'update' then 16 else 8 end <> 0 desc,
       t.tgname
     limit 1))
  from (select r.signature, r.prorettype from raised r order by r.place limit 1) i
$$;

-- the facts ----------------------------------------------------------------------------------------------------
-- They describe and never decide. They are for who asks why, who may become everybody: they tell what a refusal must not.

create function chat_private.when_was(_at timestamptz) returns text
language sql
volatile
set search_path = pg_catalog, pg_temp
as $$
  -- 14:05 UTC, 3 minutes ago
  select to_char(_at at time zone 'UTC', case when (_at at time zone 'UTC')::date = (d.now at time zone 'UTC')::date then 'HH24:MI' else 'YYYY-MM-DD HH24:MI' end)
         || ' UTC, '
         || case when u.n = 0 then 'just now'
                 else case when d.seconds < 0 then 'in ' else '' end
                      || u.n || ' ' || u.unit || case when u.n = 1 then '' else 's' end
                      || case when d.seconds < 0 then '' else ' ago' end end
  from (select clock_timestamp() as now, extract(epoch from clock_timestamp() - _at) as seconds) d
  cross join lateral (select case when abs(d.seconds) < 60 then abs(d.seconds)::bigint
                                  when abs(d.seconds) < 3600 then (abs(d.seconds) / 60)::bigint
                                  when abs(d.seconds) < 172800 then (abs(d.seconds) / 3600)::bigint
                                  else (abs(d.seconds) / 86400)::bigint end as n,
                             case when abs(d.seconds) < 60 then 'second'
                                  when abs(d.seconds) < 3600 then 'minute'
                                  when abs(d.seconds) < 172800 then 'hour'
                                  else 'day' end as unit) u
$$;

create function chat_private.called(_user uuid) returns text
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
  -- nobody: the role that asks
  select case when _user is null then coalesce(chat.claims() ->> 'role', 'nobody')
              else coalesce((select coalesce(u.username, u.display_name) || case when u.erased_at is null then '' else ' (' || u.id || ')' end
                             from chat.users u
                             where u.id = _user), _user::text) end
$$;

create function chat_private.part_of(_user uuid, _chat uuid) returns text
language sql
volatile
set search_path = pg_catalog, pg_temp
as $$
  select chat_private.called(_user)
         || coalesce((select case when p.left_at is not null then ' is not a participant since ' || chat_private.when_was(p.left_at)
                                  when p.role = 'owner' then ' is an owner'
                                  else ' is a ' || p.role end
                      from chat.participants p
                      where p.chat_id = _chat and p.user_id = _user), ' is not a participant')
$$;

create function chat_private.chat_is(_chat uuid) returns text
language sql
volatile
set search_path = pg_catalog, pg_temp
as $$
  select coalesce((select case when c.deleted_at is not null then 'the chat was deleted at ' || chat_private.when_was(c.deleted_at)
                               else concat_ws(' ', 'the chat is a', case when c.type = 'room' then c.visibility end,
                                              case when c.type in ('direct', 'group', 'room') then replace(c.type, 'direct', 'direct chat')
                                                   else 'chat of an event' end) end
                   from chat.chats c
                   where c.id = _chat), 'no chat has this id')
$$;

create function chat_private.ties(_one uuid, _other uuid) returns text
language sql
volatile
set search_path = pg_catalog, pg_temp
as $$
  select coalesce(
    (select chat_private.called(f.requester_id)
            || case when f.accepted_at is null then ' asked ' || chat_private.called(f.addressee_id) || ' for friendship at ' || chat_private.when_was(f.created_at) || ', who has not accepted'
                    else ' and ' || chat_private.called(f.addressee_id) || ' are friends since ' || chat_private.when_was(f.accepted_at) end
     from chat.friendships f
     where least(f.requester_id, f.addressee_id) = least(_one, _other) and greatest(f.requester_id, f.addressee_id) = greatest(_one, _other)),
    chat_private.called(_one) || ' and ' || chat_private.called(_other) || ' are not friends')
$$;

create function chat_private.blocks_among(_one uuid, _others uuid[]) returns text
language sql
volatile
set search_path = pg_catalog, pg_temp
as $$
  select string_agg(chat_private.called(b.blocker_id) || ' blocked ' || chat_private.called(b.blocked_id) || ' at ' || chat_private.when_was(b.created_at), '; ')
  from chat.blocks b
  where b.blocker_id = _one and b.blocked_id = any (_others)
     or b.blocked_id = _one and b.blocker_id = any (_others)
$$;

create function chat_private.message_is(_chat uuid, _message uuid) returns text
language sql
volatile
set search_path = pg_catalog, pg_temp
as $$
  select coalesce(
    (select case when m.sender_id is null then 'the system' else chat_private.called(m.sender_id) end
            || ' sent it at ' || chat_private.when_was(m.created_at)
            || coalesce(', erased at ' || chat_private.when_was(m.erased_at), '')
            || coalesce(', deleted at ' || chat_private.when_was(m.deleted_at), '')
     from chat.messages m
     where m.chat_id = _chat and m.id = _message),
    (select 'it was removed for good at ' || chat_private.when_was(t.at)
     from chat.tombstones t
     where t.chat_id = _chat and t.row_id = _message and t.kind = 'message'
     limit 1),
    'no message has this id')
$$;

create function chat_private.offending(_constraint text, _row jsonb) returns text
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
  -- of a constraint: the values that it judges
  select string_agg(format('%s is %s', a.attname,
                           case when char_length(v.value) > 60 then char_length(v.value) || ' characters long'
                                when v.value is null then 'missing'
                                else v.value end), ', ' order by a.attnum)
  from pg_constraint c
  join pg_attribute a on a.attrelid = c.conrelid and a.attnum = any (c.conkey)
  cross join lateral (select (_row -> a.attname::text)::text as value) v
  where c.connamespace = 'chat'::regnamespace and c.conname = _constraint
$$;

create function chat_private.listed(_users uuid[]) returns text
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
  select string_agg(chat_private.called(u.id), ' and ' order by u.place) from unnest(_users) with ordinality u (id, place)
$$;

create function chat_private.other_of(_chat uuid) returns uuid
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
  select case when c.low_user_id = chat.uid() then c.high_user_id else c.low_user_id end from chat.chats c where c.id = _chat
$$;

create function chat_private.fact_of(_rule text, _chat uuid, _message uuid, _users uuid[], _row jsonb) returns text
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
-- why this rule refused it: for who asks (the claims), of this chat, this message, these people, these values; null where it says itself
declare
  me uuid := chat.uid();
  i text := chat_private.called(me);
  other uuid := _users[1];
  my_part text := chat_private.part_of(me, _chat);
  the_chat text := chat_private.chat_is(_chat);
  the_message text := chat_private.message_is(_chat, _message);
  sent_at timestamptz := (select m.created_at from chat.messages m where m.chat_id = _chat and m.id = _message);
  rules_of record;
begin
  select s.edit_window, s.text_max, s.direct, s.directory, s.public_rooms, s.anon_reads_public_rooms into rules_of from chat.settings s;
  return case
    -- who asks as what
    when _rule in ('service_writes', 'staff_reads', 'rules_are_read_by_everyone', 'settings_are_read_by_everyone', 'chats_event_ones_are_made_by_the_host',
                   'messages_are_imported_by_the_host', 'users_are_erased_by_themselves', 'chats_are_founded_as_oneself', 'changes_are_told_to_readers')
      then format('%s asks as %s', i, chat.claims() ->> 'role')

    -- chats, and who is in them
    when _rule = 'chats_exist' then the_chat
    when _rule in ('chats_are_read_by_participants', 'messages_are_read_by_readers', 'messages_are_sent_by_participants',
                   'reactions_are_seen_by_readers', 'reactions_are_made_by_participants', 'reads_are_seen_by_participants',
                   'participants_are_seen_by_readers', 'participants_join_public_rooms', 'tombstones_are_seen_by_readers',
                   'chats_are_changed_by_moderators', 'chats_are_deleted_by_owners', 'participants_are_added_by_moderators',
                   'messages_are_pinned_by_moderators')
      then my_part || ', and ' || the_chat
    when _rule in ('participants_get_roles_from_owners', 'participants_are_removed_by_moderators')
      then concat_ws(', and ', my_part, case when other is distinct from me then chat_private.part_of(other, _chat) end)
    when _rule = 'participants_keep_an_owner'
      then (select format('%s is the only owner of %s', chat_private.called(min(p.user_id::text) filter (where p.role = 'owner')::uuid), count(*))
            from chat.participants p
            where p.chat_id = _chat and p.left_at is null)
    when _rule = 'reads_are_marked_for_oneself'
      then case when other is distinct from me then format('it is the marker of %s, and %s asks', chat_private.called(other), i) else my_part end
    when _rule = 'chats_public_ones_are_made_by_admins' then format('%s is no admin, and public_rooms is %s', i, rules_of.public_rooms)
    when _rule in ('chats_stay_deleted') then the_chat
    when _rule = 'chats_direct_ones_have_a_pair'
      then (select format('it is the direct chat of %s and %s', chat_private.called(c.low_user_id), chat_private.called(c.high_user_id))
            from chat.chats c
            where c.id = _chat and c.type = 'direct')

    -- people, and what is between them
    when _rule = 'direct_chats_are_between_friends'
      then format('%s, and direct is %s', chat_private.ties(me, coalesce(other, chat_private.other_of(_chat))), rules_of.direct)
    when _rule in ('direct_chats_pass_no_block', 'friendships_pass_no_block', 'participants_are_not_added_over_a_block')
      then chat_private.blocks_among(me, coalesce(_users, array[chat_private.other_of(_chat)]))
    when _rule = 'direct_chats_are_with_somebody_else' then format('it would be with %s', coalesce(chat_private.called(other), i))
    when _rule in ('friendships_are_seen_by_the_two', 'friendships_are_asked_for_oneself', 'friendships_are_ended_by_either')
      then format('it is between %s, and %s asks', chat_private.listed(_users), i)
    when _rule = 'friendships_are_accepted_by_the_asked'
      then (select format('%s was asked, and %s asks', chat_private.called(f.addressee_id), i)
            from chat.friendships f
            where least(f.requester_id, f.addressee_id) = least(other, coalesce(_users[2], me))
              and greatest(f.requester_id, f.addressee_id) = greatest(other, coalesce(_users[2], me)))
    when _rule = 'friendships_are_one_per_pair' then chat_private.ties(coalesce(_users[2], me), other)
    when _rule in ('blocks_are_seen_by_the_blocker', 'blocks_are_made_by_the_blocker')
      then format('the block is of %s, and %s asks', coalesce(chat_private.called(_users[2]), i), i)
    when _rule = 'users_are_seen_by_who_knows_them'
      then case when not exists (select from chat.users u where u.id = other) then 'no user has this id'
                else format('%s, share no chat, and directory is %s', chat_private.ties(me, other), rules_of.directory) end
    when _rule = 'users_write_their_own_profile' then format('it is the profile of %s, and %s asks', chat_private.called(other), i)
    when _rule = 'users_are_exported_by_themselves' then format('%s asks', i)
    when _rule = 'users_exist'
      then coalesce((select string_agg(format('%s was erased at %s', u.id, chat_private.when_was(u.erased_at)), ', ')
                     from chat.users u
                     where u.id = any (_users) and u.erased_at is not null),
                    format('no user has the id %s', array_to_string(array(select g.id
                                                                         from unnest(_users) g (id)
                                                                         where not exists (select from chat.users u where u.id = g.id)), ', ')))
    when _rule = 'users_erased_are_gone'
      then (select string_agg(format('%s was erased at %s', u.id, chat_private.when_was(u.erased_at)), ', ')
            from chat.users u
            where u.id = any (_users || me || (_row ->> 'sender_id')::uuid) and u.erased_at is not null)
    when _rule = 'users_username_is_taken'
      then (select format('%s has it', u.id) from chat.users u where u.username = _row ->> 'username')

    -- messages
    when _rule in ('messages_are_edited_by_their_sender', 'messages_stay_deleted', 'messages_stay_erased', 'message_id_is_taken') then the_message
    when _rule in ('messages_are_deleted_by_sender_or_moderators', 'edits_are_seen_by_sender_and_moderators') then the_message || ', and ' || my_part
    when _rule = 'messages_exist'
      then concat_ws(', and ', the_message,
                     case when sent_at is not null then my_part end,
                     (select 'who comes reads from there on, which was at ' || chat_private.when_was(p.joined_at)
                      from chat.messages m
                      join chat.participants p on p.chat_id = m.chat_id and p.user_id = me and m.seq <= p.sees_after
                      where m.chat_id = _chat and m.id = _message))
    when _rule = 'message_id_was_used' then the_message
    when _rule = 'messages_are_edited_within_the_window'
      then format('the edit window of %s minutes ended at %s', round(extract(epoch from rules_of.edit_window) / 60, 1)::float, chat_private.when_was(sent_at + rules_of.edit_window))
    when _rule = 'messages_in_read_only_chats_are_moderators' then 'the chat is read-only, and ' || my_part
    when _rule = 'messages_text_is_short_enough' then format('this one has %s, and text_max is %s', char_length(_row ->> 'text'), rules_of.text_max)
    when _rule = 'messages_reply_within_their_chat' then 'what it answers: ' || chat_private.message_is(_chat, (_row ->> 'reply_to_id')::uuid)
    when _rule = 'imported_messages_are_of_the_past' then 'its time is ' || coalesce(_row ->> 'created_at', 'missing')
    when _rule = 'reactions_are_taken_back_by_who_made_them' then format('%s reacted, and %s asks', coalesce(chat_private.called(other), 'nobody'), i)
    when _rule = 'reactions_are_few'
      then (select format('it carries %s', jsonb_array_length(m.reactions)) from chat.messages m where m.chat_id = _chat and m.id = _message)
    end;
end
$$;

create function chat_private.fact_for(_role text, _command text, _table text, _chat uuid, _message uuid, _users uuid[], _row jsonb) returns text
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
-- what allowed it
declare
  me uuid := chat.uid();
  i text := chat_private.called(me);
  other uuid := _users[1];
  is_in boolean := exists (select from chat.participants p where p.chat_id = _chat and p.user_id = me and p.left_at is null);
  place text := case when is_in then chat_private.part_of(me, _chat) else chat_private.chat_is(_chat) end;
begin
  return case
    when _role = 'service_role' then 'service_role is the host application'
    when _table in ('rules', 'settings') then 'everyone reads them'
    when _table = 'users' and other is not distinct from me then format('%s is who asks', i)
    when _table = 'users' then
      concat_ws(', and ',
        chat_private.ties(me, other),
        (select format('they share %s', count(*)) || case when count(*) = 1 then ' chat' else ' chats' end
         from chat.participants p
         join chat.participants o on o.chat_id = p.chat_id and o.user_id = other and o.left_at is null
         where p.user_id = me and p.left_at is null))
    when _table = 'friendships' then chat_private.ties(coalesce(_users[2], me), other)
    when _table = 'blocks' then coalesce(chat_private.blocks_among(me, _users), format('%s blocks for themselves', i))
    when _table = 'chats' and _command = 'insert' and _row ->> 'type' = 'direct' then chat_private.ties(me, other)
    when _table = 'chats' and _command = 'insert' then
      format('%s founds it%s', i, case when _row ->> 'visibility' = 'public'
                                       then ', ' || case when chat.is_admin() then 'as an admin'
                                                         else 'and public_rooms is ' || (select s.public_rooms from chat.settings s) end end)
    when _table = 'chats' and not is_in and chat.is_admin() then format('%s is an admin, and %s', i, place)
    when _table = 'messages' and _command = 'update' and _row ? 'text' then
      (select format('%s, and the edit window ends at %s', chat_private.message_is(_chat, _message),
                     chat_private.when_was(m.created_at + (select s.edit_window from chat.settings s)))
       from chat.messages m
       where m.chat_id = _chat and m.id = _message)
    when _table in ('messages', 'message_edits', 'reactions') and _command <> 'insert' then
      chat_private.message_is(_chat, _message) || ', and ' || place
    when other <> me then concat_ws(', and ', place, case when _command <> 'insert' then chat_private.part_of(other, _chat) end)
    else place end;
end
$$;

-- the question -------------------------------------------------------------------------------------------------

create function chat_private.somebody(_who text) returns uuid
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
-- by id, username, or a display name that only one person bears
declare
  found_ids uuid[];
begin
  if _who is null or _who ~ '^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$' then
    return _who::uuid;
  end if;
  found_ids := array(select u.id from chat.users u where u.username = _who);
  if found_ids = '{}' then
    found_ids := array(select u.id from chat.users u where u.display_name = _who order by u.id limit 3);
  end if;
  if cardinality(found_ids) = 1 then
    return found_ids[1];
  elsif found_ids = '{}' then
    raise exception 'nobody is called %', _who using errcode = '22023', hint = 'who was never here is asked about by their id';
  end if;
  raise exception 'several people are called %', _who using errcode = '22023', hint = 'by id: ' || array_to_string(found_ids, ', ');
end
$$;

create function chat_private.chat_with(_message uuid, _user uuid) returns uuid
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
-- Where the message is: an id is unique within its chat alone. Each chat is a look into the primary key: a join might read every message.
declare
  found_ids uuid[] := array(
    select p.chat_id
    from chat.participants p
    cross join lateral (select from chat.messages m where m.chat_id = p.chat_id and m.id = _message limit 1) m
    where p.user_id = _user
    limit 2);
begin
  if found_ids = '{}' then
    found_ids := array(
      select c.id
      from chat.chats c
      cross join lateral (select from chat.messages m where m.chat_id = c.id and m.id = _message limit 1) m
      limit 2);
  end if;
  if cardinality(found_ids) > 1 then
    raise exception 'messages of several chats have this id' using errcode = '22023', hint = format('say which: %s/%s', found_ids[1], _message);
  end if;
  return found_ids[1];
end
$$;

create function chat_private.written(
  _table text, _row jsonb, out names text[], out columns text, out literals text, out assignments text)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
-- a row to write, as the columns of a statement and what is written to them
declare
  one record;
  literal text;
begin
  names := '{}';
  for one in
    select k.name, a.attname is not null as is_column
    from jsonb_object_keys(_row) k (name)
    left join pg_attribute a on a.attrelid = format('chat.%I', _table)::regclass and a.attnum > 0 and not a.attisdropped and a.attname = k.name
    order by a.attnum
  loop
    if not one.is_column then
      raise exception 'chat.% has no column %', _table, one.name using errcode = '42703';
    end if;
    execute format('select (jsonb_populate_record(null::chat.%I, $1)).%I::text', _table, one.name) into literal using _row;
    names := names || one.name;
    columns := concat_ws(', ', columns, quote_ident(one.name));
    literals := concat_ws(', ', literals, quote_nullable(literal));
    assignments := concat_ws(', ', assignments, format('%I = %L', one.name, literal));
  end loop;
end
$$;

create function chat_private.question(
  _role text, _me uuid, _command text, _table text, _id text, _values jsonb,
  out of_chat uuid, out of_message uuid, out of_users uuid[],  -- what it is about
  out existing jsonb,       -- the row as it is
  out asked jsonb,          -- what would be written to it
  out is_nowhere boolean,   -- there is no message with this id in any chat
  out tried text,           -- what the API does
  out settled text,         -- where that found no row: finds one if nothing is refused thereby
  out expected text,        -- where it did not: refuses by name
  out door text,            -- the function that it goes through, if any
  out judged_as text,       -- the command whose policy reaches for the row
  out inserts text[], out updates text[])
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
  an_id constant text := '^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$';
  parts text[] := coalesce(string_to_array(_id, '/'), '{}');
  n integer := cardinality(parts);
  emoji text;
  its_key text;
  key_columns jsonb;
  event_type text := _values ->> 'type';
  w record;
begin
  if _command is null or _command not in ('select', 'insert', 'update', 'delete') then
    raise exception 'a command is select, insert, update or delete' using errcode = '22023';
  end if;
  asked := coalesce(_values, '{}');
  judged_as := case when _table = 'participants' and _command = 'delete' then 'update' else _command end;

  -- the key
  if _table in ('chats', 'participants', 'read_markers') or _table = 'messages' and (_command = 'insert' or n = 2) then
    if n > 0 and not (_table = 'chats' and _command = 'insert') then
      of_chat := case when parts[1] ~ an_id then parts[1]::uuid else (select c.id from chat.chats c where c.uid = parts[1]) end;
    else
      of_chat := (asked ->> 'chat_id')::uuid;
    end if;
  end if;
  case _table
    when 'users' then
      of_users := array[chat_private.somebody(coalesce(parts[1], asked ->> 'id'))];
      its_key := format('t.id = %L', of_users[1]);
    when 'friendships', 'blocks' then
      of_users := array_remove(array[chat_private.somebody(parts[n]), case when n = 2 then chat_private.somebody(parts[1]) end], null);
      its_key := case _table
        when 'blocks' then format('t.blocker_id = %L and t.blocked_id = %L', coalesce(of_users[2], _me), of_users[1])
        else format('least(t.requester_id, t.addressee_id) = least(%1$L::uuid, %2$L::uuid) and greatest(t.requester_id, t.addressee_id) = greatest(%1$L::uuid, %2$L::uuid)',
                    coalesce(of_users[2], _me), of_users[1]) end;
    when 'chats' then
      its_key := format('t.id = %L', of_chat);
    when 'participants', 'read_markers' then
      of_users := array[coalesce(chat_private.somebody(parts[2]), (asked ->> 'user_id')::uuid, _me)];
      its_key := format('t.chat_id = %L and t.user_id = %L', of_chat, of_users[1]);
      asked := asked - 'chat_id' - 'user_id';
    when 'messages', 'message_edits', 'reactions' then
      if _table = 'reactions' then
        emoji := coalesce(case when parts[n] !~ an_id then parts[n] end, asked ->> 'emoji', case when _command <> 'select' then '👍' end);
        parts := case when parts[n] !~ an_id then parts[1:n - 1] else parts end;
        n := cardinality(parts);
        of_users := array[coalesce(chat_private.somebody(parts[3]), case when _command <> 'select' then _me end)];
        asked := asked - 'emoji';
      end if;
      if _table = 'messages' and _command = 'insert' then
        of_message := coalesce(parts[2], asked ->> 'id')::uuid;
      elsif n = 1 then
        of_message := parts[1]::uuid;
        of_chat := chat_private.chat_with(of_message, _me);
      else
        of_chat := parts[1]::uuid;
        of_message := parts[2]::uuid;
      end if;
      its_key := format('t.chat_id = %L and t.%I = %L', of_chat, case _table when 'messages' then 'id' else 'message_id' end, of_message);
      if _table = 'reactions' then
        its_key := its_key || case when of_users[1] is null then '' else format(' and t.user_id = %L', of_users[1]) end || case when emoji is null then '' else format(' and t.emoji = %L', emoji) end;
      elsif _table = 'message_edits' and n = 3 then
        its_key := its_key || format(' and t.rev = %L', parts[3]);
      end if;
    else
      -- by its primary key
      select string_agg(format('t.%I = %L', a.attname, parts[k.place]), ' and ' order by k.place), jsonb_object_agg(a.attname, parts[k.place])
      into its_key, key_columns
      from pg_index x
      cross join lateral unnest(x.indkey) with ordinality k (attnum, place)
      join pg_attribute a on a.attrelid = x.indrelid and a.attnum = k.attnum
      where x.indrelid = to_regclass(format('chat.%I', _table)) and x.indisprimary;
      if its_key is null then
        raise exception 'schema chat has no table %', _table using errcode = '42P01';
      end if;
      its_key := case _table when 'settings' then 't.only_row' else its_key end;
      of_chat := case _table when 'tombstones' then parts[1]::uuid end;
  end case;
  if n = 0 and _command <> 'insert' and _table <> 'settings' and not (_table = 'chats' and event_type is not null) then
    raise exception 'of chat.%, which row?', _table using errcode = '22023', hint = 'by its key, its parts joined by slashes';
  end if;
  execute format('select to_jsonb(t) from chat.%I t where %s limit 1', _table, its_key) into existing;

  -- what is tried
  case
    when _command = 'select' then
      tried := format('select 1 from chat.%I t where %s', _table, its_key);
      expected := case
        when _table in ('chats', 'participants', 'read_markers', 'tombstones') then format('select chat.expect_reader(%L)', of_chat)
        when _table in ('messages', 'reactions') then format('select chat.expect_message(%L, %L)', of_chat, of_message)
        when _table = 'message_edits' and _role <> 'anon' then format('select chat.expect_edits(%L, %L)', of_chat, of_message)
        when _table = 'users' then format('select chat.expect_user(%L)', of_users[1]) end;

    when _command = 'insert' and _table = 'messages' and asked ? 'created_at' then
      door := 'import_messages';
      tried := format('select imported from chat.import_messages(%L, %L)', of_chat, jsonb_build_array(jsonb_strip_nulls(jsonb_build_object(
        'id', of_message, 'senderId', asked -> 'sender_id', 'kind', asked -> 'kind', 'text', coalesce(asked -> 'text', '"x"'), 'mentions', asked -> 'mentions',
        'replyToId', asked -> 'reply_to_id', 'attachmentUrl', asked -> 'attachment_url', 'createdAt', asked -> 'created_at', 'editedAt', asked -> 'edited_at'))));
    when _command = 'insert' and _table = 'messages' then
      asked := jsonb_strip_nulls(jsonb_build_object('chat_id', of_chat, 'id', of_message)) || '{"text": "x"}' || asked;
      select c.names, c.columns, c.literals into w from chat_private.written(_table, asked) c;
      inserts := w.names;
      tried := format('insert into chat.messages (%s) values (%s) on conflict (chat_id, id) do nothing', w.columns, w.literals);
      settled := format('select 1 from chat.messages t where %s and t.sender_id is not distinct from (select chat.uid()) and t.deleted_at is null', its_key);
      expected := format('select chat.expect_free_id(%L, %L)', of_chat, of_message);

    when _command = 'insert' and _table = 'chats' then
      asked := '{"type": "group"}' || asked;
      of_users := case
        when asked ->> 'type' = 'direct' then array[chat_private.somebody(coalesce(parts[1], asked #>> '{user_ids,0}'))]
        else array(select chat_private.somebody(u.who) from jsonb_array_elements_text(case when asked ? 'user_ids' then asked -> 'user_ids' else '[]' end) u (who)) end;
      case asked ->> 'type'
        when 'direct' then
          door := 'open_direct';
          tried := format('select chat.open_direct(%L)', of_users[1]);
        when 'group' then
          door := 'create_group';
          tried := format('select chat.create_group(%L, %L)', asked ->> 'name', of_users);
        when 'room' then
          door := 'create_room';
          asked := '{"name": "x", "visibility": "private"}' || asked;
          tried := format('select chat.create_room(%L, %L, %L)', asked ->> 'name', asked ->> 'visibility', asked ->> 'topic');
        else
          door := 'put_event_chat';
          asked := '{"event_id": "x", "name": "x"}' || asked;
          tried := format('select chat.put_event_chat(%L, %L, %L, %L)', asked ->> 'event_id', asked ->> 'type', asked ->> 'name', of_users);
      end case;

    when _command = 'insert' and _table = 'participants' and of_users[1] is not distinct from _me and asked = '{}' then
      door := 'join_room';
      tried := format('select chat.join_room(%L)', coalesce(parts[1], of_chat::text));
    when _command = 'insert' and _table = 'participants' then
      asked := jsonb_build_object('chat_id', of_chat, 'user_id', of_users[1], 'role', 'member') || asked;
      select c.names, c.columns, c.literals into w from chat_private.written(_table, asked) c;
      inserts := w.names;
      updates := array['role', 'left_at'];
      tried := format('insert into chat.participants as p (%s) values (%s) on conflict (chat_id, user_id) do update set left_at = null, role = %s',
                      w.columns, w.literals, case when _values ? 'role' then format('%L', asked ->> 'role') else 'p.role' end);

    when _command = 'insert' and _table = 'read_markers' then
      asked := jsonb_build_object('chat_id', of_chat) || case when of_users[1] is distinct from _me then jsonb_build_object('user_id', of_users[1]) else '{}' end
               || jsonb_build_object('seq', coalesce((select m.seq from chat.messages m where m.chat_id = of_chat order by m.seq desc limit 1), 0)) || asked;
      select c.names, c.columns, c.literals into w from chat_private.written(_table, asked) c;
      inserts := w.names;
      updates := array['seq'];
      tried := format('insert into chat.read_markers (%s) values (%s) on conflict (chat_id, user_id) do update set seq = excluded.seq', w.columns, w.literals);

    when _command = 'insert' and _table = 'reactions' then
      asked := jsonb_build_object('chat_id', of_chat, 'message_id', of_message, 'emoji', emoji)
               || case when of_users[1] is distinct from _me then jsonb_build_object('user_id', of_users[1]) else '{}' end || asked;
      select c.names, c.columns, c.literals into w from chat_private.written(_table, asked) c;
      inserts := w.names;
      tried := format('insert into chat.reactions (%s) values (%s) on conflict (chat_id, message_id, user_id, emoji) do nothing', w.columns, w.literals);
      settled := format('select 1 from chat.reactions t where %s', its_key);

    when _command = 'insert' and _table = 'friendships' and n = 1 and asked = '{}' then
      inserts := array['addressee_id'];
      updates := array['accepted_at'];
      tried := format('insert into chat.friendships as f (addressee_id) values (%L) '
                      'on conflict (least(requester_id, addressee_id), greatest(requester_id, addressee_id)) do update '
                      'set accepted_at = clock_timestamp() where f.addressee_id = (select chat.uid()) and f.accepted_at is null', of_users[1]);
      settled := format('select 1 from chat.friendships t where %s', its_key);
    when _command = 'insert' and _table = 'blocks' and n = 1 and asked = '{}' then
      inserts := array['blocked_id'];
      tried := format('insert into chat.blocks (blocked_id) values (%L) on conflict (blocker_id, blocked_id) do nothing', of_users[1]);
      settled := format('select 1 from chat.blocks t where %s', its_key);

    when _command = 'insert' then
      asked := case _table
        when 'users' then jsonb_build_object('id', coalesce(of_users[1], gen_random_uuid()), 'display_name', 'x')
        when 'friendships' then jsonb_build_object('requester_id', coalesce(of_users[2], _me), 'addressee_id', of_users[1])
        when 'blocks' then jsonb_build_object('blocker_id', coalesce(of_users[2], _me), 'blocked_id', of_users[1])
        when 'message_edits' then jsonb_build_object('chat_id', of_chat, 'message_id', of_message, 'text', 'x')
        else coalesce(key_columns, '{}') end || asked;
      select c.names, c.columns, c.literals into w from chat_private.written(_table, asked) c;
      inserts := w.names;
      tried := format('insert into chat.%I (%s) values (%s)', _table, w.columns, w.literals);

    when _command = 'update' then
      if asked = '{}' then
        asked := case _table
          when 'messages' then jsonb_build_object('text', case when existing ->> 'text' = 'x' then 'y' else 'x' end)
          when 'chats' then jsonb_build_object('name', case when existing ->> 'name' = 'x' then 'y' else 'x' end)
          when 'participants' then jsonb_build_object('role', case when existing ->> 'role' = 'member' then 'moderator' else 'member' end)
          when 'users' then '{"display_name": "x"}'
          when 'friendships' then jsonb_build_object('accepted_at', clock_timestamp())
          -- what nobody may change is asked for by what it is
          else coalesce((select jsonb_build_object(a.attname, existing -> a.attname)
                         from pg_attribute a
                         where a.attrelid = format('chat.%I', _table)::regclass and a.attnum > 0 and not a.attisdropped
                           and not exists (select from pg_index x where x.indrelid = a.attrelid and x.indisprimary and a.attnum = any (x.indkey))
                         order by a.attnum
                         limit 1), '{}') end;
      end if;
      select c.names, c.assignments into w from chat_private.written(_table, asked) c;
      updates := w.names;
      tried := format('update chat.%I t set %s where %s', _table, w.assignments, its_key);
      expected := case
        when _table in ('chats', 'participants', 'read_markers') then format('select chat.expect_reader(%L)', of_chat)
        when _table = 'messages' then format('select chat.expect_message(%L, %L)', of_chat, of_message)
        when _table = 'users' and existing is null then format('select chat.expect_user(%L)', of_users[1]) end;

    when _table = 'messages' then
      door := 'delete_message';
      tried := format('select chat.delete_message(%L, %L)', of_chat, of_message);
    when _table = 'chats' and n = 0 then
      door := 'end_event_chat';
      tried := format('select chat.end_event_chat(%L, %L)', asked ->> 'event_id', event_type);
    when _table = 'chats' then
      door := 'delete_chat';
      tried := format('select chat.delete_chat(%L)', of_chat);
    when _table = 'users' and of_users[1] is not distinct from _me then
      door := 'erase_me';
      tried := 'select chat.erase_me()';
    when _table = 'users' then
      door := 'erase_user';
      tried := format('select chat.erase_user(%L)', of_users[1]);
    when _table = 'participants' then
      updates := array['left_at'];
      tried := format('update chat.participants t set left_at = clock_timestamp() where %s and t.left_at is null', its_key);
      settled := format('select 1 from chat.participants t where %s and t.left_at is not null', its_key);
      expected := format('select chat.expect_reader(%L)', of_chat);
      existing := case when existing ->> 'left_at' is null then existing end;
    else
      tried := format('delete from chat.%I t where %s', _table, its_key);
      if _table = 'reactions' then
        expected := format('select chat.expect_message(%L, %L)', of_chat, of_message);
      end if;
  end case;
  if _table = 'reactions' and _command <> 'insert' then
    settled := format('select 1 from chat.messages t where t.chat_id = %L and t.id = %L', of_chat, of_message);
  end if;
  is_nowhere := of_message is not null and of_chat is null and not (_table = 'messages' and _command = 'insert');
end
$$;

create function chat.why(
  _sub text, _command text, _table text, _id text default null, _values jsonb default null, _claims jsonb default '{}')
returns table (allowed boolean, code text, rule text, sentence text, held_by text, fact text, tried text)
language plpgsql
volatile  -- with the rights of who asks, who becomes the one that it is about: inside a definer's function nobody can
set search_path = pg_catalog, pg_temp
as $$
declare
  asks_as text := case when _sub in ('anon', 'service_role') then _sub else 'authenticated' end;
  me uuid := case when _sub not in ('anon', 'service_role') then chat_private.somebody(_sub) end;
  q record;
  holder record;
  stage text := 'to become';
  n bigint := 0;
  state text;
  broken text;
  broken_table text;
  broken_column text;
  said text;
  context text;
  lacks text;
begin
  if _sub is null then
    raise exception 'why may, or may not, who?' using errcode = '22023', hint = 'somebody''s id or name, anon or service_role';
  elsif _command <> 'select' and current_setting('transaction_read_only')::boolean then
    raise exception 'chat.why really does it and takes it back, which a read-only transaction or a standby does not let it' using errcode = '25006';
  elsif _command <> 'select' and current_setting('transaction_isolation') <> 'read committed' then
    raise exception 'chat.why is asked under read committed, since chats are written under that alone' using errcode = '25001';
  end if;
  begin
    -- local to this block: the error at its end takes them back with everything else
    perform set_config('request.jwt.claims', (coalesce(_claims, '{}') || jsonb_strip_nulls(jsonb_build_object('sub', me, 'role', asks_as)))::text, true),
            set_config('chat.hints_to', 'nobody', true),
            set_config('lock_timeout', '2s', true),
            set_config('row_security', 'on', true);
    select g.of_chat, g.of_message, g.of_users, g.existing, g.is_nowhere, g.asked, g.tried, g.settled, g.expected, g.door, g.judged_as, g.inserts, g.updates
    into q
    from chat_private.question(asks_as, me, _command, _table, _id, _values) g;

    begin
      begin
        perform set_config('role', asks_as, true);
      exception when insufficient_privilege then
        -- who may let themselves become it does, for as long as this takes
        perform set_config('role', 'none', true);
        execute format('grant %I to %I', asks_as, session_user);
        perform set_config('role', asks_as, true);
      end;
      stage := 'to do';
      execute q.tried;
      get diagnostics n = row_count;
      if n = 0 and q.settled is not null then
        execute q.settled;
        get diagnostics n = row_count;
        stage := case when n > 0 then 'settled' else stage end;
      end if;
      if n = 0 and q.expected is not null then
        stage := 'to expect';
        execute q.expected;
      end if;
      raise exception using errcode = 'TT000';
    exception when others then
      get stacked diagnostics
        state = returned_sqlstate, broken = constraint_name, broken_table = table_name, broken_column = column_name, said = message_text,
        context = pg_exception_context;
    end;

    if stage = 'to become' then
      raise exception 'this login may not become %, so it can''t tell why', asks_as
        using errcode = '42501', detail = said, hint = format('grant %I to %I', asks_as, session_user);
    elsif state = '55P03' then
      raise exception 'somebody else is writing there: ask again' using errcode = '55P03';
    elsif state <> 'TT000' and state !~ '^(PT4|22|23)' and state <> '42501' then
      raise exception using errcode = state, message = said;
    end if;
    select h.held_by, h.rule into holder from chat_private.holder(asks_as, coalesce(q.judged_as, _command), _table, q.door) h;
    tried := q.tried;

    if state = 'TT000' and n > 0 and stage = 'to do' then
      allowed := true;
      held_by := holder.held_by;
      rule := case
        when _command = 'update' and _table = 'messages' and q.asked ? 'pinned_at' then 'messages.6'
        when _command = 'update' and _table = 'participants' then 'participants.4'
        when _command = 'insert' and _table = 'participants' and q.door is null then 'participants.3'
        else holder.rule end;
      fact := chat_private.fact_for(asks_as, _command, _table, q.of_chat, q.of_message, q.of_users, q.asked);
    elsif state = 'TT000' and not q.is_nowhere and (stage = 'settled' or q.existing is null) then
      -- nothing there to be held back from
      allowed := case when _command in ('insert', 'delete') then true end;
      rule := holder.rule;
      held_by := case when allowed then holder.held_by end;
      fact := case when _command = 'insert' then 'it is so already' else 'there is no such row' end;
    else
      allowed := false;
      if q.is_nowhere and state in ('TT000', 'PT404') then
        code := 'messages_exist';
        rule := (select r.number from chat.rules r where r.name = code);
      elsif state = 'TT000' then
        rule := holder.rule;
        code := (select r.name from chat.rules r where r.number = rule);
        held_by := holder.held_by;
      elsif state = '42501' then
        code := 'not_allowed';
        rule := holder.rule;
        lacks := chat_private.missing_grant(asks_as, q.door, _table, _command = 'select' or q.settled is not null, q.inserts, q.updates,
                                            _command = 'delete' and q.updates is null);
        held_by := case when lacks is null then holder.held_by else 'the grants on chat.' || coalesce(q.door, _table) end;
      else
        code := nullif(broken, '');
        rule := (select r.number from chat.rules r where r.name = broken);
        held_by := case
          when stage = 'to expect' then holder.held_by
          when state like 'PT%' then chat_private.raiser(context, _table, _command)
          when broken <> '' and exists (select from pg_constraint c where c.connamespace = 'chat'::regnamespace and c.conname = broken)
            then format('constraint %I on chat.%I', broken, broken_table)
          when broken <> '' then format('index chat.%I', broken)
          when broken_column <> '' then format('column %I of chat.%I', broken_column, broken_table)
          else 'the type of a value' end;
      end if;
      fact := coalesce(
        lacks,
        chat_private.fact_of((select r.name from chat.rules r where r.number = rule), q.of_chat, q.of_message, q.of_users, coalesce(q.existing, '{}') || q.asked),
        chat_private.offending(broken, coalesce(q.existing, '{}') || q.asked),
        said);
    end if;
    sentence := (select r.sentence from chat.rules r where r.number = rule);
    raise exception using errcode = 'TT001';
  exception when sqlstate 'TT001' then
    null;
  end;
  return next;
end
$$;

-- comments -------------------------------------------------------------------------------------------------------

comment on view chat_private.doors is 'Which rule says who may call a function of schema chat that not everybody may.';
comment on view chat_private.holders is 'For each role, command and table: the policy that holds it, or who has none the policy of others, and the rule that it cites. For each role and door: its rule.';
comment on function chat_private.held_rules() is 'The rule of each role, command and table, or door, for the server to learn.';
comment on function chat_private.holder(text, text, text, text) is 'The policy or door that holds a command of a role, and its rule.';
comment on function chat_private.missing_grant(text, text, text, boolean, text[], text[], boolean) is 'Which grant a role lacks for a statement; null: none.';
comment on function chat_private.raiser(text, text, text) is 'Which function and trigger an error came from.';
comment on function chat_private.when_was(timestamptz) is 'A time for people: 14:05 UTC, 3 minutes ago.';
comment on function chat_private.called(uuid) is 'What a fact calls somebody.';
comment on function chat_private.listed(uuid[]) is 'What a fact calls several people.';
comment on function chat_private.other_of(uuid) is 'The other of a direct chat.';
comment on function chat_private.part_of(uuid, uuid) is 'A fact: whether and as what somebody is in a chat.';
comment on function chat_private.chat_is(uuid) is 'A fact: what a chat is.';
comment on function chat_private.ties(uuid, uuid) is 'A fact: whether two people are friends.';
comment on function chat_private.blocks_among(uuid, uuid[]) is 'A fact: who of these blocked whom.';
comment on function chat_private.message_is(uuid, uuid) is 'A fact: whose a message is and what became of it.';
comment on function chat_private.offending(text, jsonb) is 'A fact: the values that a constraint refused.';
comment on function chat_private.fact_of(text, uuid, uuid, uuid[], jsonb) is 'The fact by which a rule refused; null where the rule says it itself.';
comment on function chat_private.fact_for(text, text, text, uuid, uuid, uuid[], jsonb) is 'The fact by which something was allowed.';
comment on function chat_private.somebody(text) is 'Who is meant: by id, username, or a display name of their own.';
comment on function chat_private.chat_with(uuid, uuid) is 'Which chat has a message, those that somebody was in first.';
comment on function chat_private.written(text, jsonb) is 'A row to write, as the parts of a statement.';
comment on function chat_private.question(text, uuid, text, text, text, jsonb) is 'What a question is about, and the statements that answer it.';
comment on function chat.why(text, text, text, text, jsonb, jsonb) is 'Whether somebody may: by which rule, which policy, constraint, trigger or grant, and which fact. It is really done, and taken back. allowed is null where there is nothing to be allowed.';

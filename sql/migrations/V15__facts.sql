-- Facts: what was so when a rule decided.
--
-- They describe and never decide. They are for who asks why, who may become everybody: they tell what a refusal must not.

create function chat_private.when_was(_at timestamptz) returns text
language sql
volatile
set search_path = pg_catalog, pg_temp
as $$
  -- 14:05 UTC, 3 minutes ago
  select to_char(
           _at at time zone 'UTC',
           case when (_at at time zone 'UTC')::date = (d.now at time zone 'UTC')::date then 'HH24:MI' else 'YYYY-MM-DD HH24:MI' end)
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
            || case when f.accepted_at is null
                    then ' asked ' || chat_private.called(f.addressee_id) || ' for friendship at ' || chat_private.when_was(f.created_at)
                         || ', who has not accepted'
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
  select string_agg(
           chat_private.called(b.blocker_id) || ' blocked ' || chat_private.called(b.blocked_id) || ' at ' || chat_private.when_was(b.created_at),
           '; ')
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
    when _rule in ('service_writes', 'staff_reads', 'rules_are_read_by_everyone', 'settings_are_read_by_everyone',
                   'chats_event_ones_are_made_by_the_host', 'messages_are_imported_by_the_host', 'users_are_erased_by_themselves',
                   'chats_are_founded_as_oneself', 'changes_are_told_to_readers',
                   'live_is_told_by_the_relay', 'presence_is_kept_by_the_relay', 'broadcasts_are_told_by_the_relay', 'resumes_are_kept_by_the_relay')
      then format('%s asks as %s', i, chat.claims() ->> 'role')

    -- chats, and who is in them
    when _rule = 'chats_exist' then the_chat
    when _rule in ('chats_are_read_by_participants', 'messages_are_read_by_readers', 'messages_are_sent_by_participants',
                   'reactions_are_seen_by_readers', 'reactions_are_made_by_participants', 'reads_are_seen_by_participants',
                   'participants_are_seen_by_readers', 'presence_is_seen_by_participants', 'participants_join_public_rooms', 'tombstones_are_seen_by_readers',
                   'chats_are_changed_by_moderators', 'chats_are_deleted_by_owners', 'participants_are_added_by_moderators',
                   'messages_are_pinned_by_moderators', 'broadcasts_are_sent_by_writers')
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
      then format('the edit window of %s minutes ended at %s',
                  round(extract(epoch from rules_of.edit_window) / 60, 1)::float, chat_private.when_was(sent_at + rules_of.edit_window))
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

-- Doors: what takes more than one row, as functions that every caller uses: the API, PostgREST's rpc, a host application's triggers.
--
-- Those in schema chat are the doors; behind some stands a definer's function in chat_private, which nobody can name.

-- founding -----------------------------------------------------------------------------------------------------

create function chat.create_group(_name text, _user_ids uuid[], _id uuid default gen_random_uuid()) returns uuid
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
-- with the caller's rights: the policies and rules of chats and participants say who may
begin
  insert into chat.chats (id, type, name) values (_id, 'group', _name);
  insert into chat.participants (chat_id, user_id)
  select distinct _id, i.id
  from unnest(_user_ids) i (id)
  where i.id <> chat.uid()
  order by i.id;  -- of several who may not be in it, the same one refuses it each time
  return _id;
end
$$;

create function chat.create_room(_name text, _visibility text, _topic text default null, _id uuid default gen_random_uuid()) returns uuid
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
begin
  insert into chat.chats (id, type, name, visibility, topic) values (_id, 'room', _name, _visibility, _topic);
  return _id;
end
$$;

create function chat_private.open_direct(_other uuid, out chat_id uuid, out created boolean)
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  me uuid := chat.uid();
  low uuid := least(me, _other);
  high uuid := greatest(me, _other);
begin
  if _other is not distinct from me or me is null then
    perform chat_private.refuse('direct_chats_are_with_somebody_else');
  end if;
  perform chat_private.introduce_me();
  if not exists (select from chat.users u where u.id = _other) then
    perform chat_private.refuse('users_exist');
  end if;
  loop  -- until it is there under its lock: the other may open it in the same moment
    select c.id into chat_id
    from chat.chats c
    where c.low_user_id = low and c.high_user_id = high and c.deleted_at is null;
    created := not found;
    if created then
      perform chat_private.check_direct(_other);
      insert into chat.chats (type, low_user_id, high_user_id, created_by)
      values ('direct', low, high, me)
      on conflict (low_user_id, high_user_id) where deleted_at is null and low_user_id is not null do nothing
      returning id into chat_id;
      exit when found;
    else
      perform chat_private.hold_chat(chat_id);
      exit when exists (select from chat.chats c where c.id = open_direct.chat_id and c.deleted_at is null);
    end if;
  end loop;
  if created then
    insert into chat.participants (chat_id, user_id)
    select open_direct.chat_id, i.id from unnest(array[low, high]) i (id);
  else
    update chat.participants p set left_at = null
    where p.chat_id = open_direct.chat_id and p.user_id = me and p.left_at is not null;
  end if;
end
$$;

create function chat.open_direct(_other uuid, out chat_id uuid, out created boolean)
language sql
volatile
begin atomic
  select d.chat_id, d.created from chat_private.open_direct(_other) d;
end;

-- joining and leaving ------------------------------------------------------------------------------------------

create function chat_private.join_room(_room text) returns uuid
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
-- a uid opens an unlisted room; an id opens only what is public, since ids of chats are no secrets; lobby is the room of the setting
declare
  me uuid := chat.uid();
  c record;
begin
  if _room = 'lobby' then
    select s.lobby::text into _room from chat.settings s;
  end if;
  select k.id, true as by_uid into c from chat.chats k where k.uid = _room and k.deleted_at is null;
  if not found and _room ~ '^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$' then
    select k.id, false as by_uid into c from chat.chats k where k.id = _room::uuid and k.deleted_at is null;
  end if;
  if me is null or c.id is null then
    perform chat_private.refuse('chats_exist');
  end if;
  perform chat_private.lock_chat(c.id);
  perform chat_private.introduce_me();
  if exists (select from chat_private.my_memberships m where m.chat_id = c.id) then
    return c.id;
  end if;
  -- asked again: under the lock it may no longer be what it was
  if not exists (select
                 from chat.chats k
                 where k.id = c.id
                   and k.deleted_at is null
                   and (k.visibility = 'public' or k.visibility = 'unlisted' and c.by_uid)) then
    perform chat_private.refuse('participants_join_public_rooms');
  end if;
  insert into chat.participants (chat_id, user_id) values (c.id, me)
  on conflict (chat_id, user_id) do update set left_at = null;
  return c.id;
end
$$;

create function chat.join_room(_room text) returns uuid
language sql
volatile
begin atomic
  select chat_private.join_room(_room);
end;

create function chat_private.delete_chat(_chat uuid) returns void
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  c record;
  my_role text;
begin
  perform chat_private.lock_chat(_chat);
  select k.type, k.deleted_at into c from chat.chats k where k.id = _chat;
  if not found
     -- to who was never in it, what was deleted never was
     or c.deleted_at is not null
        and not (chat.is_service()
                 or c.type = 'room' and chat.is_admin()
                 or exists (select from chat.participants p where p.chat_id = _chat and p.user_id = chat.uid())) then
    perform chat_private.refuse('chats_exist');
  elsif c.deleted_at is not null then
    return;
  end if;
  my_role := (select m.role from chat_private.my_memberships m where m.chat_id = _chat);
  if not (chat.is_service()
          or c.type in ('group', 'room') and my_role is not distinct from 'owner'
          or c.type = 'room' and chat.is_admin()) then
    perform chat_private.refuse('chats_are_deleted_by_owners');
  end if;
  perform chat_private.end_chat(_chat);
end
$$;

create function chat.delete_chat(_chat uuid) returns void
language sql
volatile
begin atomic
  select chat_private.delete_chat(_chat);
end;

-- event chats --------------------------------------------------------------------------------------------------

create function chat_private.put_event_chat(
  _event_id text, _type text, _name text, _user_ids uuid[], out chat_id uuid, out created boolean)
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if _type not in ('event_authors', 'approved_group') or _type is null then
    perform chat_private.refuse('chats_event_ones_have_an_event', 'the type is event_authors or approved_group');
  end if;
  loop  -- until it is there under the lock: another call may make or end it in between
    select c.id into chat_id
    from chat.chats c
    where c.event_id = _event_id and c.type = _type and c.deleted_at is null;
    created := not found;
    if created then
      insert into chat.chats (type, event_id, name, created_by)
      values (_type, _event_id, _name, null)
      on conflict (event_id, type) where deleted_at is null and event_id is not null do nothing
      returning id into chat_id;
      exit when found;
    else
      perform chat_private.hold_chat(chat_id);
      exit when exists (select from chat.chats c where c.id = put_event_chat.chat_id and c.deleted_at is null);
    end if;
  end loop;
  if not created then
    update chat.chats c set name = _name where c.id = put_event_chat.chat_id and _name is not null and c.name is distinct from _name;
  end if;
  if _user_ids is not null then
    perform chat_private.expect_users(_user_ids);
    update chat.participants p set left_at = clock_timestamp()
    where p.chat_id = put_event_chat.chat_id
      and p.left_at is null
      -- hashed, whatever the planner thinks of the array: ten thousand may take the place of ten thousand
      and p.user_id not in (select i.id from unnest(_user_ids) i (id) where i.id is not null);
    insert into chat.participants as p (chat_id, user_id)
    select distinct put_event_chat.chat_id, i.id
    from unnest(_user_ids) i (id)
    -- the host may not know yet who is erased
    where i.id is not null and not exists (select from chat.users u where u.id = i.id and u.erased_at is not null)
    on conflict on constraint participants_pkey do update set left_at = null where p.left_at is not null;
  end if;
end
$$;

create function chat.put_event_chat(
  _event_id text, _type text, _name text default null, _user_ids uuid[] default null, out chat_id uuid, out created boolean)
language sql
volatile
begin atomic
  select e.chat_id, e.created from chat_private.put_event_chat(_event_id, _type, _name, _user_ids) e;
end;

create function chat_private.end_event_chat(_event_id text, _type text) returns void
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
-- the chat's lock before its row's, like everyone
declare
  ended uuid := (select c.id from chat.chats c where c.event_id = _event_id and c.type = _type and c.deleted_at is null);
begin
  if ended is not null then
    perform chat_private.hold_chat(ended);
    perform chat_private.end_chat(ended);
  end if;
end
$$;

create function chat.end_event_chat(_event_id text, _type text) returns void
language sql
volatile
begin atomic
  select chat_private.end_event_chat(_event_id, _type);
end;

-- what an empty result means -----------------------------------------------------------------------------------

create function chat_private.expect_reader(_chat uuid) returns void
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if exists (select from chat_private.my_memberships m where m.chat_id = _chat)
     or exists (select from chat_private.my_open_rooms o where o.chat_id = _chat) then
    return;
  end if;
  if not exists (select from chat.chats c where c.id = _chat and (c.deleted_at is null or chat.is_service())) then
    perform chat_private.refuse('chats_exist');
  elsif not chat.is_service() then
    perform chat_private.refuse('chats_are_read_by_participants');
  end if;
end
$$;

create function chat.expect_reader(_chat uuid) returns void
language sql
stable
begin atomic
  select chat_private.expect_reader(_chat);
end;

create function chat_private.expect_user(_id uuid) returns void
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
-- for who looked for this person and found none: nobody, or nobody they know, which must look the same
begin
  perform chat_private.refuse('users_are_seen_by_who_knows_them');
end
$$;

create function chat.expect_user(_id uuid) returns void
language sql
stable
begin atomic
  select chat_private.expect_user(_id);
end;

create function chat_private.expect_message(_chat uuid, _id uuid) returns void
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
-- for who looked for this message and found none: it is not there, or the chat is not theirs
begin
  perform chat_private.expect_reader(_chat);
  perform chat_private.refuse('messages_exist');
end
$$;

create function chat.expect_message(_chat uuid, _id uuid) returns void
language sql
stable
begin atomic
  select chat_private.expect_message(_chat, _id);
end;

create function chat_private.expect_edits(_chat uuid, _id uuid) returns void
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
-- for who looked for earlier texts and found none: the message was never edited, or they may not see, or it is not theirs to read
declare
  message record;
begin
  if chat.is_service() then
    select true as is_shown into message from chat.messages m where m.chat_id = _chat and m.id = _id;
  else
    -- as select_reader on chat.messages says who reads it, and select_sender_or_moderator on chat.message_edits who sees more
    select coalesce(p.role <> 'member' or m.sender_id = chat.uid() and m.deleted_at is null, false) as is_shown into message
    from chat.messages m
    left join chat_private.my_memberships p on p.chat_id = m.chat_id
    where m.chat_id = _chat
      and m.id = _id
      and (m.seq > p.sees_after and (m.deleted_at is null or p.role <> 'member')
           or m.deleted_at is null and exists (select from chat_private.my_open_rooms o where o.chat_id = m.chat_id));
  end if;
  if not found then
    perform chat_private.expect_message(_chat, _id);
  elsif not message.is_shown then
    perform chat_private.refuse('edits_are_seen_by_sender_and_moderators');
  end if;
end
$$;

create function chat.expect_edits(_chat uuid, _id uuid) returns void
language sql
stable
begin atomic
  select chat_private.expect_edits(_chat, _id);
end;

create function chat_private.expect_free_id(_chat uuid, _id uuid) returns void
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
-- why an insert with this id inserted nothing, for who asked it and has no such message to be answered with
begin
  perform chat_private.expect_reader(_chat);
  if exists (select
             from chat.messages m
             where m.chat_id = _chat
               and m.id = _id
               and m.sender_id is distinct from chat.uid()
               and m.deleted_at is null) then
    perform chat_private.refuse('message_id_is_taken');
  end if;
  perform chat_private.refuse('message_id_was_used');
end
$$;

create function chat.expect_free_id(_chat uuid, _id uuid) returns void
language sql
stable
begin atomic
  select chat_private.expect_free_id(_chat, _id);
end;

-- what ---------------------------------------------------------------------------------------------------------

grant execute on function
  chat.create_group(text, uuid[], uuid), chat.create_room(text, text, text, uuid),
  chat.open_direct(uuid), chat_private.open_direct(uuid),
  chat.join_room(text), chat_private.join_room(text)
to authenticated;
grant execute on function
  chat.delete_chat(uuid), chat_private.delete_chat(uuid)
to authenticated, service_role;
grant execute on function
  chat.expect_reader(uuid), chat_private.expect_reader(uuid),
  chat.expect_user(uuid), chat_private.expect_user(uuid),
  chat.expect_message(uuid, uuid), chat_private.expect_message(uuid, uuid)
to anon, authenticated, service_role;
grant execute on function
  chat.expect_edits(uuid, uuid), chat_private.expect_edits(uuid, uuid),
  chat.expect_free_id(uuid, uuid), chat_private.expect_free_id(uuid, uuid)
to authenticated, service_role;
grant execute on function
  chat.put_event_chat(text, text, text, uuid[]), chat_private.put_event_chat(text, text, text, uuid[]),
  chat.end_event_chat(text, text), chat_private.end_event_chat(text, text)
to service_role;

-- comments -----------------------------------------------------------------------------------------------------

comment on function chat.create_group(text, uuid[], uuid) is 'Founds a group with these people; gives its id.';
comment on function chat.create_room(text, text, text, uuid) is 'Founds a room: private, unlisted or public; gives its id.';
comment on function chat_private.open_direct(uuid) is 'direct.1 to direct.4.';
comment on function chat.open_direct(uuid) is 'The direct chat with this person: made if there is none, brought back if one left it.';
comment on function chat_private.join_room(text) is 'participants.2.';
comment on function chat.join_room(text) is 'Joins a room by its uid, a public one also by its id, and lobby, if there is one; gives its id. Idempotent.';
comment on function chat_private.delete_chat(uuid) is 'chats.6.';
comment on function chat.delete_chat(uuid) is 'Deletes a group or room for everyone. Idempotent.';
comment on function chat_private.put_event_chat(text, text, text, uuid[]) is 'chats.17.';
comment on function chat.put_event_chat(text, text, text, uuid[]) is 'Makes or updates an event''s chat: its name, and exactly these people in it. Null leaves as it is.';
comment on function chat_private.end_event_chat(text, text) is 'chats.17.';
comment on function chat.end_event_chat(text, text) is 'Ends an event''s chat. Idempotent.';
comment on function chat_private.expect_reader(uuid) is 'Refuses who may not read the chat: no such chat, or not theirs.';
comment on function chat.expect_reader(uuid) is 'Refuses who may not read the chat: no such chat (404), or not theirs (403).';
comment on function chat_private.expect_user(uuid) is 'users.1.';
comment on function chat.expect_user(uuid) is 'Refuses with the reason why a person was not found.';
comment on function chat_private.expect_message(uuid, uuid) is 'messages.12.';
comment on function chat.expect_message(uuid, uuid) is 'Refuses with the reason why a message was not found.';
comment on function chat_private.expect_edits(uuid, uuid) is 'edits.1.';
comment on function chat.expect_edits(uuid, uuid) is 'Refuses with the reason why no earlier texts of a message were found; says nothing where it has none.';
comment on function chat_private.expect_free_id(uuid, uuid) is 'messages.13 and messages.14.';
comment on function chat.expect_free_id(uuid, uuid) is 'Refuses with the reason why an id cannot be used for a message of this chat.';

-- Overviews: what a list of chats shows of each, for many chats at once.
--
-- With the owner's rights, because participants are seen by whoever reads the chat (participants.1): that is asked once a chat instead of
-- once a row. Messages are not in it: which of them one reads is for their own policy to say.

create function chat_private.overviews(_chats uuid[], _senders uuid[])
returns table (
  chat_id uuid, participants jsonb, participant_count bigint, other_name text, members text, sender_name text, head_rev bigint)
language plpgsql
stable
rows 50
security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan  -- planned for each call, a list of a few chats would take three times as long
as $$
declare
  me uuid := chat.uid();
  service boolean := chat.is_service();
begin
  return query
  select
    c.id,
    first.people,
    (select count(*) from chat.participants p where p.chat_id = c.id and p.left_at is null),
    case when c.type = 'direct'
         then (select u.display_name from chat.users u where u.id = case when c.low_user_id = me then c.high_user_id else c.low_user_id end) end,
    first.members,
    (select u.display_name
     from chat.users u
     where u.id = a.sender_id
       and exists (select from chat.participants p where p.chat_id = c.id and p.user_id = u.id)),
    greatest(
      (select m.seq from chat.messages m where m.chat_id = c.id order by m.seq desc limit 1),
      (select m.rev from chat.messages m where m.chat_id = c.id and m.rev <> m.seq order by m.rev desc limit 1),
      (select p.rev from chat.participants p where p.chat_id = c.id order by p.rev desc limit 1),
      (select t.rev from chat.tombstones t where t.chat_id = c.id order by t.rev desc limit 1),
      c.rev)
  from unnest(_chats, _senders) a (chat_id, sender_id)
  join chat.chats c on c.id = a.chat_id
  cross join lateral (
    select
      coalesce(
        jsonb_agg(jsonb_build_object('id', f.user_id, 'name', f.display_name, 'username', f.username, 'avatarUrl', f.avatar_url) order by f.joined_at, f.user_id),
        '[]') as people,
      string_agg('@' || coalesce(f.username, f.display_name), ', ' order by f.joined_at, f.user_id) filter (where f.place <= 5) as members
    from (select p.user_id, p.joined_at, u.display_name, u.username, u.avatar_url,
                 row_number() over (order by p.joined_at, p.user_id) as place
          from chat.participants p
          join chat.users u on u.id = p.user_id
          where p.chat_id = c.id and p.left_at is null
          order by p.joined_at, p.user_id
          limit 20) f) first
  where service
     or exists (select from chat_private.my_memberships m where m.chat_id = c.id)
     or exists (select from chat_private.my_open_rooms o where o.chat_id = c.id);
end
$$;

create function chat.overviews(_chats uuid[], _senders uuid[])
returns table (
  chat_id uuid, participants jsonb, participant_count bigint, other_name text, members text, sender_name text, head_rev bigint)
language sql
stable
begin atomic
  select o.chat_id, o.participants, o.participant_count, o.other_name, o.members, o.sender_name, o.head_rev
  from chat_private.overviews(_chats, _senders) o;
end;
grant execute on function chat.overviews(uuid[], uuid[]), chat_private.overviews(uuid[], uuid[]) to anon, authenticated, service_role;

create function chat_private.names(_chats uuid[], _user_ids uuid[])
returns table (chat_id uuid, user_id uuid, display_name text, username text, avatar_url text)
language plpgsql
stable
rows 50
security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan  -- planned for each call, a list of a few chats would take three times as long
as $$
#variable_conflict use_column
begin
  return query
  select a.chat_id, a.user_id, u.display_name, u.username, u.avatar_url
  from (select distinct i.chat_id, i.user_id from unnest(_chats, _user_ids) i (chat_id, user_id)) a
  join chat.participants p on p.chat_id = a.chat_id and p.user_id = a.user_id
  join chat.users u on u.id = a.user_id
  where exists (select from chat_private.my_memberships m where m.chat_id = a.chat_id)
     or exists (select from chat_private.my_open_rooms o where o.chat_id = a.chat_id)
     or chat.is_service()
     or current_setting('role') = 'chat_relay';  -- live.1: by the keys that it was given
end
$$;

create function chat.names(_chats uuid[], _user_ids uuid[])
returns table (chat_id uuid, user_id uuid, display_name text, username text, avatar_url text)
language sql
stable
begin atomic
  select n.chat_id, n.user_id, n.display_name, n.username, n.avatar_url
  from chat_private.names(_chats, _user_ids) n;
end;
grant execute on function chat.names(uuid[], uuid[]), chat_private.names(uuid[], uuid[]) to anon, authenticated, service_role;

comment on function chat_private.names(uuid[], uuid[]) is 'participants.1, for people of many chats at once.';
comment on function chat.names(uuid[], uuid[]) is 'What people are called: pairs of a chat that one reads and someone who is or was in it.';
comment on function chat_private.overviews(uuid[], uuid[]) is 'participants.1, for many chats at once.';
comment on function chat.overviews(uuid[], uuid[]) is 'Of each of these chats that one reads: the first 20 in it, how many, the other of a direct chat, the first five by name, what this sender is called, the highest rev.';

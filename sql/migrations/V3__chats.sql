-- Chats and who is in them.

insert into chat.rules (number, name, status, sentence) values
  ('chats.1', 'chats_are_read_by_participants', 403, 'a chat is read by its participants; a public room by everyone signed in, and by anon when the settings say so'),
  ('chats.2', 'chats_exist', 404, 'there is no such chat: a chat is there until it is deleted or ends'),
  ('chats.3', 'chats_are_founded_as_oneself', 403, 'people found groups and rooms, in their own name, and become the owner'),
  ('chats.4', 'chats_public_ones_are_made_by_admins', 403, 'rooms are opened to the public by admins, or by everyone when the settings say so'),
  ('chats.5', 'chats_are_changed_by_moderators', 403, 'owners and moderators change name, topic, visibility and whether a chat is read-only'),
  ('chats.6', 'chats_are_deleted_by_owners', 403, 'owners delete their group or room for everyone; an admin deletes any room'),
  ('chats.7', 'chats_only_rooms_are_open', 422, 'only rooms are public or unlisted; every other chat is private'),
  ('chats.8', 'chats_type_is_known', 422, 'a chat is direct, a group, a room, or an event''s event_authors or approved_group'),
  ('chats.9', 'chats_visibility_is_known', 422, 'a chat is private, unlisted or public'),
  ('chats.10', 'chats_name_is_a_name', 422, 'a chat''s name has 1 to 200 characters and is not blank'),
  ('chats.11', 'chats_topic_is_short', 422, 'a chat''s topic has at most 1,000 characters'),
  ('chats.12', 'chats_direct_ones_have_a_pair', 422, 'a direct chat is between its two people, both members, and no other chat is'),
  ('chats.13', 'chats_event_ones_have_an_event', 422, 'event chats belong to an event, and no other chat does'),
  ('chats.14', 'chats_rooms_have_a_name', 422, 'a room has a name'),
  ('chats.15', 'chats_keep_their_identity', 409, 'a chat keeps its id, uid, type, pair and event'),
  ('chats.16', 'chats_stay_deleted', 409, 'a deleted chat stays deleted'),
  ('chats.17', 'chats_event_ones_are_made_by_the_host', 403, 'event chats are made and updated by the host application, one of each type per event, and never end by themselves'),
  ('chats.18', 'chats_one_per_pair', 409, 'two people have one direct chat'),
  ('chats.19', 'chats_one_per_event', 409, 'an event has one chat of each type'),
  ('chats.20', 'chats_uids_are_unique', 409, 'a uid leads to one chat'),
  ('direct.1', 'direct_chats_are_between_friends', 403, 'direct chats are opened and written in by friends; by anyone when the settings say so'),
  ('direct.2', 'direct_chats_pass_no_block', 403, 'a block refuses new direct chats and new words in them, both ways'),
  ('direct.3', 'direct_chats_are_with_somebody_else', 422, 'nobody has a direct chat with themselves'),
  ('direct.4', 'direct_chats_come_back', 403, 'a direct chat that one left comes back with its history, on the other''s next message or on opening it again'),
  ('participants.1', 'participants_are_seen_by_readers', 403, 'who reads a chat sees who is and was in it, and what they are called; everyone sees their own participations'),
  ('participants.2', 'participants_join_public_rooms', 403, 'one joins a public room oneself, an unlisted one by its uid, always as a member; into every other chat one is added'),
  ('participants.3', 'participants_are_added_by_moderators', 403, 'owners and moderators add people to groups and rooms'),
  ('participants.4', 'participants_get_roles_from_owners', 403, 'owners give and take roles'),
  ('participants.5', 'participants_are_removed_by_moderators', 403, 'owners and moderators remove members, owners remove moderators and owners; everyone leaves by themselves'),
  ('participants.6', 'participants_keep_an_owner', 409, 'the last owner of a group or room cannot leave or step down without passing it on'),
  ('participants.7', 'participants_are_not_added_over_a_block', 403, 'nobody is added by someone they block or who blocks them'),
  ('participants.8', 'participants_role_is_known', 422, 'a participant is owner, moderator or member'),
  ('participants.9', 'participants_keep_their_identity', 409, 'a participation keeps its chat and user'),
  ('participants.10', 'participants_end_their_group', 403, 'a group ends when somebody leaves it and at most one person stays'),
  ('participants.11', 'participants_read_from_where_they_joined', 403, 'new participants read all history; only what comes after them when the settings say since_join'),
  ('tombstones.1', 'tombstones_are_seen_by_readers', 403, 'who reads a chat learns the ids of what was removed from it, and nothing else'),
  ('tombstones.2', 'tombstones_kind_is_known', 422, 'a tombstone stands for a message, a participant or a chat, or resets the memory of them'),
  ('tombstones.3', 'tombstones_of_participations_stay', 403, 'a tombstone of a participation is never purged: else who was away would keep a chat that is not theirs any more');

-- tables -----------------------------------------------------------------------------------------------------

create function chat_private.new_uid() returns text
language sql
volatile
as $$
  -- 72 random bits as 12 letters fit for a link: the bytes of a random uuid that hold no version or variant
  select translate(encode(substring(r.bytes from 1 for 6) || substring(r.bytes from 11 for 3), 'base64'), '+/', '-_')
  from (select uuid_send(gen_random_uuid()) as bytes) r
$$;

create table chat.chats (
  id uuid primary key default gen_random_uuid(),
  uid text not null default chat_private.new_uid(),
  type text not null
    constraint chats_type_is_known check (type in ('direct', 'group', 'room', 'event_authors', 'approved_group')),
  visibility text not null default 'private'
    constraint chats_visibility_is_known check (visibility in ('private', 'unlisted', 'public')),
  event_id text,
  low_user_id uuid references chat.users,
  high_user_id uuid references chat.users,
  name text
    constraint chats_name_is_a_name check (name ~ '\S' and char_length(name) <= 200),
  topic text
    constraint chats_topic_is_short check (char_length(topic) <= 1000),
  read_only boolean not null default false,
  created_by uuid default chat.uid() references chat.users,
  created_at timestamptz not null default clock_timestamp(),
  deleted_at timestamptz,
  rev bigint not null,
  xid xid8 not null default pg_current_xact_id(),
  constraint chats_uids_are_unique unique (uid),
  constraint chats_only_rooms_are_open check (visibility = 'private' or type = 'room'),
  constraint chats_direct_ones_have_a_pair check (
    (type = 'direct') = (low_user_id is not null)
    and (low_user_id is null) = (high_user_id is null)
    and low_user_id < high_user_id is not false),
  constraint chats_event_ones_have_an_event check (
    (type in ('event_authors', 'approved_group')) = (event_id is not null)
    and char_length(event_id) between 1 and 200 is not false),
  constraint chats_rooms_have_a_name check (type <> 'room' or name is not null)
);
create unique index chats_one_per_pair on chat.chats (low_user_id, high_user_id) where deleted_at is null and low_user_id is not null;
create unique index chats_one_per_event on chat.chats (event_id, type) where deleted_at is null and event_id is not null;
create index chats_public on chat.chats (id) where visibility = 'public' and deleted_at is null;
create index chats_by_xid on chat.chats (xid);
create index chats_by_high_user on chat.chats (high_user_id) where high_user_id is not null;
create index chats_by_low_user on chat.chats (low_user_id) where low_user_id is not null;
create index chats_by_creator on chat.chats (created_by) where created_by is not null;

create table chat.participants (
  chat_id uuid not null references chat.chats on delete cascade,
  user_id uuid not null default chat.uid()
    constraint users_exist references chat.users,
  role text not null default 'member'
    constraint participants_role_is_known check (role in ('owner', 'moderator', 'member')),
  joined_at timestamptz not null default clock_timestamp(),
  left_at timestamptz,
  joined_rev bigint not null,
  sees_after bigint not null default 0,
  rev bigint not null,
  xid xid8 not null default pg_current_xact_id(),
  primary key (chat_id, user_id)
) with (fillfactor = 85);
create unique index participants_by_rev on chat.participants (chat_id, rev);
create index participants_by_user on chat.participants (user_id, chat_id) include (role, sees_after) where left_at is null;
create index participants_of_user on chat.participants (user_id, chat_id);
create index participants_in_order on chat.participants (chat_id, joined_at, user_id) where left_at is null;
create index participants_by_xid on chat.participants (xid);

create table chat.tombstones (
  chat_id uuid not null,
  rev bigint not null,
  kind text not null
    constraint tombstones_kind_is_known check (kind in ('message', 'participant', 'chat', 'reset')),
  row_id uuid,
  xid xid8 not null default pg_current_xact_id(),
  at timestamptz not null default clock_timestamp(),
  primary key (chat_id, rev)
);
create index tombstones_by_row on chat.tombstones (chat_id, row_id);
create index tombstones_of_person on chat.tombstones (row_id, chat_id) where kind = 'participant';
create index tombstones_of_participations on chat.tombstones (chat_id, rev) where kind = 'participant';

-- what the policies ask ---------------------------------------------------------------------------------------
-- Views with the owner's rights: the planner expands them, so no function is called per row, and a policy on participants may use
-- them without recursion. SELECT is granted and USAGE on their schema is not: a policy may read them, a person can't name them.

create view chat_private.my_memberships as
select
  p.chat_id,
  p.role,
  p.sees_after
from chat.participants p
where p.user_id = (select chat.uid())
  and p.left_at is null;

create view chat_private.my_open_rooms as
select
  c.id as chat_id
from chat.chats c
where c.visibility = 'public'
  and c.deleted_at is null
  and case when (select chat.uid()) is null then (select s.anon_reads_public_rooms from chat.settings s)
           -- users.9: a token that was given out before opens nothing either
           else (select not exists (select from chat.users u where u.id = chat.uid() and u.erased_at is not null)) end;

create view chat_private.my_companions as
select
  p.user_id
from chat_private.my_memberships m
join chat.participants p on p.chat_id = m.chat_id
where p.left_at is null;

create function chat_private.may_open_to_the_public() returns boolean
language sql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
  select chat.is_admin() or (select s.public_rooms from chat.settings s) = 'everyone'
$$;

-- who ---------------------------------------------------------------------------------------------------------

alter table chat.chats enable row level security;
alter table chat.participants enable row level security;
alter table chat.tombstones enable row level security;

create policy select_reader on chat.chats for select
to anon, authenticated
using (deleted_at is null
       and (exists (select from chat_private.my_memberships m where m.chat_id = chats.id)
            or exists (select from chat_private.my_open_rooms o where o.chat_id = chats.id and chats.visibility = 'public')));

create policy insert_founder on chat.chats for insert
to authenticated
with check (created_by = (select chat.uid())
            and type in ('group', 'room')
            and (visibility <> 'public' or (select chat_private.may_open_to_the_public())));

-- A policy for UPDATE says which rows one reaches for; the rules say which change is refused, by name instead of in silence.
create policy update_reader on chat.chats for update
to authenticated
using (exists (select from chat_private.my_memberships m where m.chat_id = chats.id)
       or exists (select from chat_private.my_open_rooms o where o.chat_id = chats.id));

-- rev is always above 0: naming it inside the exists keeps the planner from hashing all my chats, or all public rooms, for one chat's rows
create policy select_reader on chat.participants for select
to anon, authenticated
using (user_id = (select chat.uid())
       or exists (select from chat_private.my_memberships m where m.chat_id = participants.chat_id and participants.rev > 0)
       or exists (select from chat_private.my_open_rooms o where o.chat_id = participants.chat_id and participants.rev > 0));

create policy insert_self_or_moderator on chat.participants for insert
to authenticated
with check (left_at is null
            and (user_id = (select chat.uid())
                 and role = 'member'
                 and exists (select from chat_private.my_open_rooms o where o.chat_id = participants.chat_id)
                 or exists (select
                            from chat_private.my_memberships m
                            where m.chat_id = participants.chat_id
                              and (m.role = 'owner' or m.role = 'moderator' and participants.role = 'member'))));

create policy update_reader on chat.participants for update
to authenticated
using (user_id = (select chat.uid())
       or exists (select from chat_private.my_memberships m where m.chat_id = participants.chat_id and participants.rev > 0)
       or exists (select from chat_private.my_open_rooms o where o.chat_id = participants.chat_id and participants.rev > 0));

create policy select_reader on chat.tombstones for select
to anon, authenticated
using (exists (select from chat_private.my_memberships m where m.chat_id = tombstones.chat_id and tombstones.rev > m.sees_after)
       or exists (select from chat_private.my_open_rooms o where o.chat_id = tombstones.chat_id and tombstones.rev > 0));

create policy select_acquaintance on chat.users for select
to authenticated
using (id = (select chat.uid())
       or erased_at is null and (select s.directory from chat.settings s) = 'everyone'
       or exists (select
                  from chat_private.my_friends f
                  where f.user_id = users.id and (f.accepted_at is not null or f.asked_me))
       or exists (select from chat_private.my_companions c where c.user_id = users.id));

create policy select_staff on chat.chats for select to service_role, chat_auditor using (true);         -- staff.2
create policy update_service on chat.chats for update to service_role using (true);                     -- staff.1
create policy select_staff on chat.participants for select to service_role, chat_auditor using (true);  -- staff.2
create policy insert_service on chat.participants for insert to service_role with check (true);         -- staff.1
create policy update_service on chat.participants for update to service_role using (true);              -- staff.1
create policy select_staff on chat.tombstones for select to service_role, chat_auditor using (true);    -- staff.2

call chat_private.cite('policy select_reader on chat.chats', 'chats.1');
call chat_private.cite('policy insert_founder on chat.chats', 'chats.3');
call chat_private.cite('policy update_reader on chat.chats', 'chats.5');
call chat_private.cite('policy select_reader on chat.participants', 'participants.1');
call chat_private.cite('policy insert_self_or_moderator on chat.participants', 'participants.2');
call chat_private.cite('policy update_reader on chat.participants', 'participants.5');
call chat_private.cite('policy select_reader on chat.tombstones', 'tombstones.1');
call chat_private.cite('policy select_acquaintance on chat.users', 'users.1');
call chat_private.cite('policy select_staff on chat.chats', 'staff.2');
call chat_private.cite('policy update_service on chat.chats', 'staff.1');
call chat_private.cite('policy select_staff on chat.participants', 'staff.2');
call chat_private.cite('policy insert_service on chat.participants', 'staff.1');
call chat_private.cite('policy update_service on chat.participants', 'staff.1');
call chat_private.cite('policy select_staff on chat.tombstones', 'staff.2');

-- what: revs, times, pairs and events are nobody's to set; nobody deletes a row, people leave and chats end -----

grant select on chat.chats, chat.participants, chat.tombstones to anon, authenticated, service_role, chat_auditor;
grant insert (id, type, visibility, name, topic, read_only), update (visibility, name, topic, read_only) on chat.chats to authenticated;
grant update (visibility, name, topic, read_only) on chat.chats to service_role;
grant insert (chat_id, user_id, role), update (role, left_at) on chat.participants to authenticated, service_role;
grant select on chat_private.my_memberships, chat_private.my_open_rooms to anon, authenticated;
grant select on chat_private.my_companions to authenticated;
grant execute on function chat_private.new_uid(), chat_private.may_open_to_the_public() to authenticated;

-- A function and not a view: what people are called is asked for a page at a time, and a view that is safe against leaky functions would
-- read everybody's names each time. plpgsql, because it keeps its plans.
create function chat_private.people(_chat uuid, _user_ids uuid[])
returns table (
  user_id uuid, display_name text, username text, avatar_url text, role text, joined_at timestamptz, left_at timestamptz)
language plpgsql
stable
rows 10
security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  if _user_ids is null then
    return query
    select u.id, u.display_name, u.username, u.avatar_url, p.role, p.joined_at, p.left_at
    from chat.participants p
    join chat.users u on u.id = p.user_id
    where p.chat_id = _chat
      and (exists (select from chat_private.my_memberships m where m.chat_id = _chat)
           or exists (select from chat_private.my_open_rooms o where o.chat_id = _chat)
           or chat.is_service());
  else
    return query
    select u.id, u.display_name, u.username, u.avatar_url, p.role, p.joined_at, p.left_at
    from chat.participants p
    join chat.users u on u.id = p.user_id
    where p.chat_id = _chat
      and p.user_id = any (_user_ids)
      and (exists (select from chat_private.my_memberships m where m.chat_id = _chat)
           or exists (select from chat_private.my_open_rooms o where o.chat_id = _chat)
           or chat.is_service());
  end if;
end
$$;

create function chat.people(_chat uuid, _user_ids uuid[] default null)
returns table (
  user_id uuid, display_name text, username text, avatar_url text, role text, joined_at timestamptz, left_at timestamptz)
language sql
stable
begin atomic
  select p.user_id, p.display_name, p.username, p.avatar_url, p.role, p.joined_at, p.left_at
  from chat_private.people(_chat, _user_ids) p;
end;
grant execute on function chat.people(uuid, uuid[]), chat_private.people(uuid, uuid[]) to anon, authenticated, service_role;

-- when: the rules bind those whom RLS binds, the service role apart -------------------------------------------

create function chat_private.refuse_outsider(_chat uuid, _name text) returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
-- who is not in the chat: by the rule of this name, or because there is no such chat
begin
  perform chat_private.refuse(case when exists (select from chat.chats c where c.id = _chat and c.deleted_at is null)
                                   then _name
                                   else 'chats_exist' end);
end
$$;

create function chat_private.hold_chat(_chat uuid) returns void
language sql
volatile
begin atomic
  -- until the end of the transaction; held again at no cost. Atomic, and without a path of its own: so the planner puts it in the caller's
  -- place, where a function that sets something would be parsed at each call
  select pg_advisory_xact_lock(uuid_hash_extended(_chat, 4279));
end;

create function chat_private.lock_chat(_chat uuid) returns void
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
-- The first thing a request does that writes to one chat, so that the snapshot of its statement is younger than the lock, and row
-- locks are never taken before it. A stranger waits for nobody and holds nobody up: what they ask is refused without it.
declare
  me uuid := chat.uid();
begin
  if chat.is_service()
     or exists (select from chat.participants p where p.chat_id = _chat and p.user_id = me)
     or exists (select from chat.chats c where c.id = _chat and c.visibility <> 'private') then
    perform chat_private.hold_chat(_chat);
  end if;
end
$$;
grant execute on function chat_private.lock_chat(uuid) to chat_api;

create function chat_private.end_chat(_chat uuid) returns void
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
-- deleted first, so that the leaving of the last ones does not end it again
begin
  update chat.chats c set deleted_at = clock_timestamp() where c.id = _chat and c.deleted_at is null;
  update chat.participants p set left_at = clock_timestamp() where p.chat_id = _chat and p.left_at is null;
end
$$;

create function chat_private.chat_rules() returns trigger
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if tg_op = 'INSERT' then
    perform chat_private.introduce_me();
  else
    -- under the lock, so that who was removed at rev n changes nothing above n
    perform chat_private.lock_chat(new.id);
    if not exists (select from chat_private.my_memberships m where m.chat_id = new.id and m.role <> 'member') then
      perform chat_private.refuse('chats_are_changed_by_moderators');
    end if;
  end if;
  if new.visibility = 'public' and (tg_op = 'INSERT' or old.visibility <> 'public') and not chat_private.may_open_to_the_public() then
    perform chat_private.refuse('chats_public_ones_are_made_by_admins');
  end if;
  return new;
end
$$;
create trigger _100_rules before insert or update on chat.chats for each row
when (row_security_active('chat.chats'::regclass) and current_user <> 'service_role')
execute function chat_private.chat_rules();

create function chat_private.found_chat() returns trigger
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  insert into chat.participants (chat_id, user_id, role) values (new.id, new.created_by, 'owner');
  return null;
end
$$;
create trigger _100_found after insert on chat.chats for each row
when (new.type in ('group', 'room') and new.created_by is not null)
execute function chat_private.found_chat();

create function chat_private.participant_rules() returns trigger
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  me uuid := chat.uid();
  joins boolean := tg_op = 'INSERT' or old.left_at is not null and new.left_at is null;
  leaves boolean := tg_op = 'UPDATE' and old.left_at is null and new.left_at is not null;
  -- an upsert of who is in already: its insert is judged first, though it will be an update
  is_in boolean := tg_op = 'INSERT'
                   and exists (select
                               from chat.participants p
                               where p.chat_id = new.chat_id and p.user_id = new.user_id and p.left_at is null);
  chat_type text;
  my_role text;
begin
  -- under the lock, so that two owners who leave at once are counted one after the other
  perform chat_private.lock_chat(new.chat_id);
  select m.role into my_role from chat_private.my_memberships m where m.chat_id = new.chat_id;
  select c.type into chat_type from chat.chats c where c.id = new.chat_id and c.deleted_at is null;
  if chat_type is null and joins then
    perform chat_private.refuse('chats_exist');
  end if;

  if is_in and new.user_id = me and new.role = 'member'
     and exists (select from chat_private.my_open_rooms o where o.chat_id = new.chat_id) then
    return new;  -- joins where they are in: nothing will change
  end if;

  if joins and new.user_id = me and my_role is null then
    if not exists (select from chat_private.my_open_rooms o where o.chat_id = new.chat_id) then
      perform chat_private.refuse('participants_join_public_rooms');
    end if;
    if tg_op = 'INSERT' then
      perform chat_private.introduce_me();
      if new.role <> 'member' then
        perform chat_private.refuse('participants_get_roles_from_owners');
      end if;
    end if;
    new.role := 'member';
  elsif joins then
    if coalesce(my_role, 'member') = 'member' or chat_type not in ('group', 'room') then
      -- who is not in the chat does not learn who is
      perform chat_private.refuse(case when is_in and my_role is not null then 'participants_get_roles_from_owners' else 'participants_are_added_by_moderators' end);
    end if;
    if new.role <> 'member' and my_role <> 'owner' then
      perform chat_private.refuse('participants_get_roles_from_owners');
    end if;
    if not exists (select from chat.users u where u.id = new.user_id and u.erased_at is null) then
      perform chat_private.refuse('users_exist');
    end if;
    if not is_in and exists (select from chat_private.my_blocks b where b.user_id = new.user_id) then
      perform chat_private.refuse('participants_are_not_added_over_a_block');
    end if;
  elsif new.role is distinct from old.role and my_role is distinct from 'owner' then
    perform chat_private.refuse('participants_get_roles_from_owners');
  elsif my_role is null and old.user_id is distinct from me then
    -- a stranger who writes rows anew without a change still locks and bloats them
    perform chat_private.refuse('participants_are_removed_by_moderators');
  end if;

  if leaves and old.user_id is distinct from me
     and (coalesce(my_role, 'member') = 'member' or old.role <> 'member' and my_role <> 'owner') then
    perform chat_private.refuse('participants_are_removed_by_moderators');
  end if;

  if tg_op = 'UPDATE' and old.role = 'owner' and old.left_at is null and (leaves or new.role <> 'owner')
     and chat_type in ('group', 'room')
     and not exists (select
                     from chat.participants p
                     where p.chat_id = old.chat_id
                       and p.user_id <> old.user_id
                       and p.role = 'owner'
                       and p.left_at is null)
     -- a group of two that loses its owner ends, so there is nothing to pass on
     and not (leaves and chat_type = 'group'
              and (select count(*)
                   from (select
                         from chat.participants p
                         where p.chat_id = old.chat_id and p.left_at is null
                         limit 3) there) <= 2) then
    perform chat_private.refuse('participants_keep_an_owner');
  end if;
  return new;
end
$$;
create trigger _100_rules before insert or update on chat.participants for each row
when (row_security_active('chat.participants'::regclass) and current_user <> 'service_role')
execute function chat_private.participant_rules();

create function chat_private.end_group() returns trigger
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if exists (select from chat.chats c where c.id = new.chat_id and c.type = 'group' and c.deleted_at is null)
     and (select count(*)
          from (select
                from chat.participants p
                where p.chat_id = new.chat_id and p.left_at is null
                limit 2) there) <= 1 then
    perform chat_private.end_chat(new.chat_id);
  end if;
  return null;
end
$$;
create trigger _100_end_group after update on chat.participants for each row
when (old.left_at is null and new.left_at is not null)
execute function chat_private.end_group();

-- comments ----------------------------------------------------------------------------------------------------

comment on table chat.chats is 'Chats of all types. A deleted one keeps its row and its messages, and nobody is in it.';
comment on column chat.chats.id is 'The chat.';
comment on column chat.chats.uid is 'Its short name for links; who knows that of an unlisted room may join it.';
comment on column chat.chats.type is 'direct, group, room, event_authors or approved_group.';
comment on column chat.chats.visibility is 'private, unlisted (whoever knows the uid joins) or public.';
comment on column chat.chats.event_id is 'The event of the host application, as it writes it.';
comment on column chat.chats.low_user_id is 'Of a direct chat: the lower of the two ids.';
comment on column chat.chats.high_user_id is 'Of a direct chat: the higher of the two ids.';
comment on column chat.chats.name is 'Its name; a group without one is called after its participants.';
comment on column chat.chats.topic is 'What it is about.';
comment on column chat.chats.read_only is 'Whether only owners and moderators write.';
comment on column chat.chats.created_by is 'Who founded it; null: the host application.';
comment on column chat.chats.created_at is 'When.';
comment on column chat.chats.deleted_at is 'When it was deleted or ended; nothing brings it back.';
comment on column chat.chats.rev is 'The chat''s rev at which this row last changed.';
comment on column chat.chats.xid is 'The transaction that last changed it.';
comment on index chat.chats_public is 'Which rooms are open?';
comment on index chat.chats_by_xid is 'Which chats changed lately?';
comment on index chat.chats_by_high_user is 'Whose direct chats are these, seen from the higher id?';
comment on index chat.chats_by_low_user is 'Whose direct chats are these, seen from the lower id?';
comment on index chat.chats_by_creator is 'Which chats did this person found?';
comment on table chat.participants is 'Who is in which chat, and who was.';
comment on column chat.participants.chat_id is 'The chat.';
comment on column chat.participants.user_id is 'Who.';
comment on column chat.participants.role is 'owner, moderator or member; who left is a member, so that who comes back has no old role.';
comment on column chat.participants.joined_at is 'When they came, the last time.';
comment on column chat.participants.left_at is 'When they left or were removed; null while they are in.';
comment on column chat.participants.joined_rev is 'The chat''s rev at which they came, the last time.';
comment on column chat.participants.sees_after is 'They read messages with a seq above this.';
comment on column chat.participants.rev is 'The chat''s rev at which this row last changed.';
comment on column chat.participants.xid is 'The transaction that last changed it.';
comment on index chat.participants_by_rev is 'Who came, left or changed role since this rev?';
comment on index chat.participants_by_user is 'Which chats am I in?';
comment on index chat.participants_of_user is 'Which chats was this person ever in?';
comment on index chat.participants_in_order is 'Who is in this chat, and who came first?';
comment on index chat.participants_by_xid is 'Who came or went lately?';
comment on table chat.tombstones is 'What was removed for good, so that who was away learns of it.';
comment on column chat.tombstones.chat_id is 'The chat, which may be gone itself.';
comment on column chat.tombstones.rev is 'The rev of the removal, above every rev of what was removed.';
comment on column chat.tombstones.kind is 'message, participant or chat; reset: removals up to this rev are forgotten, start afresh.';
comment on column chat.tombstones.row_id is 'The id of the message, user or chat; null for a reset.';
comment on column chat.tombstones.xid is 'The transaction that removed it.';
comment on column chat.tombstones.at is 'When.';
comment on index chat.tombstones_by_row is 'Was this id ever used?';
comment on index chat.tombstones_of_participations is 'When was somebody''s participation in this chat removed for good last?';
comment on index chat.tombstones_of_person is 'Which of their participations were removed for good?';
comment on view chat_private.my_memberships is 'The chats the asker is in.';
comment on view chat_private.my_open_rooms is 'The public rooms, for those who may read them.';
comment on view chat_private.my_companions is 'Everyone who shares a chat with the asker, as often as they do.';
comment on function chat_private.people(uuid, uuid[]) is 'participants.1: names go with the chat they are read in.';
comment on function chat.people(uuid, uuid[]) is 'Who is and was in a chat that one reads, by name: these people, or all. Those who left as well, for their messages stay.';
comment on function chat_private.new_uid() is 'A fresh uid: 12 letters, 72 random bits.';
comment on function chat_private.may_open_to_the_public() is 'Whether the asker may make a room public.';
comment on function chat_private.refuse_outsider(uuid, text) is 'Ends the statement of who is not in the chat: with this rule, or with chats.2.';
comment on function chat_private.hold_chat(uuid) is 'Takes the chat''s lock until the end of the transaction.';
comment on function chat_private.lock_chat(uuid) is 'Takes the chat''s lock until the end of the transaction, unless the asker is a stranger to it.';
comment on function chat_private.end_chat(uuid) is 'Deletes a chat softly; everyone in it leaves.';
comment on function chat_private.chat_rules() is 'chats.4, chats.5, and the founder''s first sight.';
comment on function chat_private.found_chat() is 'chats.3: who founds a group or room owns it.';
comment on function chat_private.participant_rules() is 'participants.2 to participants.7.';
comment on function chat_private.end_group() is 'participants.10: a group of one is none.';
comment on trigger _100_rules on chat.chats is 'Binds those whom RLS binds, the service role apart.';
comment on trigger _100_found on chat.chats is 'The founder becomes the owner.';
comment on trigger _100_rules on chat.participants is 'Binds those whom RLS binds, the service role apart.';
comment on trigger _100_end_group on chat.participants is 'Binds everyone.';
call chat_private.cite('constraint chats_type_is_known on chat.chats', 'chats.8');
call chat_private.cite('constraint chats_visibility_is_known on chat.chats', 'chats.9');
call chat_private.cite('constraint chats_name_is_a_name on chat.chats', 'chats.10');
call chat_private.cite('constraint chats_topic_is_short on chat.chats', 'chats.11');
call chat_private.cite('constraint chats_only_rooms_are_open on chat.chats', 'chats.7');
call chat_private.cite('constraint chats_direct_ones_have_a_pair on chat.chats', 'chats.12');
call chat_private.cite('constraint chats_event_ones_have_an_event on chat.chats', 'chats.13');
call chat_private.cite('constraint chats_rooms_have_a_name on chat.chats', 'chats.14');
call chat_private.cite('constraint chats_uids_are_unique on chat.chats', 'chats.20');
call chat_private.cite('index chat.chats_one_per_pair', 'chats.18');
call chat_private.cite('index chat.chats_one_per_event', 'chats.19');
call chat_private.cite('constraint users_exist on chat.participants', 'users.8');
call chat_private.cite('constraint participants_role_is_known on chat.participants', 'participants.8');
call chat_private.cite('constraint tombstones_kind_is_known on chat.tombstones', 'tombstones.2');

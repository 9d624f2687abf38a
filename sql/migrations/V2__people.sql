-- People: users, their friendships and blocks.

insert into chat.rules (number, name, status, sentence) values
  ('users.1', 'users_are_seen_by_who_knows_them', 404, 'people see themselves, their friends, who asks for their friendship and who shares a chat with them; everyone when the directory is open'),
  ('users.2', 'users_write_their_own_profile', 403, 'people write their own profile and nobody else''s'),
  ('users.3', 'users_username_is_plain', 422, 'a username has 3 to 32 of the characters a-z, 0-9, underscore, dot and hyphen'),
  ('users.4', 'users_username_is_taken', 409, 'a username belongs to one person'),
  ('users.5', 'users_display_name_is_a_name', 422, 'a display name has 1 to 100 characters and is not blank'),
  ('users.6', 'users_kind_is_known', 422, 'a user is a member, a guest or an assistant'),
  ('users.7', 'users_avatar_url_is_a_link', 422, 'an avatar is an http or https link of at most 2,000 characters'),
  ('users.8', 'users_exist', 404, 'a user exists from the first sight of a valid token, or from when the host application names them'),
  ('users.9', 'users_erased_are_gone', 403, 'who was erased is gone: no token opens anything for them, nobody adds or befriends them, nothing names them again or is said in their name'),
  ('users.10', 'users_are_erased_by_themselves', 403, 'people erase themselves, and the host application erases anybody: profile, ties and words go, the rows stay'),
  ('users.11', 'users_are_exported_by_themselves', 403, 'people take a copy of everything about themselves, and of nobody else'),
  ('friends.1', 'friendships_are_seen_by_the_two', 403, 'a friendship, asked for or accepted, is seen by the two alone'),
  ('friends.2', 'friendships_are_asked_for_oneself', 403, 'one asks for friendship for oneself'),
  ('friends.3', 'friendships_are_accepted_by_the_asked', 403, 'only the one who was asked accepts'),
  ('friends.4', 'friendships_are_ended_by_either', 403, 'either of the two ends a friendship or takes the request back'),
  ('friends.5', 'friendships_are_between_two', 422, 'nobody is their own friend'),
  ('friends.6', 'friendships_pass_no_block', 403, 'a block refuses requests for friendship, both ways'),
  ('friends.7', 'friendships_are_one_per_pair', 409, 'two people have at most one friendship, whoever asked'),
  ('blocks.1', 'blocks_are_seen_by_the_blocker', 403, 'a block is seen by who made it alone'),
  ('blocks.2', 'blocks_are_made_by_the_blocker', 403, 'people block and unblock for themselves'),
  ('blocks.3', 'blocks_are_between_two', 422, 'nobody blocks themselves'),
  ('blocks.4', 'blocks_end_friendships', 403, 'blocking someone ends the friendship with them');

-- tables -----------------------------------------------------------------------------------------------------

create table chat.users (
  id uuid primary key,
  username text
    constraint users_username_is_plain check (username ~ '^[a-z0-9_.-]{3,32}$'),
  display_name text not null
    constraint users_display_name_is_a_name check (display_name ~ '\S' and char_length(display_name) <= 100),
  kind text not null default 'member'
    constraint users_kind_is_known check (kind in ('member', 'guest', 'assistant')),
  avatar_url text
    constraint users_avatar_url_is_a_link check (avatar_url ~ '^https?://\S+$' and char_length(avatar_url) <= 2000),
  created_at timestamptz not null default clock_timestamp(),
  last_active_at timestamptz,
  erased_at timestamptz,
  constraint users_username_is_taken unique (username),
  constraint users_erased_are_gone check (
    erased_at is null or display_name = 'deleted user' and username is null and avatar_url is null and last_active_at is null)
) with (fillfactor = 85);
create index users_by_age on chat.users (created_at, id);

create table chat.friendships (
  requester_id uuid not null default chat.uid() references chat.users on delete cascade,
  addressee_id uuid not null references chat.users on delete cascade,
  created_at timestamptz not null default clock_timestamp(),
  accepted_at timestamptz,
  primary key (requester_id, addressee_id),
  constraint friendships_are_between_two check (requester_id <> addressee_id)
);
create unique index friendships_are_one_per_pair
on chat.friendships (least(requester_id, addressee_id), greatest(requester_id, addressee_id));
create index friendships_by_addressee on chat.friendships (addressee_id);

create table chat.blocks (
  blocker_id uuid not null default chat.uid() references chat.users on delete cascade,
  blocked_id uuid not null references chat.users on delete cascade,
  created_at timestamptz not null default clock_timestamp(),
  primary key (blocker_id, blocked_id),
  constraint blocks_are_between_two check (blocker_id <> blocked_id)
);
create index blocks_by_blocked on chat.blocks (blocked_id);

-- who: the policies on users stand with the chats, since who shares a chat decides ---------------------------

alter table chat.users enable row level security;
alter table chat.friendships enable row level security;
alter table chat.blocks enable row level security;

create policy update_self on chat.users for update
to authenticated
using (id = (select chat.uid()) and erased_at is null);

create policy select_party on chat.friendships for select
to authenticated
using ((select chat.uid()) in (requester_id, addressee_id));

create policy insert_requester on chat.friendships for insert
to authenticated
with check (requester_id = (select chat.uid()) and accepted_at is null);

-- reaches as far as one reads: the rules say which change is refused, by name
create policy update_party on chat.friendships for update
to authenticated
using ((select chat.uid()) in (requester_id, addressee_id));

create policy delete_party on chat.friendships for delete
to authenticated
using ((select chat.uid()) in (requester_id, addressee_id));

create policy select_blocker on chat.blocks for select
to authenticated
using (blocker_id = (select chat.uid()));

create policy insert_blocker on chat.blocks for insert
to authenticated
with check (blocker_id = (select chat.uid()));

create policy delete_blocker on chat.blocks for delete
to authenticated
using (blocker_id = (select chat.uid()));

create policy select_staff on chat.users for select to service_role, chat_auditor using (true);        -- staff.2
create policy insert_service on chat.users for insert to service_role with check (true);               -- the host knows its users first
create policy update_service on chat.users for update to service_role using (true);                    -- … and renames them
create policy select_staff on chat.friendships for select to service_role, chat_auditor using (true);  -- staff.2
create policy insert_service on chat.friendships for insert to service_role with check (true);         -- imports
create policy delete_service on chat.friendships for delete to service_role using (true);              -- … and support
create policy select_staff on chat.blocks for select to service_role, chat_auditor using (true);       -- staff.2
create policy delete_service on chat.blocks for delete to service_role using (true);                   -- support

call chat_private.cite('policy update_self on chat.users', 'users.2');
call chat_private.cite('policy select_party on chat.friendships', 'friends.1');
call chat_private.cite('policy insert_requester on chat.friendships', 'friends.2');
call chat_private.cite('policy update_party on chat.friendships', 'friends.3');
call chat_private.cite('policy delete_party on chat.friendships', 'friends.4');
call chat_private.cite('policy select_blocker on chat.blocks', 'blocks.1');
call chat_private.cite('policy insert_blocker on chat.blocks', 'blocks.2');
call chat_private.cite('policy delete_blocker on chat.blocks', 'blocks.2');
call chat_private.cite('policy select_staff on chat.users', 'staff.2');
call chat_private.cite('policy insert_service on chat.users', 'staff.1');
call chat_private.cite('policy update_service on chat.users', 'staff.1');
call chat_private.cite('policy select_staff on chat.friendships', 'staff.2');
call chat_private.cite('policy insert_service on chat.friendships', 'staff.1');
call chat_private.cite('policy delete_service on chat.friendships', 'staff.1');
call chat_private.cite('policy select_staff on chat.blocks', 'staff.2');
call chat_private.cite('policy delete_service on chat.blocks', 'staff.1');

-- what: no one inserts users but the host and the function below; kind and times are not the user's to set ----

grant select on chat.users, chat.friendships, chat.blocks to authenticated, service_role, chat_auditor;
grant update (username, display_name, avatar_url) on chat.users to authenticated;
grant insert (id, username, display_name, kind, avatar_url), update (username, display_name, kind, avatar_url) on chat.users to service_role;
grant insert (requester_id, addressee_id), update (accepted_at), delete on chat.friendships to authenticated;
grant insert (requester_id, addressee_id, accepted_at), delete on chat.friendships to service_role;
grant insert (blocker_id, blocked_id), delete on chat.blocks to authenticated;
grant delete on chat.blocks to service_role;

-- how: first sight --------------------------------------------------------------------------------------------

create function chat_private.fallback_name(_id uuid) returns text
language sql
immutable
parallel safe
as $$
  -- nothing of an e-mail address: its owner never agreed to show it
  select 'user ' || left(_id::text, 8)
$$;

create function chat_private.name_from_claims(_claims jsonb) returns text
language sql
immutable
parallel safe
as $$
  -- user_metadata is the user's own to write: good enough for a name, for nothing else
  select left(n.name, 100)
  from (values
    (1, regexp_replace(_claims #>> '{user_metadata,full_name}', '^\s+|\s+$', '', 'g')),
    (2, regexp_replace(_claims #>> '{user_metadata,name}', '^\s+|\s+$', '', 'g')),
    (3, regexp_replace(_claims ->> 'name', '^\s+|\s+$', '', 'g')),
    (4, regexp_replace(_claims ->> 'preferred_username', '^\s+|\s+$', '', 'g'))
  ) n (place, name)
  where n.name <> ''
  order by n.place
  limit 1
$$;

create function chat_private.avatar_from_claims(_claims jsonb) returns text
language sql
immutable
parallel safe
as $$
  select u.url
  from (values (coalesce(_claims #>> '{user_metadata,avatar_url}', _claims ->> 'picture'))) u (url)
  where u.url ~ '^https?://\S+$' and char_length(u.url) <= 2000
$$;

create function chat_private.introduce_me() returns void
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
-- the first sight of a token makes its user; later ones, every few minutes, say that they are active
declare
  me uuid := chat.uid();
  claims jsonb := chat.claims();
begin
  if me is null
     -- looked at first: the insert below locks the row even where it changes nothing
     or exists (select from chat.users u where u.id = me and u.last_active_at > clock_timestamp() - interval '1 minute') then
    return;
  end if;
  insert into chat.users as u (id, display_name, avatar_url, last_active_at)
  values (me,
          coalesce(chat_private.name_from_claims(claims), chat_private.fallback_name(me)),
          chat_private.avatar_from_claims(claims),
          clock_timestamp())
  on conflict (id) do update set
    -- whom the host named before they came has a stand-in for a name
    display_name = case when u.last_active_at is null and u.display_name = chat_private.fallback_name(me)
                        then excluded.display_name
                        else u.display_name end,
    avatar_url = case when u.last_active_at is null then coalesce(u.avatar_url, excluded.avatar_url) else u.avatar_url end,
    last_active_at = excluded.last_active_at
  where u.erased_at is null
    and (u.last_active_at is null or u.last_active_at < excluded.last_active_at - interval '1 minute');
  -- asked afterwards: whoever erased them while this waited for the row has done so
  if exists (select from chat.users u where u.id = me and u.erased_at is not null) then
    perform chat_private.refuse('users_erased_are_gone');
  end if;
end
$$;

create function chat.introduce_me() returns void
language sql
volatile
begin atomic
  select chat_private.introduce_me();
end;

create function chat_private.expect_users(_ids uuid[]) returns void
language sql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
  -- the host application names people before they ever come
  insert into chat.users (id, display_name)
  select distinct i.id, chat_private.fallback_name(i.id)
  from unnest(_ids) i (id)
  where i.id is not null
  order by i.id  -- two hosts' calls with the same newcomers wait for each other one way only
  on conflict (id) do nothing
$$;

-- when --------------------------------------------------------------------------------------------------------

create view chat_private.my_blocks as
select
  case when b.blocker_id = (select chat.uid()) then b.blocked_id else b.blocker_id end as user_id
from chat.blocks b
where (select chat.uid()) in (b.blocker_id, b.blocked_id);

create view chat_private.my_friends as
select
  case when f.requester_id = (select chat.uid()) then f.addressee_id else f.requester_id end as user_id,
  f.accepted_at,
  f.addressee_id = (select chat.uid()) as asked_me
from chat.friendships f
where (select chat.uid()) in (f.requester_id, f.addressee_id);

create function chat_private.hold_pair(_one uuid, _other uuid) returns void
language sql
volatile
set search_path = pg_catalog, pg_temp
as $$
  -- until the end of the transaction: a block and a friendship of the same two wait for each other
  select pg_advisory_xact_lock(uuid_hash_extended(least(_one, _other), 4280) # uuid_hash_extended(greatest(_one, _other), 4281))
$$;

create function chat_private.hold_people(_ids uuid[]) returns void
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
-- Their rows, as a foreign key would: who erases one of them waits for this transaction, or this one finds them erased.
declare
  one uuid;
begin
  for one in select distinct i.id from unnest(_ids) i (id) order by i.id loop
    perform from chat.users u where u.id = one and u.erased_at is null for key share;
    if not found then
      perform chat_private.refuse('users_exist');
    end if;
  end loop;
end
$$;

create function chat_private.hold_party() returns trigger
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if tg_table_name = 'friendships' then
    perform chat_private.hold_people(array[new.requester_id, new.addressee_id]);
  else
    perform chat_private.hold_people(array[new.blocker_id, new.blocked_id]);
  end if;
  return new;
end
$$;

create function chat_private.friendship_rules() returns trigger
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if tg_op = 'INSERT' then
    perform chat_private.introduce_me();
    perform chat_private.hold_people(array[new.requester_id, new.addressee_id]);
    -- A row that is there is a lock itself, and is had by now: who blocks deletes it, and waits for it. The pair's after it would be the
    -- other way round than theirs.
    perform chat_private.hold_pair(new.requester_id, new.addressee_id);
  end if;
  if exists (select from chat_private.my_blocks b where b.user_id in (new.requester_id, new.addressee_id)) then
    perform chat_private.refuse('friendships_pass_no_block');
  end if;
  if tg_op = 'UPDATE' then
    if new.addressee_id is distinct from chat.uid() and new.accepted_at is distinct from old.accepted_at then
      perform chat_private.refuse('friendships_are_accepted_by_the_asked');
    end if;
    -- accepted once and for all; to end it is to delete it
    new.accepted_at := coalesce(old.accepted_at, case when new.accepted_at is not null then clock_timestamp() end);
  end if;
  return new;
end
$$;
create trigger _100_rules before insert or update on chat.friendships for each row
when (row_security_active('chat.friendships'::regclass) and current_user <> 'service_role')
execute function chat_private.friendship_rules();
create trigger _200_people before insert on chat.friendships for each row
execute function chat_private.hold_party();

create function chat_private.block_rules() returns trigger
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform chat_private.introduce_me();
  perform chat_private.hold_people(array[new.blocker_id, new.blocked_id]);
  perform chat_private.hold_pair(new.blocker_id, new.blocked_id);
  delete from chat.friendships f
  where least(f.requester_id, f.addressee_id) = least(new.blocker_id, new.blocked_id)
    and greatest(f.requester_id, f.addressee_id) = greatest(new.blocker_id, new.blocked_id);
  return new;
end
$$;
create trigger _100_rules before insert on chat.blocks for each row
when (new.blocker_id = chat.uid())
execute function chat_private.block_rules();
create trigger _200_people before insert on chat.blocks for each row
execute function chat_private.hold_party();

grant select on chat_private.my_blocks, chat_private.my_friends to authenticated;
grant execute on function chat.introduce_me(), chat_private.introduce_me() to authenticated;

-- comments ----------------------------------------------------------------------------------------------------

comment on table chat.users is 'Everyone who was ever seen with a valid token, or named by the host application. Rows stay; erasure empties them.';
comment on column chat.users.id is 'The claim sub.';
comment on column chat.users.username is 'A handle, unique once claimed.';
comment on column chat.users.display_name is 'Free text, from the token at first sight. It identifies nobody.';
comment on column chat.users.kind is 'member, guest or assistant.';
comment on column chat.users.avatar_url is 'A picture.';
comment on column chat.users.created_at is 'When they were first seen or named.';
comment on column chat.users.last_active_at is 'When they last asked for anything, to a few minutes; null for who never came.';
comment on column chat.users.erased_at is 'Since when they are erased; nothing brings them back.';
comment on index chat.users_by_age is 'Who came last?';
comment on table chat.friendships is 'One row per pair: who asked, who was asked, and since when both agree.';
comment on column chat.friendships.requester_id is 'Who asked.';
comment on column chat.friendships.addressee_id is 'Who was asked.';
comment on column chat.friendships.created_at is 'When it was asked for.';
comment on column chat.friendships.accepted_at is 'Since when they are friends; null while it is a request.';
comment on index chat.friendships_by_addressee is 'Who asked me?';
comment on table chat.blocks is 'Who wants to hear nothing more from whom, in direct chats, requests and invitations.';
comment on column chat.blocks.blocker_id is 'Who blocks.';
comment on column chat.blocks.blocked_id is 'Who is blocked; no row tells them, though a refusal may.';
comment on column chat.blocks.created_at is 'Since when.';
comment on index chat.blocks_by_blocked is 'Who blocks me? Asked by the rules alone.';
comment on view chat_private.my_blocks is 'Everyone between whom and the asker stands a block, whoever made it.';
comment on view chat_private.my_friends is 'Everyone with whom the asker has a friendship or a request for one.';
comment on function chat_private.fallback_name(uuid) is 'What someone is called whose token has no name.';
comment on function chat_private.name_from_claims(jsonb) is 'The display name in a token, null when it has none.';
comment on function chat_private.avatar_from_claims(jsonb) is 'The picture in a token, null when it has none that is a link.';
comment on function chat_private.introduce_me() is 'Makes the user of this token at first sight, and notes that they are active.';
comment on function chat.introduce_me() is 'Makes the user of this token at first sight, and notes that they are active. Idempotent.';
comment on function chat_private.expect_users(uuid[]) is 'Makes users of those who have never come.';
comment on function chat_private.hold_pair(uuid, uuid) is 'Takes the lock of two people until the end of the transaction.';
comment on function chat_private.hold_people(uuid[]) is 'users.8: holds the rows of people who are there until the end of the transaction.';
comment on function chat_private.hold_party() is 'users.8 and users.9: both people of a friendship or block are there, and stay so until it is.';
comment on function chat_private.friendship_rules() is 'friends.3, friends.6 and what an update of a friendship may change.';
comment on function chat_private.block_rules() is 'blocks.4: a block ends the friendship.';
comment on trigger _100_rules on chat.friendships is 'Binds those whom RLS binds, the service role apart.';
comment on trigger _100_rules on chat.blocks is 'Binds who blocks for themselves.';
comment on trigger _200_people on chat.friendships is 'Binds everyone.';
comment on trigger _200_people on chat.blocks is 'Binds everyone.';
call chat_private.cite('constraint users_username_is_plain on chat.users', 'users.3');
call chat_private.cite('constraint users_username_is_taken on chat.users', 'users.4');
call chat_private.cite('constraint users_display_name_is_a_name on chat.users', 'users.5');
call chat_private.cite('constraint users_kind_is_known on chat.users', 'users.6');
call chat_private.cite('constraint users_avatar_url_is_a_link on chat.users', 'users.7');
call chat_private.cite('constraint users_erased_are_gone on chat.users', 'users.9');
call chat_private.cite('constraint friendships_are_between_two on chat.friendships', 'friends.5');
call chat_private.cite('index chat.friendships_are_one_per_pair', 'friends.7');
call chat_private.cite('constraint blocks_are_between_two on chat.blocks', 'blocks.3');

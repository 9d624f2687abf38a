-- Presence: who is here, by the sockets and streams that they have open; and what else is told as it happens and stands in no log, which is
-- how far somebody has read and that somebody types.
--
-- A server process writes down who is connected to it and renews a lease. A lease that nobody renews counts for nothing, and whoever renews
-- next sweeps it away with the people it held: so a process that dies leaves no ghosts. The tables are unlogged: after a crash of Postgres
-- they are empty, and each process, which finds its lease gone, writes everybody down anew.

insert into chat.rules (number, name, status, sentence) values
  ('presence.1', 'presence_is_seen_by_participants', 403, 'who is in a chat sees who of the others in it is online, away or offline, and what they say of themselves; a block between two hides it from both'),
  ('presence.2', 'presence_state_is_known', 422, 'who is here is online or away'),
  ('presence.3', 'presence_is_kept_by_the_relay', 403, 'the server''s relay writes down who is here, and what they say of themselves in the chats that they are in, and nobody else does');

-- tables -----------------------------------------------------------------------------------------------------

create unlogged table chat_private.leases (
  process_id uuid primary key,
  renewed_at timestamptz not null default clock_timestamp()
) with (fillfactor = 50);
alter table chat_private.leases enable row level security;  -- and no policy: the owner's functions alone read it

-- without a foreign key to users: a row of theirs would be locked whenever they come, and theirs stay
create unlogged table chat.presence (
  process_id uuid not null references chat_private.leases on delete cascade,
  user_id uuid not null,
  state text not null
    constraint presence_state_is_known check (state in ('online', 'away')),
  since timestamptz not null default clock_timestamp(),
  primary key (process_id, user_id)
) with (fillfactor = 85);
create index presence_by_user on chat.presence (user_id);

-- What somebody types is in no table, and any role may notify: so it travels sealed by a key that processes share and nobody else reads.
create table chat_private.seals (
  only_row boolean primary key default true
    constraint there_is_one_seal check (only_row),
  -- 488 random bits, in as many as a key has
  key bytea not null default sha256(
    uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()))
);
insert into chat_private.seals default values;
alter table chat_private.seals enable row level security;  -- and no policy: the owner's functions alone read it

create view chat_private.living_processes as
select
  l.process_id
from chat_private.leases l
where l.renewed_at > clock_timestamp() - interval '10 seconds';

-- who ---------------------------------------------------------------------------------------------------------

alter table chat.presence enable row level security;

-- since is never null: naming it inside the exists keeps the planner from hashing everybody in my chats for one person's rows
create policy select_companion on chat.presence for select
to authenticated
using ((user_id = (select chat.uid())
        or exists (select from chat_private.my_companions c where c.user_id = presence.user_id and presence.since is not null)
           and not exists (select from chat_private.my_blocks b where b.user_id = presence.user_id))
       and exists (select from chat_private.living_processes l where l.process_id = presence.process_id));

create policy select_staff on chat.presence for select to service_role, chat_auditor using (true);  -- staff.2

call chat_private.cite('policy select_companion on chat.presence', 'presence.1');
call chat_private.cite('policy select_staff on chat.presence', 'staff.2');

-- what: nobody writes; through which process somebody is here is the staff's to know

grant select (user_id, state, since) on chat.presence to authenticated;
grant select on chat.presence to service_role, chat_auditor;
grant select on chat_private.living_processes to authenticated;

-- seen ---------------------------------------------------------------------------------------------------------

create function chat_private.statuses(_users uuid[]) returns table (user_id uuid, status text)
language sql
stable
rows 10
security definer
set search_path = pg_catalog, pg_temp
as $$
  -- of those who are here: online where any connection of theirs is
  select h.user_id, case when bool_or(h.state = 'online') then 'online' else 'away' end
  from chat.presence h
  join chat_private.living_processes l on l.process_id = h.process_id
  join chat.users u on u.id = h.user_id and u.erased_at is null
  where h.user_id = any (_users)
  group by h.user_id
$$;

create function chat_private.presence_of(_chat uuid, _user_ids uuid[])
returns table (user_id uuid, status text, last_active_at timestamptz)
language plpgsql
stable
rows 10
security definer
set search_path = pg_catalog, pg_temp
as $$
-- Where a block is between two, both look as if they were never here. plpgsql, because it keeps its plans.
#variable_conflict use_column
begin
  if not chat.is_service() and not exists (select from chat_private.my_memberships m where m.chat_id = _chat) then
    return;
  end if;
  return query
  with asked as materialized (
    select p.user_id, exists (select from chat_private.my_blocks b where b.user_id = p.user_id) as is_hidden
    from chat.participants p
    where p.chat_id = _chat
      and p.left_at is null
      and p.user_id = any (coalesce(_user_ids, array(select o.user_id from chat.participants o where o.chat_id = _chat and o.left_at is null))))
  select
    a.user_id,
    coalesce(s.status, 'offline'),
    case when s.status is null and not a.is_hidden then u.last_active_at end
  from asked a
  join chat.users u on u.id = a.user_id
  left join chat_private.statuses(array(select o.user_id from asked o where not o.is_hidden)) s on s.user_id = a.user_id;
end
$$;

create function chat.presence_of(_chat uuid, _user_ids uuid[] default null)
returns table (user_id uuid, status text, last_active_at timestamptz)
language sql
stable
begin atomic
  select p.user_id, p.status, p.last_active_at from chat_private.presence_of(_chat, _user_ids) p;
end;

create function chat_private.expect_companion(_chat uuid) returns void
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
-- for who looked for the people of a chat and found none
begin
  if chat.is_service() then
    perform chat_private.expect_reader(_chat);
  elsif not exists (select from chat_private.my_memberships m where m.chat_id = _chat) then
    perform chat_private.refuse_outsider(_chat, 'presence_is_seen_by_participants');
  end if;
end
$$;

create function chat.expect_companion(_chat uuid) returns void
language sql
stable
begin atomic
  select chat_private.expect_companion(_chat);
end;

grant execute on function
  chat.presence_of(uuid, uuid[]),
  chat_private.presence_of(uuid, uuid[]),
  chat.expect_companion(uuid),
  chat_private.expect_companion(uuid)
to anon, authenticated, service_role;

-- kept -----------------------------------------------------------------------------------------------------------

create function chat_private.keep_presence(_process uuid, _users uuid[], _states text[], _is_all boolean) returns boolean
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
-- Renews the lease of a process, and writes down who came to it or is in another state, and who left (a null state). _is_all: it has nobody
-- else. False: it has no lease any more, nothing is written, and it is to say all whom it has. Sweeps leases that nobody renews.
declare
  dead uuid[];
  changed uuid[];
  gone uuid[];
begin
  update chat_private.leases l set renewed_at = clock_timestamp() where l.process_id = _process;
  if not found then
    if not _is_all then
      return false;
    end if;
    insert into chat_private.leases (process_id) values (_process);
  end if;

  with said as materialized (
    select s.user_id, s.state from unnest(_users, _states) s (user_id, state)
  ), came as (
    insert into chat.presence as h (process_id, user_id, state)
    select _process, s.user_id, s.state from said s where s.state is not null
    on conflict (process_id, user_id) do update set state = excluded.state, since = clock_timestamp() where h.state <> excluded.state
    returning h.user_id
  ), went as (
    delete from chat.presence h
    where h.process_id = _process
      and case when _is_all then not exists (select from said s where s.user_id = h.user_id and s.state is not null)
               else h.user_id in (select s.user_id from said s where s.state is null) end
    returning h.user_id)
  select array(select c.user_id from came c), array(select w.user_id from went w)
  into changed, gone;

  -- whoever is swept by another in this moment is left to them
  dead := array(select l.process_id
                from chat_private.leases l
                where l.process_id not in (select p.process_id from chat_private.living_processes p)
                for update skip locked);
  if dead <> '{}' then
    gone := gone || array(select h.user_id from chat.presence h where h.process_id = any (dead));
    delete from chat_private.leases l where l.process_id = any (dead);
  end if;

  if gone <> '{}' then
    -- they were active until now, whatever they asked for last; who is being written by somebody else will be again
    update chat.users u set last_active_at = clock_timestamp()
    where u.id in (select k.id
                   from chat.users k
                   where k.id = any (gone)
                     and k.erased_at is null
                     and k.last_active_at < clock_timestamp() - interval '1 minute'
                     and not exists (select from chat.presence h where h.user_id = k.id)
                   for no key update skip locked);
  end if;
  if changed || gone <> '{}' then
    perform chat_private.hint((select string_agg('p' || c.id, ',') from unnest(changed || gone) c (id)), false);
  end if;
  return true;
end
$$;

create function chat.keep_presence(_process uuid, _users uuid[], _states text[], _is_all boolean) returns boolean
language sql
volatile
begin atomic
  select chat_private.keep_presence(_process, _users, _states, _is_all);
end;

create function chat_private.presence_told(_users uuid[])
returns table (
  user_id uuid, status text, last_active_at timestamptz, chat_ids uuid[], standing_revs bigint[], hidden_from uuid[])
language plpgsql
stable
rows 10
security definer
set search_path = pg_catalog, pg_temp
as $$
-- What is to be told of people: how it is with them, in which chats they are (and their standing_rev), and who must not hear it (presence.1).
#variable_conflict use_column
begin
  return query
  select
    u.id,
    coalesce(s.status, 'offline'),
    case when s.status is null then u.last_active_at end,
    c.chat_ids,
    c.standing_revs,
    array(select b.blocked_id from chat.blocks b where b.blocker_id = u.id
          union all
          select b.blocker_id from chat.blocks b where b.blocked_id = u.id)
  from chat.users u
  left join chat_private.statuses(_users) s on s.user_id = u.id
  cross join lateral (
    select
      coalesce(array_agg(p.chat_id), '{}') as chat_ids,
      coalesce(array_agg(chat_private.standing_rev(p.chat_id)), '{}') as standing_revs
    from chat.participants p
    where p.user_id = u.id and p.left_at is null) c
  where u.id = any (_users);
end
$$;

create function chat.presence_told(_users uuid[])
returns table (
  user_id uuid, status text, last_active_at timestamptz, chat_ids uuid[], standing_revs bigint[], hidden_from uuid[])
language sql
stable
begin atomic
  select t.user_id, t.status, t.last_active_at, t.chat_ids, t.standing_revs, t.hidden_from from chat_private.presence_told(_users) t;
end;

create function chat_private.present() returns table (user_id uuid, status text)
language sql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
  select s.user_id, s.status from chat_private.statuses(array(select distinct h.user_id from chat.presence h)) s
$$;

create function chat.present() returns table (user_id uuid, status text)
language sql
stable
begin atomic
  select p.user_id, p.status from chat_private.present() p;
end;

create function chat_private.sealing_key() returns bytea
language sql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
  select s.key from chat_private.seals s
$$;

create function chat.sealing_key() returns bytea
language sql
stable
begin atomic
  select chat_private.sealing_key();
end;

grant execute on function
  chat.keep_presence(uuid, uuid[], text[], boolean),
  chat_private.keep_presence(uuid, uuid[], text[], boolean),
  chat.presence_told(uuid[]),
  chat_private.presence_told(uuid[]),
  chat.present(),
  chat_private.present(),
  chat.sealing_key(),
  chat_private.sealing_key()
to chat_relay;

-- told: how far somebody has read, and that somebody types --------------------------------------------------------

create function chat_private.tell_read() returns trigger
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if tg_op = 'INSERT' or new.seq <> old.seq then
    perform chat_private.hint('r' || new.chat_id || '.' || new.user_id, true);
  end if;
  return null;
end
$$;
create trigger _900_tell after insert or update on chat.read_markers for each row
execute function chat_private.tell_read();

create function chat_private.set_typing(_chat uuid, _is_typing boolean) returns void
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
-- Who may not write does not type. For the server alone: it passes it on sealed, and an open hint would be anybody's to forge.
begin
  if not exists (select from chat_private.my_memberships m where m.chat_id = _chat) then
    perform chat_private.refuse_outsider(_chat, 'messages_are_sent_by_participants');
  end if;
  perform chat_private.check_writer(_chat);
  perform chat_private.hint(case when _is_typing is false then 'u' else 't' end || _chat || '.' || chat.uid(), false);
end
$$;

create function chat.set_typing(_chat uuid, _is_typing boolean default true) returns void
language sql
volatile
begin atomic
  select chat_private.set_typing(_chat, _is_typing);
end;
grant execute on function chat.set_typing(uuid, boolean), chat_private.set_typing(uuid, boolean) to authenticated;

-- comments -------------------------------------------------------------------------------------------------------

comment on table chat_private.leases is 'The server processes that have people connected to them, and when each last said so.';
comment on table chat.presence is 'Who is here, through which server process. Unlogged: empty after a crash, and written anew.';
comment on column chat.presence.process_id is 'The server process that they are connected to.';
comment on column chat.presence.user_id is 'Who.';
comment on column chat.presence.state is 'online, or away where all their connections there say so.';
comment on column chat.presence.since is 'Since when they are in this state there.';
comment on index chat.presence_by_user is 'Is this person here?';
comment on table chat_private.seals is 'The key by which server processes tell each other what stands in no table.';
comment on constraint there_is_one_seal on chat_private.seals is 'There is one row.';
comment on view chat_private.living_processes is 'Processes whose lease holds: it was renewed within 10 seconds.';
comment on function chat_private.statuses(uuid[]) is 'Who of these is here, online or away.';
comment on function chat_private.presence_of(uuid, uuid[]) is 'presence.1, of a chat.';
comment on function chat.presence_of(uuid, uuid[]) is 'Who of a chat is online, away or offline, and when who is offline was last active; of these people, or of all in it.';
comment on function chat_private.expect_companion(uuid) is 'Refuses who is not in the chat: presence.1 or chats.2.';
comment on function chat.expect_companion(uuid) is 'Refuses who is not in the chat, and says why.';
comment on function chat_private.keep_presence(uuid, uuid[], text[], boolean) is 'presence.3.';
comment on function chat.keep_presence(uuid, uuid[], text[], boolean) is 'Renews a process'' lease and writes down who came to it and who left it. False: say all whom you have.';
comment on function chat_private.presence_told(uuid[]) is 'presence.1, of people whose presence changed.';
comment on function chat.presence_told(uuid[]) is 'What the relay tells of people, in which chats, and from whom it is hidden.';
comment on function chat_private.present() is 'presence.3: everybody who is here.';
comment on function chat.present() is 'Everybody who is here, online or away.';
comment on function chat_private.sealing_key() is 'The key of chat_private.seals.';
comment on function chat.sealing_key() is 'The key by which server processes tell each other what stands in no table.';
comment on function chat_private.tell_read() is 'A hint that somebody has read further.';
comment on function chat_private.set_typing(uuid, boolean) is 'messages.2, messages.18, direct.1, direct.2, before anything is sent.';
comment on function chat.set_typing(uuid, boolean) is 'Tells the others in a chat that one types, or no more.';
comment on trigger _900_tell on chat.read_markers is 'Binds everyone.';
call chat_private.cite('constraint presence_state_is_known on chat.presence', 'presence.2');

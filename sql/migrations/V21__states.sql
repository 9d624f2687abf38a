-- Tracked states: what those who are here say of themselves to the others in a chat, for as long as they are connected: a name to show, where
-- their cursor is. They are written down as presence is, by the server process that they are connected to, and are gone with its lease.
--
-- A state that ends is kept for half a minute. A relay tells differences: what came and what ended since it read the chat last. Somebody who
-- listed the states in between may have seen one that came and ended meanwhile; by its row they are told that it ended.
--
-- Whoever touches a state that is there ends or deletes it. So what another is at is left to them, but by the process whose state it is: who leaves
-- all their chats, and holds what they said in some of them, waits for nobody, and there is no circle.

insert into chat.rules (number, name, status, sentence) values
  ('presence.4', 'state_is_short', 422, 'what somebody says of themselves has at most 8,192 bytes, and its key 1 to 255 characters'),
  ('presence.5', 'states_are_few', 403, 'a person says at most 20 things of themselves in a chat, and all in it together 1,000');

-- tables -----------------------------------------------------------------------------------------------------

create unlogged table chat.presence_states (
  process_id uuid not null references chat_private.leases on delete cascade,
  id uuid not null,
  chat_id uuid not null,
  user_id uuid not null,
  key text not null,
  state json not null,
  since timestamptz not null default clock_timestamp(),
  ended_at timestamptz,
  primary key (process_id, id),
  constraint state_is_short check (octet_length(state::text) <= 8192 and length(key) between 1 and 255)
);
create index presence_states_by_chat on chat.presence_states (chat_id, user_id);
create index presence_states_ended on chat.presence_states (ended_at) where ended_at is not null;
create index presence_states_begun on chat.presence_states (since) where ended_at is null;

-- who ---------------------------------------------------------------------------------------------------------

alter table chat.presence_states enable row level security;

create policy select_companion on chat.presence_states for select
to authenticated
using (ended_at is null
       and exists (select from chat_private.my_memberships m where m.chat_id = presence_states.chat_id)
       and (user_id = (select chat.uid())
            or not exists (select from chat_private.my_blocks b where b.user_id = presence_states.user_id))
       and exists (select from chat_private.living_processes l where l.process_id = presence_states.process_id));

create policy select_staff on chat.presence_states for select to service_role, chat_auditor using (true);  -- staff.2

call chat_private.cite('policy select_companion on chat.presence_states', 'presence.1');
call chat_private.cite('policy select_staff on chat.presence_states', 'staff.2');

-- what: nobody writes; through which process somebody is here is the staff's to know

grant select (id, chat_id, user_id, key, state, since, ended_at) on chat.presence_states to anon, authenticated;  -- anon sees none: no policy is for it
grant select on chat.presence_states to service_role, chat_auditor;

-- kept -------------------------------------------------------------------------------------------------------

create function chat_private.keep_states(
  _process uuid, _ended uuid[], _ids uuid[], _chats uuid[], _users uuid[], _keys text[], _states json[]) returns boolean
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
-- Ends some states of a process and adds others, at once, so that one in another's place is told as such. What presence.3 to presence.5 do not
-- allow is passed over: somebody may have left the chat in this moment. False: the process has no lease, and nothing is written.
declare
  states_of_one constant integer := 20;
  states_of_chat constant integer := 1000;
  ended_in uuid[];
  begun_in uuid[];
begin
  -- held, so that it is not swept before what hangs on it is there
  perform from chat_private.leases l where l.process_id = _process for key share;
  if not found then
    return false;
  end if;
  with held as (
    -- whose they are waits, in one order: if another fails to end them, nobody else does
    select s.id
    from chat.presence_states s
    where s.process_id = _process and s.id = any (_ended) and s.ended_at is null
    order by s.id
    for update
  ), gone as (
    update chat.presence_states s set ended_at = clock_timestamp()
    from held h
    where s.process_id = _process and s.id = h.id
    returning s.chat_id)
  select array_agg(distinct g.chat_id) into ended_in from gone g;

  with said as materialized (
    select
      u.id,
      u.chat_id,
      u.user_id,
      u.key,
      u.state,
      u.nth,
      row_number() over (partition by u.chat_id, u.user_id order by u.nth) as nth_of_one,
      row_number() over (partition by u.chat_id order by u.nth) as nth_of_chat
    from unnest(_ids, _chats, _users, _keys, _states) with ordinality u (id, chat_id, user_id, key, state, nth)
  ), begun as (
    insert into chat.presence_states (process_id, id, chat_id, user_id, key, state)
    select _process, s.id, s.chat_id, s.user_id, s.key, s.state
    from said s
    join chat.participants p on p.chat_id = s.chat_id and p.user_id = s.user_id and p.left_at is null
    where octet_length(s.state::text) <= 8192
      and length(s.key) between 1 and 255
      and s.nth_of_one + (select count(*)
                          from chat.presence_states o
                          where o.chat_id = s.chat_id and o.user_id = s.user_id and o.ended_at is null) <= states_of_one
      and s.nth_of_chat + (select count(*)
                           from chat.presence_states o
                           where o.chat_id = s.chat_id and o.ended_at is null) <= states_of_chat
    order by s.nth  -- who lists them has them as they were said
    on conflict (process_id, id) do nothing
    returning chat_id)
  select array_agg(distinct b.chat_id) into begun_in from begun b;
  perform chat_private.hint(
    (select string_agg('s' || c.id, ',') from (select i.id from unnest(ended_in || begun_in) i (id) group by i.id limit 180) c),
    false)
  where ended_in || begun_in <> '{}';
  return true;
end
$$;

create function chat.keep_states(
  _process uuid, _ended uuid[], _ids uuid[], _chats uuid[], _users uuid[], _keys text[], _states json[]) returns boolean
language sql
volatile
begin atomic
  select chat_private.keep_states(_process, _ended, _ids, _chats, _users, _keys, _states);
end;

create function chat_private.end_states() returns trigger
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
-- of who leaves a chat: nobody there sees them any more
begin
  update chat.presence_states s set ended_at = clock_timestamp()
  where (s.process_id, s.id) in (select o.process_id, o.id
                                 from chat.presence_states o
                                 where o.chat_id = new.chat_id and o.user_id = new.user_id and o.ended_at is null
                                 for update skip locked);
  if found then
    perform chat_private.hint('s' || new.chat_id, true);
  end if;
  return null;
end
$$;
create trigger _900_end_states after update of left_at on chat.participants for each row
when (old.left_at is null and new.left_at is not null)
execute function chat_private.end_states();

create function chat_private.hide_states() returns trigger
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
-- of two between whom a block comes or goes: in the chats of both, where either says something of themselves
declare
  pair uuid[] := case when tg_op = 'DELETE' then array[old.blocker_id, old.blocked_id] else array[new.blocker_id, new.blocked_id] end;
  hints text;
begin
  select string_agg('s' || c.chat_id, ',')
  into hints
  from (select p.chat_id
        from chat.participants p
        join chat.participants o on o.chat_id = p.chat_id and o.user_id = pair[2] and o.left_at is null
        where p.user_id = pair[1]
          and p.left_at is null
          and exists (select from chat.presence_states s where s.chat_id = p.chat_id and s.user_id = any (pair) and s.ended_at is null)
        limit 180) c;
  if hints is not null then
    perform chat_private.hint(hints, true);
  end if;
  return null;
end
$$;
create trigger _900_hide_states after insert or delete on chat.blocks for each row
execute function chat_private.hide_states();

create function chat_private.forget_states() returns boolean
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
-- A slice of what ended long ago; says whether there may be more. And what was written down of somebody in the moment in which they left.
declare
  rows_at_most constant integer := 1000;
  ended_before constant timestamptz := clock_timestamp() - interval '30 seconds';
  begun_after constant timestamptz := clock_timestamp() - interval '1 minute';
  forgotten integer;
  chats uuid[];
begin
  delete from chat.presence_states s
  where (s.process_id, s.id) in (select o.process_id, o.id
                                 from chat.presence_states o
                                 where o.ended_at <= ended_before
                                 order by o.ended_at
                                 limit rows_at_most
                                 for update skip locked);
  get diagnostics forgotten = row_count;
  with gone as (
    update chat.presence_states s set ended_at = clock_timestamp()
    where (s.process_id, s.id) in (
      select o.process_id, o.id
      from chat.presence_states o
      where o.ended_at is null
        and o.since > begun_after
        and not exists (select from chat.participants p where p.chat_id = o.chat_id and p.user_id = o.user_id and p.left_at is null)
      for update skip locked)
    returning s.chat_id)
  select array_agg(distinct g.chat_id) into chats from gone g;
  if chats is not null then
    perform chat_private.hint((select string_agg('s' || c.id, ',') from (select i.id from unnest(chats) i (id) limit 180) c), false);
  end if;
  return forgotten = rows_at_most;
end
$$;

create function chat.forget_states() returns boolean
language sql
volatile
begin atomic
  select chat_private.forget_states();
end;

-- told -------------------------------------------------------------------------------------------------------

create view chat_private.living_states as
select
  s.chat_id,
  s.id,
  s.user_id,
  s.key,
  s.state,
  s.since,
  s.ended_at,
  s.ended_at is null and exists (select from chat_private.living_processes l where l.process_id = s.process_id) as is_living
from chat.presence_states s;

create function chat_private.states_marks(_chats uuid[]) returns table (chat_id uuid, mark text)
language sql
stable
rows 10
security definer
set search_path = pg_catalog, pg_temp
as $$
  -- another one whenever a state came or ended; of all chats where none are named
  select s.chat_id, count(*) filter (where s.is_living) || ' ' || extract(epoch from max(greatest(s.since, s.ended_at)))
  from chat_private.living_states s
  where _chats is null or s.chat_id = any (_chats)
  group by s.chat_id
$$;

create function chat.states_marks(_chats uuid[] default null) returns table (chat_id uuid, mark text)
language sql
stable
begin atomic
  select m.chat_id, m.mark from chat_private.states_marks(_chats) m;
end;

create function chat_private.states_told(_chats uuid[], _known uuid[], _over uuid[])
returns table (
  chat_id uuid, standing_rev bigint, mark text, id uuid, user_id uuid, key text, state json, is_living boolean, age_ms bigint,
  hidden_from uuid[])
language plpgsql
stable
rows 10
security definer
set search_path = pg_catalog, pg_temp
as $$
-- Of each chat a row without an id; then its states, and from whom each is hidden (presence.1). Those that are _known come without what they
-- say, those that are known to be _over not at all. age_ms: since it began, or ended.
#variable_conflict use_column
begin
  return query
  select a.id, chat_private.standing_rev(a.id), m.mark,
         null::uuid, null::uuid, null::text, null::json, null::boolean, null::bigint, null::uuid[]
  from unnest(_chats) a (id)
  left join chat_private.states_marks(_chats) m on m.chat_id = a.id;

  return query
  select
    s.chat_id, null::bigint, null::text, s.id, s.user_id, s.key,
    case when s.id <> all (_known) then s.state end,
    s.is_living,
    (extract(epoch from clock_timestamp() - case when s.is_living then s.since else coalesce(s.ended_at, clock_timestamp()) end) * 1000)::bigint,
    -- to who is in the chat alone is it told at all
    array(select p.user_id
          from (select b.blocked_id as user_id from chat.blocks b where b.blocker_id = s.user_id
                union
                select b.blocker_id from chat.blocks b where b.blocked_id = s.user_id) h
          join chat.participants p on p.chat_id = s.chat_id and p.user_id = h.user_id and p.left_at is null)
  from chat_private.living_states s
  where s.chat_id = any (_chats)
    and (s.is_living or s.id <> all (_over))
  order by s.chat_id, s.since, s.id;
end
$$;

create function chat.states_told(_chats uuid[], _known uuid[], _over uuid[])
returns table (
  chat_id uuid, standing_rev bigint, mark text, id uuid, user_id uuid, key text, state json, is_living boolean, age_ms bigint,
  hidden_from uuid[])
language sql
stable
begin atomic
  select t.chat_id, t.standing_rev, t.mark, t.id, t.user_id, t.key, t.state, t.is_living, t.age_ms, t.hidden_from
  from chat_private.states_told(_chats, _known, _over) t;
end;

grant execute on function
  chat.keep_states(uuid, uuid[], uuid[], uuid[], uuid[], text[], json[]),
  chat_private.keep_states(uuid, uuid[], uuid[], uuid[], uuid[], text[], json[]),
  chat.forget_states(),
  chat_private.forget_states(),
  chat.states_marks(uuid[]),
  chat_private.states_marks(uuid[]),
  chat.states_told(uuid[], uuid[], uuid[]),
  chat_private.states_told(uuid[], uuid[], uuid[])
to chat_relay;

-- comments -------------------------------------------------------------------------------------------------------

comment on table chat.presence_states is 'What those who are here say of themselves in a chat, through which server process. Unlogged: empty after a crash, and written anew.';
comment on column chat.presence_states.process_id is 'The server process that they are connected to.';
comment on column chat.presence_states.id is 'Which: another one, when somebody says something else.';
comment on column chat.presence_states.chat_id is 'To whom they say it.';
comment on column chat.presence_states.user_id is 'Who.';
comment on column chat.presence_states.key is 'By which they group what they say, on several devices for example.';
comment on column chat.presence_states.state is 'What they say: JSON of their own.';
comment on column chat.presence_states.since is 'Since when.';
comment on column chat.presence_states.ended_at is 'Until when; such a one is kept for half a minute.';
comment on index chat.presence_states_by_chat is 'What do people say of themselves in this chat?';
comment on index chat.presence_states_ended is 'Which ended long ago?';
comment on index chat.presence_states_begun is 'Which began just now?';
comment on view chat_private.living_states is 'States, and whether each holds: it has not ended, and its process lives.';
comment on function chat_private.keep_states(uuid, uuid[], uuid[], uuid[], uuid[], text[], json[]) is 'presence.3, presence.4, presence.5.';
comment on function chat.keep_states(uuid, uuid[], uuid[], uuid[], uuid[], text[], json[]) is 'Writes down which states of a process ended and which began. False: it has no lease.';
comment on function chat_private.end_states() is 'presence.3: who is not in the chat says nothing there.';
comment on function chat_private.hide_states() is 'presence.1, when a block comes or goes.';
comment on function chat_private.forget_states() is 'presence.3: what ended is not kept.';
comment on function chat.forget_states() is 'Deletes a slice of the states that ended more than 30 seconds ago. True: there may be more.';
comment on function chat_private.states_marks(uuid[]) is 'By which to see that the states of a chat changed.';
comment on function chat.states_marks(uuid[]) is 'For each chat with states a mark that changes with them; of these chats, or of all.';
comment on function chat_private.states_told(uuid[], uuid[], uuid[]) is 'presence.1, of chats in which something changed.';
comment on function chat.states_told(uuid[], uuid[], uuid[]) is 'What the relay tells of the states in chats, and from whom it is hidden.';
comment on trigger _900_end_states on chat.participants is 'presence.3. Binds everyone.';
comment on trigger _900_hide_states on chat.blocks is 'presence.1. Binds everyone.';
call chat_private.cite('constraint state_is_short on chat.presence_states', 'presence.4');

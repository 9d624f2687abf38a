-- Live: what the server's relay reads, to tell subscribers what they could select.
--
-- The relay reads the chats that are listened to, for everybody who listens, in one statement and so in one snapshot: what changed, and
-- from where on each listener reads the chat. That is a listener's standing, computed here from the views that the policies ask; the
-- server compares it with a row's seq and decides nothing. Where the house has policies of its own on what is told, no standing can say
-- what they let through: then each listener reads as themselves.

insert into chat.rules (number, name, status, sentence) values
  ('live.1', 'live_is_told_by_the_relay', 403, 'the server''s relay reads what changed for everybody who listens, and nobody else does');

-- who ------------------------------------------------------------------------------------------------------------

create policy select_relay on chat.chats for select to chat_relay using (true);         -- live.1: tells each only what they could select
create policy select_relay on chat.participants for select to chat_relay using (true);  -- live.1
create policy select_relay on chat.messages for select to chat_relay using (true);      -- live.1
create policy select_relay on chat.read_markers for select to chat_relay using (true);  -- live.1

call chat_private.cite('policy select_relay on chat.chats', 'live.1');
call chat_private.cite('policy select_relay on chat.participants', 'live.1');
call chat_private.cite('policy select_relay on chat.messages', 'live.1');
call chat_private.cite('policy select_relay on chat.read_markers', 'live.1');

-- what: as a person's, without where a message came from

grant select (
  chat_id, id, seq, rev, xid, sender_id, kind, text, mentions, reply_to_id, attachment_url, created_at, imported_at, edited_at, pinned_at,
  deleted_at, erased_at, reactions
) on chat.messages to chat_relay;
grant select on chat.chats, chat.participants, chat.read_markers to chat_relay;

-- standings ------------------------------------------------------------------------------------------------------

create function chat_private.standings(_chats uuid[], _users uuid[], _roles text[])
returns table (chat_id uuid, user_id uuid, asks_as text, reads_after bigint, reads_deleted_after bigint, since_rev bigint)
language plpgsql
stable
rows 10
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan  -- else it is planned at each call, which takes longer than all it does
as $$
-- Whoever reads messages of a chat reads those with a seq above reads_after, and deleted ones above reads_deleted_after; null: none. What is
-- not a message they read where they read messages. since_rev: at which rev they came or got their role.
#variable_conflict use_column
begin
  return query
  select
    a.chat_id,
    a.user_id,
    a.asks_as,
    case
      when c.id is null then null
      when a.asks_as = 'service_role' then 0
      when c.visibility = 'public' and c.deleted_at is null
           and case when a.user_id is null then s.anon_reads_public_rooms else u.erased_at is null end then 0
      else p.sees_after end,
    case
      when c.id is null then null
      when a.asks_as = 'service_role' then 0
      when p.role <> 'member' then p.sees_after end,
    coalesce(p.rev, 0)
  from unnest(_chats, _users, _roles) a (chat_id, user_id, asks_as)
  cross join chat.settings s
  left join chat.chats c on c.id = a.chat_id
  left join chat.users u on u.id = a.user_id
  left join chat.participants p on p.chat_id = a.chat_id and p.user_id = a.user_id and p.left_at is null;
end
$$;

create function chat_private.standing_rev(_chat uuid) returns bigint
language sql
stable
as $$
  -- at which rev somebody came, left or got another role last: to whom something is told that has no rev must be known up to there
  select coalesce(greatest(
    (select max(p.rev) from chat.participants p where p.chat_id = _chat),
    (select max(t.rev) from chat.tombstones t where t.chat_id = _chat and t.kind = 'participant')), 0)
$$;

-- what happened ----------------------------------------------------------------------------------------------------

create function chat_private.live(
  _chats uuid[], _since bigint[], _listening_to uuid[], _listeners uuid[], _roles text[], _limit bigint)
returns table (
  chat_id uuid, rev bigint, what text, row_id uuid, is_new boolean, born_rev bigint, head_rev bigint, asks_as text,
  reads_after bigint, reads_deleted_after bigint, epoch text)
language plpgsql
stable
rows 100
security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
as $$
-- Which life of the database it is, since the revs asked about hold in that one alone. Then of each chat: its head, and whether the chat
-- itself changed (is_new); then whose standing is asked for, or changed since, whatever the limit; then the keys of what changed, at most
-- _limit. A chat without a rev to go on from tells its head alone. One snapshot: none of it may be volatile.
#variable_conflict use_column
begin
  return query
  select null::uuid, null::bigint, 'life', null::uuid, null::boolean, null::bigint, null::bigint, null::text, null::bigint, null::bigint,
         chat_private.epoch();

  return query
  select a.chat_id, h.rev,
         case when h.rev < a.since
                   or exists (select from chat.tombstones t where t.chat_id = a.chat_id and t.rev > a.since and t.kind = 'reset') then 'reset'
              else 'head' end,
         null::uuid,
         -- whatever the limit: who reads it may be others now
         exists (select from chat.chats c where c.id = a.chat_id and c.rev > a.since)
           or exists (select from chat.tombstones t where t.chat_id = a.chat_id and t.rev > a.since and t.kind = 'chat'),
         null::bigint, h.rev, null::text, null::bigint, null::bigint, null::text
  from unnest(_chats, _since) a (chat_id, since)
  cross join lateral (
    select coalesce(greatest(
      (select m.seq from chat.messages m where m.chat_id = a.chat_id order by m.seq desc limit 1),
      (select m.rev from chat.messages m where m.chat_id = a.chat_id and m.rev <> m.seq order by m.rev desc limit 1),
      (select p.rev from chat.participants p where p.chat_id = a.chat_id order by p.rev desc limit 1),
      (select t.rev from chat.tombstones t where t.chat_id = a.chat_id order by t.rev desc limit 1),
      (select c.rev from chat.chats c where c.id = a.chat_id)), 0) as rev) h;

  return query
  with asked as (
    select i.chat_id, i.user_id, i.asks_as
    from unnest(_listening_to, _listeners, _roles) i (chat_id, user_id, asks_as)
    union
    select a.chat_id, p.user_id, 'authenticated'
    from unnest(_chats, _since) a (chat_id, since)
    join chat.participants p on p.chat_id = a.chat_id and p.rev > a.since
    union
    select a.chat_id, t.row_id, 'authenticated'
    from unnest(_chats, _since) a (chat_id, since)
    join chat.tombstones t on t.chat_id = a.chat_id and t.rev > a.since and t.kind = 'participant')
  select s.chat_id, s.since_rev, 'standing', s.user_id, false, null::bigint, null::bigint, s.asks_as, s.reads_after, s.reads_deleted_after,
         null::text
  from (select array_agg(k.chat_id) as chats, array_agg(k.user_id) as users, array_agg(k.asks_as) as roles from asked k) k
  cross join lateral chat_private.standings(k.chats, k.users, k.roles) s;

  return query
  select a.chat_id, c.rev, c.what, c.row_id, c.is_new, c.born_rev, null::bigint, null::text, null::bigint, null::bigint, null::text
  from unnest(_chats, _since) a (chat_id, since)
  cross join lateral chat_private.changed(a.chat_id, a.since, 0, _limit) c
  -- most chats of a sweep have none: a look into each index is less than what follows
  where exists (select from chat.messages m where m.chat_id = a.chat_id and m.seq > a.since)
     or exists (select from chat.messages m where m.chat_id = a.chat_id and m.rev <> m.seq and m.rev > a.since)
     or exists (select from chat.participants p where p.chat_id = a.chat_id and p.rev > a.since)
     or exists (select from chat.tombstones t where t.chat_id = a.chat_id and t.rev > a.since)
     or exists (select from chat.chats k where k.id = a.chat_id and k.rev > a.since);
end
$$;

create function chat.live(
  _chats uuid[], _since bigint[], _listening_to uuid[], _listeners uuid[], _roles text[], _limit bigint default 500)
returns table (
  chat_id uuid, rev bigint, what text, row_id uuid, is_new boolean, born_rev bigint, head_rev bigint, asks_as text,
  reads_after bigint, reads_deleted_after bigint, epoch text)
language sql
stable
begin atomic
  select l.chat_id, l.rev, l.what, l.row_id, l.is_new, l.born_rev, l.head_rev, l.asks_as, l.reads_after, l.reads_deleted_after,
         l.epoch
  from chat_private.live(_chats, _since, _listening_to, _listeners, _roles, least(greatest(coalesce(_limit, 500), 1), 500)) l;
end;

create function chat_private.arrivals(_since pg_snapshot)
returns table (what text, chat_id uuid, user_id uuid, may_be_listed boolean, next_position text)
language plpgsql
stable
rows 10
security definer
set search_path = pg_catalog, pg_temp
as $$
-- Who came, left or changed since a snapshot, and which chats: found by transaction, since a chat that nobody here listens to is asked for by
-- nobody. may_be_listed: it is, or perhaps was, a public room, and who lists those is to look. What is written by a transaction that is still
-- under way is found when it has ended.
#variable_conflict use_column
begin
  return query
  select 'participant', p.chat_id, p.user_id,
         exists (select from chat.chats c where c.id = p.chat_id and c.visibility = 'public'), null::text
  from chat.participants p
  where p.xid >= pg_snapshot_xmin(_since) and chat_private.is_news(p.xid, _since);
  return query
  select 'chat', c.id, null::uuid, c.type = 'room', null::text
  from chat.chats c
  where c.xid >= pg_snapshot_xmin(_since) and chat_private.is_news(c.xid, _since);
  return query select 'end', null::uuid, null::uuid, false, pg_current_snapshot()::text;
end
$$;

create function chat.arrivals(_since pg_snapshot)
returns table (what text, chat_id uuid, user_id uuid, may_be_listed boolean, next_position text)
language sql
stable
begin atomic
  select a.what, a.chat_id, a.user_id, a.may_be_listed, a.next_position from chat_private.arrivals(_since) a;
end;

create function chat_private.live_epoch() returns table (epoch text, snapshot text, is_strict boolean, lobby uuid, is_open boolean)
language sql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
  -- strict: the house has policies of its own on what is told
  select
    chat_private.epoch(),
    pg_current_snapshot()::text,
    exists (select
            from pg_policy p
            where p.polrelid in ('chat.messages'::regclass, 'chat.chats'::regclass, 'chat.participants'::regclass, 'chat.tombstones'::regclass,
                                 'chat.read_markers'::regclass, to_regclass('chat.presence'),
                                 to_regclass('chat.presence_states'))
              and p.polcmd in ('r', '*')
              and not exists (select from chat.rules r where r.number = split_part(obj_description(p.oid, 'pg_policy'), ':', 1))),
    (select s.lobby from chat.settings s),
    (select s.anon_reads_public_rooms from chat.settings s)
$$;

create function chat.live_epoch() returns table (epoch text, snapshot text, is_strict boolean, lobby uuid, is_open boolean)
language sql
stable
begin atomic
  select e.epoch, e.snapshot, e.is_strict, e.lobby, e.is_open from chat_private.live_epoch() e;
end;

-- what no rev tells ------------------------------------------------------------------------------------------------

create function chat_private.tell_to_look() returns trigger
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
-- Who reads what may have changed without a rev in any chat: every relay is to look at all that somebody listens to.
begin
  perform pg_notify('chat', 'look');
  return null;
end
$$;

create trigger _900_look after update on chat.settings for each statement execute function chat_private.tell_to_look();
create trigger _900_look after update of erased_at on chat.users for each row
when (old.erased_at is null and new.erased_at is not null) execute function chat_private.tell_to_look();

grant execute on function
  chat.live(uuid[], bigint[], uuid[], uuid[], text[], bigint),
  chat_private.live(uuid[], bigint[], uuid[], uuid[], text[], bigint),
  chat.arrivals(pg_snapshot),
  chat_private.arrivals(pg_snapshot),
  chat.live_epoch(),
  chat_private.live_epoch(),
  chat.names(uuid[], uuid[]),
  chat_private.names(uuid[], uuid[])
to chat_relay;

-- comments -------------------------------------------------------------------------------------------------------

comment on function chat_private.standings(uuid[], uuid[], text[]) is 'From where on people read chats: of messages, and of deleted ones.';
comment on function chat_private.standing_rev(uuid) is 'Up to which rev it must be known who is in a chat.';
comment on function chat_private.live(uuid[], bigint[], uuid[], uuid[], text[], bigint) is 'live.1, of many chats.';
comment on function chat.live(uuid[], bigint[], uuid[], uuid[], text[], bigint) is 'What changed in chats since their revs: heads, standings of who listens or came or went, keys of rows; one snapshot.';
comment on function chat_private.arrivals(pg_snapshot) is 'live.1, of chats that nobody asks for.';
comment on function chat.arrivals(pg_snapshot) is 'Who came, left or changed in which chat since a snapshot, and which chats did; a last row end with the next snapshot.';
comment on function chat_private.live_epoch() is 'Which life of the database this is, where it stands, whether the house has policies of its own on what is told, the lobby, and whether public rooms are open to who has no account.';
comment on function chat.live_epoch() is 'Which life of the database this is, where it stands, whether the house has policies of its own on what is told, the lobby, and whether public rooms are open to who has no account.';
comment on function chat_private.tell_to_look() is 'live.1, where no rev tells that readers have changed.';
comment on trigger _900_look on chat.settings is 'live.1: a setting may change who reads what.';
comment on trigger _900_look on chat.users is 'live.1: who is erased reads nothing any more.';

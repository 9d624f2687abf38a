-- Changes: what happened in a chat, or in all of one's chats, since one last asked.
--
-- There is no table of events: the tables are the log. What was created since a rev is read by seq, what was changed by rev, each row
-- once and as it is now. Functions with the owner's rights find the keys; the rows themselves are read by who asks, under the policies.
-- What they do not see is a key without a row: it is gone, for them.
--
-- Across chats there is no rev. A position is a snapshot: a row is news when the transaction that wrote it was not visible then. It
-- bears the epoch of the database, since after a restore neither revs nor transactions are what they were.

insert into chat.rules (number, name, status, sentence) values
  ('changes.1', 'changes_are_told_to_readers', 403, 'who reads a chat is told what changes in it; of what they may not read, at most that its id is gone');

-- where things stand -------------------------------------------------------------------------------------------

create function chat_private.epoch() returns text
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
-- Another one after a failover, in a copy, after a restore, be it into the same database, where the tables are made anew. The copy of a
-- disk is the one thing that looks the same, hence what the DBA may raise. plpgsql, because it keeps its plan.
begin
  return (
  select left(encode(sha256(convert_to(concat_ws('/', s.system_identifier, t.timeline_id, d.oid, 'chat.messages'::regclass::oid, l.life), 'UTF8')),
                     'hex'), 16)
  from chat.settings l,
       pg_control_system() s,
       -- that of the last checkpoint is old for minutes after a promotion
       (select greatest(c.timeline_id, r.min_recovery_end_timeline) as timeline_id from pg_control_checkpoint() c, pg_control_recovery() r) t,
       pg_database d
  where d.datname = current_database());
end
$$;

create function chat_private.head_rev(_chat uuid) returns bigint
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
  select greatest(
    (select m.seq from chat.messages m where m.chat_id = _chat order by m.seq desc limit 1),
    (select m.rev from chat.messages m where m.chat_id = _chat and m.rev <> m.seq order by m.rev desc limit 1),
    (select p.rev from chat.participants p where p.chat_id = _chat order by p.rev desc limit 1),
    (select t.rev from chat.tombstones t where t.chat_id = _chat order by t.rev desc limit 1),
    (select c.rev from chat.chats c where c.id = _chat))
$$;

create function chat_private.is_news(_xid xid8, _snapshot pg_snapshot) returns boolean
language sql
stable
as $$
  -- Not visible then. What seems to be of the future, though it can be read, is of another life: after a restore into a new cluster rows
  -- bear the transactions of the old one.
  select not pg_visible_in_snapshot(_xid, _snapshot) and _xid < pg_snapshot_xmax(pg_current_snapshot())
$$;

create function chat_private.rev_seen(_chat uuid, _snapshot pg_snapshot) returns bigint
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
  -- Walks each index down from the newest to the first row that is no news; messages that never changed last, and only above the others.
  -- Not above the head of that time: revs are in the order of commits, so a snapshot holds a chat up to some rev and nothing beyond.
  select coalesce(
    (select m.seq from chat.messages m
     where m.chat_id = _chat and m.seq > o.rev and m.rev = m.seq and not chat_private.is_news(m.xid, _snapshot) order by m.seq desc limit 1),
    o.rev)
  from (select greatest(
          (select m.rev from chat.messages m
           where m.chat_id = _chat and m.rev <> m.seq and not chat_private.is_news(m.xid, _snapshot) order by m.rev desc limit 1),
          (select p.rev from chat.participants p
           where p.chat_id = _chat and not chat_private.is_news(p.xid, _snapshot) order by p.rev desc limit 1),
          (select t.rev from chat.tombstones t
           where t.chat_id = _chat and not chat_private.is_news(t.xid, _snapshot) order by t.rev desc limit 1),
          (select c.rev from chat.chats c where c.id = _chat and not chat_private.is_news(c.xid, _snapshot)),
          0) as rev) o
$$;

create function chat_private.news(_chat uuid, _snapshot pg_snapshot) returns table (is_there boolean)
language sql
stable
begin atomic
  -- The newest of each kind tells. A table of one row, and atomic: so the planner puts it into the statement that asks it of a thousand chats.
  select coalesce(chat_private.is_news((select m.xid from chat.messages m where m.chat_id = _chat order by m.seq desc limit 1), _snapshot), false)
      or coalesce(chat_private.is_news(
           (select m.xid from chat.messages m where m.chat_id = _chat and m.rev <> m.seq order by m.rev desc limit 1), _snapshot), false)
      or coalesce(chat_private.is_news((select p.xid from chat.participants p where p.chat_id = _chat order by p.rev desc limit 1), _snapshot), false)
      or coalesce(chat_private.is_news((select t.xid from chat.tombstones t where t.chat_id = _chat order by t.rev desc limit 1), _snapshot), false)
      or coalesce(chat_private.is_news((select c.xid from chat.chats c where c.id = _chat), _snapshot), false);
end;

-- keys -----------------------------------------------------------------------------------------------------------

create function chat_private.changed(_chat uuid, _since bigint, _sees_after bigint, _limit bigint)
returns table (rev bigint, what text, row_id uuid, is_new boolean, born_rev bigint)
language plpgsql
stable
rows 100
set search_path = pg_catalog, pg_temp
as $$
-- A row created since stands at its seq, even if it was changed again; a row that was there before stands where it changed last. Whoever
-- goes on from the last of these misses nothing: what changes meanwhile gets a rev above all of them. plpgsql, because it keeps its plan.
#variable_conflict use_column
begin
  return query
  select c.rev, c.what, c.row_id, c.born_rev > _since, c.born_rev
  from (
    (select m.seq as rev, 'message' as what, m.id as row_id, m.seq as born_rev
     from chat.messages m
     where m.chat_id = _chat and m.seq > greatest(_since, _sees_after)
     order by m.seq
     limit _limit)
    union all
    (select m.rev, 'message', m.id, m.seq
     from chat.messages m
     where m.chat_id = _chat and m.rev <> m.seq and m.rev > _since and m.seq <= _since and m.seq > _sees_after
       -- nothing is wanted beyond as many new ones as there is room for
       and m.rev <= coalesce((select g.seq
                              from chat.messages g
                              where g.chat_id = _chat and g.seq > greatest(_since, _sees_after)
                              order by g.seq
                              offset _limit - 1 limit 1), 9223372036854775807)
     order by m.rev
     limit _limit)
    union all
    (select p.rev, 'participant', p.user_id, p.joined_rev
     from chat.participants p
     where p.chat_id = _chat and p.rev > _since
     order by p.rev
     limit _limit)
    union all
    select k.rev, 'chat', k.id, 0
    from chat.chats k
    where k.id = _chat and k.rev > _since
    union all
    (select t.rev, 'removed ' || t.kind, t.row_id, 0
     from chat.tombstones t
     where t.chat_id = _chat and t.rev > _since and t.rev > _sees_after and t.kind in ('message', 'participant')
     order by t.rev
     limit _limit)) c
  order by c.rev
  limit _limit;
end
$$;

create function chat_private.is_forgotten(_chat uuid, _since bigint) returns boolean
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
  select exists (select from chat.tombstones t where t.chat_id = _chat and t.rev > _since and t.kind = 'reset')
$$;

-- one chat -------------------------------------------------------------------------------------------------------

create function chat_private.changes(_chat uuid, _since bigint, _limit bigint, _epoch text)
returns table (chat_id uuid, rev bigint, what text, row_id uuid, is_new boolean, head_rev bigint, epoch text)
language plpgsql
stable
rows 100
security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  head bigint;
  now_epoch text;
  me record;
begin
  perform chat_private.expect_reader(_chat);
  head := chat_private.head_rev(_chat);
  select
    p.rev,
    p.sees_after,
    c.rev as chat_rev,
    exists (select from chat_private.my_open_rooms o where o.chat_id = _chat) as is_open
  into me
  from chat.participants p
  join chat.chats c on c.id = p.chat_id
  where p.chat_id = _chat and p.user_id = chat.uid() and p.left_at is null;
  -- who came, or changed role, sees other rows than before, also old ones
  now_epoch := chat_private.epoch() || '.' || coalesce(me.rev, 0);
  if _since > 0
     and (_since > head                                -- of another time: a restore took it back
          or chat_private.is_forgotten(_chat, _since)  -- what was removed meanwhile is not known any more
          or coalesce(_epoch <> now_epoch, me.rev > _since)
          or me.sees_after > 0 and me.chat_rev > _since) then  -- a public room is read as a whole, as long as it is one
    return query select _chat, head, 'reset', null::uuid, false, head, now_epoch;
    return;
  end if;
  return query select _chat, head, 'head', null::uuid, false, head, now_epoch;
  return query
  select _chat, c.rev, c.what, c.row_id, c.is_new, head, now_epoch
  from chat_private.changed(_chat, _since, case when me.is_open then 0 else coalesce(me.sees_after, 0) end, _limit) c;
end
$$;

create function chat.changes(_chat uuid, _since bigint, _limit bigint default 100, _epoch text default null)
returns table (chat_id uuid, rev bigint, what text, row_id uuid, is_new boolean, head_rev bigint, epoch text)
language sql
stable
begin atomic
  select c.chat_id, c.rev, c.what, c.row_id, c.is_new, c.head_rev, c.epoch
  from chat_private.changes(_chat, _since, least(greatest(coalesce(_limit, 100), 1), 500), _epoch) c;
end;

-- all of one's chats ---------------------------------------------------------------------------------------------

create function chat_private.sync(
  _epoch text, _base pg_snapshot, _target pg_snapshot, _at uuid, _since bigint, _limit bigint)
returns table (chat_id uuid, rev bigint, what text, row_id uuid, is_new boolean, next_position text)
language plpgsql
stable
rows 200
security definer
set search_path = pg_catalog, pg_temp
as $$
-- Goes through one's chats in the order of their ids: of each, that it was entered or left since the snapshot _base, or what changed in it.
-- A walk that is cut short goes on after the chat _at, or within it above _since, and ends at the snapshot in which it began, _target:
-- what changed behind its back is told by the next one, some of it twice.
#variable_conflict use_column
declare
  chats_at_once constant integer := 5000;
  me uuid := chat.uid();
  now_epoch text := chat_private.epoch();
  base pg_snapshot := _base;
  target pg_snapshot := coalesce(_target, pg_current_snapshot());
  room bigint := _limit;
  looked_at integer := 0;
  more boolean := false;
  at_chat uuid := _at;
  at_rev bigint := _since;
  since bigint;
  p record;
  k record;
begin
  if _epoch <> now_epoch then
    base := null;
    target := pg_current_snapshot();
    at_chat := null;
    at_rev := null;
    return query select null::uuid, null::bigint, 'reset', null::uuid, false, null::text;
  end if;

  for p in
    select
      i.chat_id,
      i.xid,
      c.xid as chat_xid,
      i.left_at is not null or c.deleted_at is not null as is_gone,
      i.sees_after,
      case when c.visibility = 'public' then 0 else i.sees_after end as reads_after,  -- a public room is read as a whole
      n.is_there as has_news
    from chat.participants i
    join chat.chats c on c.id = i.chat_id
    cross join lateral chat_private.news(i.chat_id, base) n
    where i.user_id = me
      and (at_chat is null or i.chat_id > at_chat or i.chat_id = at_chat and at_rev is not null)
      and (i.left_at is null or base is not null and chat_private.is_news(i.xid, base))
    order by i.chat_id
  loop
    if room <= 0 or looked_at >= chats_at_once then
      more := true;
      exit;
    end if;
    looked_at := looked_at + 1;
    since := case when p.chat_id = at_chat then at_rev end;
    at_chat := p.chat_id;
    at_rev := null;
    if base is null
       or chat_private.is_news(p.xid, base)
       or (p.is_gone or p.sees_after > 0) and chat_private.is_news(p.chat_xid, base) then
      -- came, left, or changed role, or a room may have been opened or closed: in each case other rows are seen than before
      if base is not null or not p.is_gone then
        room := room - 1;
        return query
        select p.chat_id, null::bigint, case when p.is_gone then 'left' else 'entered' end, null::uuid, false, null::text;
      end if;
    elsif not p.is_gone and (since is not null or p.has_news) then
      since := coalesce(since, chat_private.rev_seen(p.chat_id, base));
      if chat_private.is_forgotten(p.chat_id, since) then
        room := room - 1;
        return query select p.chat_id, null::bigint, 'entered', null::uuid, false, null::text;
      else
        for k in select c.rev, c.what, c.row_id, c.is_new from chat_private.changed(p.chat_id, since, p.reads_after, room) c loop
          room := room - 1;
          at_rev := k.rev;
          return query select p.chat_id, k.rev, k.what, k.row_id, k.is_new, null::text;
        end loop;
        if room > 0 then
          at_rev := null;  -- the chat is done
        else
          more := true;
          exit;
        end if;
      end if;
    end if;
  end loop;

  if not more and base is not null then
    -- participations removed for good leave no row to find: a tombstone each
    return query
    select distinct t.chat_id, null::bigint, 'left', null::uuid, false, null::text
    from chat.tombstones t
    where t.row_id = me
      and t.kind = 'participant'
      and chat_private.is_news(t.xid, base)
      and not exists (select from chat.participants i where i.chat_id = t.chat_id and i.user_id = me and i.left_at is null);
  end if;
  return query
  select null::uuid, null::bigint, case when more or target::text <> pg_current_snapshot()::text then 'more' else 'end' end, null::uuid, false,
         case when more then concat_ws(';', now_epoch, coalesce(base::text, ''), target, at_chat, at_rev)
              else concat_ws(';', now_epoch, target) end;
end
$$;

create function chat.sync(
  _epoch text default null, _base pg_snapshot default null, _target pg_snapshot default null,
  _at uuid default null, _since bigint default null, _limit bigint default 200)
returns table (chat_id uuid, rev bigint, what text, row_id uuid, is_new boolean, next_position text)
language sql
stable
begin atomic
  select s.chat_id, s.rev, s.what, s.row_id, s.is_new, s.next_position
  from chat_private.sync(_epoch, _base, _target, _at, _since, least(greatest(coalesce(_limit, 200), 1), 500)) s;
end;

-- what -----------------------------------------------------------------------------------------------------------

create index tombstones_forgotten on chat.tombstones (chat_id, rev) where kind = 'reset';

grant execute on function
  chat.changes(uuid, bigint, bigint, text), chat_private.changes(uuid, bigint, bigint, text)
to anon, authenticated, service_role;
grant execute on function
  chat.sync(text, pg_snapshot, pg_snapshot, uuid, bigint, bigint), chat_private.sync(text, pg_snapshot, pg_snapshot, uuid, bigint, bigint)
to authenticated, service_role;

-- comments -------------------------------------------------------------------------------------------------------

comment on index chat.tombstones_forgotten is 'Where are removals not known any more?';
comment on function chat_private.epoch() is 'Which life of the database this is: another after a failover, a restore, or in a copy.';
comment on function chat_private.head_rev(uuid) is 'The chat''s highest rev.';
comment on function chat_private.is_news(xid8, pg_snapshot) is 'Whether what this transaction wrote came after a snapshot.';
comment on function chat_private.rev_seen(uuid, pg_snapshot) is 'Up to which rev a snapshot holds the chat, or somewhat less.';
comment on function chat_private.news(uuid, pg_snapshot) is 'Whether the chat changed since a snapshot.';
comment on function chat_private.changed(uuid, bigint, bigint, bigint) is 'The keys of what changed in a chat since a rev, in order; asks nobody who they are.';
comment on function chat_private.is_forgotten(uuid, bigint) is 'Whether removals since this rev are not known any more.';
comment on function chat_private.changes(uuid, bigint, bigint, text) is 'changes.1, for one chat.';
comment on function chat.changes(uuid, bigint, bigint, text) is 'What changed in a chat since a rev: first a row head, or reset (list it anew); then keys of rows, to be read under the policies; a key without a row is gone.';
comment on function chat_private.sync(text, pg_snapshot, pg_snapshot, uuid, bigint, bigint) is 'changes.1, for all of one''s chats.';
comment on function chat.sync(text, pg_snapshot, pg_snapshot, uuid, bigint, bigint) is 'What changed in all of one''s chats since a position: chats entered and left, keys of rows, and a last row more or end with the next position.';

-- Upkeep: what the settings keep no longer goes for good, and what was begun and not ended comes to its end.
--
-- A pass goes through three steps: erasures that nobody ends, public rooms that have more messages than they keep, messages that were
-- deleted long ago. A call does a slice of it and remembers where it is, in one row, which it holds meanwhile: so one session at a time does
-- upkeep, whoever dies in the middle leaves the place to the next, and a whole pass that finds nothing is one short transaction.
-- What is busy or refuses is skipped, not waited for: the next pass finds it again.

insert into chat.rules (number, name, status, sentence) values
  ('retention.1', 'rooms_keep_their_last_messages', 403, 'a public room keeps its last messages, as many as the settings say, and the older ones are removed for good; no other chat is cut'),
  ('retention.2', 'deleted_messages_are_kept_for_a_while', 403, 'a deleted message is removed for good when it has been deleted for as long as the settings say'),
  ('retention.3', 'removed_messages_leave_their_ids', 403, 'a message that is removed leaves its id; a public room that is cut keeps as many ids as messages, and at least 1,000'),
  ('retention.4', 'upkeep_does_what_the_settings_say', 403, 'the server and the host application do the upkeep, which takes nothing that the settings keep');

-- tables -----------------------------------------------------------------------------------------------------

create table chat_private.upkeep_place (
  only_row boolean primary key default true
    constraint upkeep_is_in_one_place check (only_row),
  step text not null default 'erasures'
    constraint upkeep_step_is_known check (step in ('erasures', 'rooms', 'deleted')),
  at timestamptz,
  id uuid,
  seq bigint
);
insert into chat_private.upkeep_place default values;
alter table chat_private.upkeep_place enable row level security;  -- and no policy: the owner's functions alone read it

-- No send has an entry in it. By time alone: a chat's own deleted messages are found by messages_by_seq.
create index messages_deleted on chat.messages (deleted_at, chat_id, seq) where deleted_at is not null;

-- removing ---------------------------------------------------------------------------------------------------

create function chat_private.rows_with(_chat uuid, _message uuid, _reactions jsonb) returns bigint
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
  -- reactions as the message counts them: they may be many
  select 1
         + coalesce((select sum((r.value ->> 'count')::bigint) from jsonb_array_elements(_reactions) r), 0)
         + (select count(*) from chat.message_edits e where e.chat_id = _chat and e.message_id = _message)
$$;

create function chat_private.remove_messages(_chat uuid, _ids uuid[]) returns integer
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
-- Under the chat's lock. What hangs on a message goes with it: earlier texts and reactions by their foreign keys, its words in the pages of
-- search by a trigger, those in the audit first, so many at a time: null when there are more, and nothing is removed yet. A reply to it
-- stays, and quotes nothing any more.
declare
  lines_at_most constant integer := 5000;
  removed integer;
begin
  if chat_private.strike_from_audit(_chat, _ids, lines_at_most) = lines_at_most then
    return null;
  end if;
  perform set_config('chat.removing', _chat::text, true);
  delete from chat.messages m where m.chat_id = _chat and m.id = any (_ids);
  get diagnostics removed = row_count;
  perform set_config('chat.removing', '', true);
  if removed > 0 then
    perform chat_private.write_down('delete', 'messages', _chat, null, null, null, jsonb_build_object('messages', removed));
  end if;
  return removed;
end
$$;

create function chat_private.oldest_kept(_chat uuid, _keep integer, _after bigint, out seq bigint, out looked bigint)
language plpgsql
volatile  -- never stable: asked again under the lock, it must see what the lock waited for
set search_path = pg_catalog, pg_temp
as $$
-- The oldest message that a room keeps, if there are older ones above _after; deleted ones do not count. Reads messages_by_seq and no row.
declare
  first bigint := (select m.seq from chat.messages m where m.chat_id = _chat and m.seq > _after order by m.seq limit 1);
  last bigint := (select m.seq from chat.messages m where m.chat_id = _chat order by m.seq desc limit 1);
begin
  looked := 2;
  -- most rooms are small: there are no more messages than seqs
  if last - first >= _keep then
    looked := _keep;
    seq := (select m.seq
            from chat.messages m
            where m.chat_id = _chat and m.deleted_at is null
            order by m.seq desc
            offset _keep - 1 limit 1);
    if seq <= first then
      seq := null;
    end if;
  end if;
end
$$;

create function chat_private.cut_room(_chat uuid, _after bigint, _most integer, out removed integer, out upto bigint)
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
-- Under the chat's lock. Removes of what a room does not keep as much as makes _most rows with all that hangs on it, and at least one message,
-- the oldest first; upto is where to go on, null when it is cut.
--
-- Whoever was away while more was removed than the room keeps has nothing left that stands. To be told so, a reset, is less than to be told
-- each id; and the ids would be more in the end than the messages ever were.
declare
  ids_at_least constant integer := 1000;
  keep constant integer := (select s.keep_messages from chat.settings s);  -- as it is now: the lock may have been waited for
  kept record;
  ids uuid[];
  is_all boolean;
begin
  removed := 0;
  if keep is null or not exists (select from chat.chats c where c.id = _chat and c.visibility = 'public' and c.deleted_at is null) then
    return;  -- it was closed or deleted meanwhile
  end if;
  select k.seq into kept from chat_private.oldest_kept(_chat, keep, _after) k;
  select array_agg(o.id) filter (where o.nth = 1 or o.rows <= _most), max(o.seq) filter (where o.nth = 1 or o.rows <= _most),
         count(*) < _most and bool_and(o.rows <= _most)
  into ids, upto, is_all
  from (select m.id, m.seq, row_number() over (order by m.seq) as nth,
               sum(chat_private.rows_with(_chat, m.id, m.reactions)) over (order by m.seq) as rows
        from (select g.id, g.seq, g.reactions
              from chat.messages g
              where g.chat_id = _chat and g.seq > _after and g.seq < kept.seq
              order by g.seq
              limit _most) m) o;
  if ids is null then
    return;
  end if;
  removed := chat_private.remove_messages(_chat, ids);
  if removed is null then
    removed := 0;
    upto := _after;
    return;
  elsif is_all then
    upto := null;
  end if;
  delete from chat.tombstones t
  where (t.chat_id, t.rev) in (
    select o.chat_id, o.rev
    from chat.tombstones o
    where o.chat_id = _chat
      and o.kind in ('message', 'reset')
      and o.rev <= (select l.rev
                    from chat.tombstones l
                    where l.chat_id = _chat and l.kind = 'message'
                    order by l.rev desc
                    offset greatest(keep, ids_at_least) limit 1)
    order by o.rev
    limit 2 * _most);
end
$$;

-- the slice --------------------------------------------------------------------------------------------------

create function chat_private.hold_chat_by(_chat uuid, _deadline timestamptz) returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
-- Waits in turn with those who write in the chat, for who only tried would never be let into a busy one; but of a slice that holds other
-- chats already not for long, however many of them are busy.
declare
  at_least constant integer := 10;  -- ms
begin
  perform set_config('lock_timeout', greatest(extract(epoch from _deadline - clock_timestamp()) * 1000, at_least)::integer || 'ms', true);
  perform chat_private.hold_chat(_chat);
end
$$;

create function chat_private.skip(_what text, _id uuid, _state text) returns integer
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
-- Without the text of the error, which may hold somebody's words. That something is busy (55P03) is no error.
begin
  if _state <> '55P03' then
    raise warning 'upkeep skips % %: %', _what, _id, _state;
  end if;
  return 1;
end
$$;

create function chat_private.upkeep(out removed integer, out ended integer, out skipped integer, out more boolean)
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  -- each is a lock, a subtransaction (a snapshot has room for 64 of a session), and a hint (a transaction has room for some 190)
  chats_at_most constant integer := 50;
  -- so much may go while one chat is held: those who write in it wait for about a tenth of a second
  rows_at_most constant integer := 1000;
  looks_at_most constant integer := 200000;  -- entries of an index
  deadline constant timestamptz := clock_timestamp() + interval '500 milliseconds';
  lock_timeout_before constant text := current_setting('lock_timeout');
  chats_left integer := chats_at_most;
  rows_left integer := rows_at_most;
  looks_left bigint := looks_at_most;
  kept record;
  place chat_private.upkeep_place;
  unfinished record;
  room record;
  since bigint;
  oldest record;
  cut record;
  deleted_before timestamptz;  -- once: a condition on clock_timestamp() itself is none for an index
  gone record;
  gone_now integer;
  is_whole boolean := true;
  next_place chat_private.upkeep_place;
begin
  removed := 0;
  ended := 0;
  skipped := 0;
  select p.only_row, p.step, p.at, p.id, p.seq into place from chat_private.upkeep_place p for update skip locked;
  if not found then
    return;  -- somebody else is at it: more is null
  end if;
  more := false;
  select s.keep_messages as messages, s.keep_deleted as deleted into kept from chat.settings s;

  if place.step = 'erasures' and place.id is null then
    begin
      if chat_private.make_audit_months() > 0 then
        more := true;  -- which holds a lock on the audit: at once to an end
        return;
      end if;
    exception when others then
      skipped := chat_private.skip('the months of the audit', null, sqlstate);
    end;
  end if;

  if place.step = 'erasures' then
    -- who erases themselves at this moment holds the row while a slice of it runs
    select e.user_id, e.begun_at
    into unfinished
    from chat_private.erasures e
    where place.id is null or (e.begun_at, e.user_id) > (place.at, place.id)
    order by e.begun_at, e.user_id
    limit 1
    for update skip locked;
    if not found then
      place := row(true, 'rooms', null, null, null);
    else
      more := true;
      begin
        -- it holds up to 100 chats, one after the other
        perform set_config('lock_timeout', '100ms', true);
        if not chat_private.erase(unfinished.user_id) then
          ended := 1;
        end if;
      exception when others then
        skipped := chat_private.skip('the erasure of', unfinished.user_id, sqlstate);
        place := row(true, 'erasures', unfinished.begun_at, unfinished.user_id, null);
      end;
    end if;
  end if;

  if place.step = 'rooms' and not more then
    for room in
      select c.id
      from chat.chats c
      where kept.messages is not null
        and c.visibility = 'public'
        and c.deleted_at is null
        and c.id >= coalesce(place.id, '00000000-0000-0000-0000-000000000000')
      order by c.id
    loop
      if chats_left = 0 or rows_left = 0 or looks_left <= 0 then
        place := row(true, 'rooms', null, room.id, null);
        more := true;
        exit;
      end if;
      -- below that lie entries of what was removed a moment ago
      since := case when room.id = place.id then coalesce(place.seq, 0) else 0 end;
      select o.seq, o.looked into oldest from chat_private.oldest_kept(room.id, kept.messages, since) o;
      looks_left := looks_left - oldest.looked;
      continue when oldest.seq is null;
      chats_left := chats_left - 1;
      begin
        perform chat_private.hold_chat_by(room.id, deadline);
        select c.removed, c.upto into cut from chat_private.cut_room(room.id, since, rows_left) c;
        removed := removed + cut.removed;
        rows_left := rows_left - cut.removed;
        if cut.upto is not null then
          place := row(true, 'rooms', null, room.id, cut.upto);
          more := true;
          exit;
        end if;
      exception when others then
        skipped := skipped + chat_private.skip('room', room.id, sqlstate);
      end;
    end loop;
    if not more then
      place := row(true, 'deleted', null, null, null);
      more := chats_left < chats_at_most;
    end if;
  end if;

  if place.step = 'deleted' and not more and kept.deleted is not null then
    deleted_before := clock_timestamp() - kept.deleted;
    -- those that were deleted first, of no more chats than may be held; then chat by chat
    for gone in
      with first_ones as materialized (
        select
          m.chat_id,
          m.id,
          m.deleted_at,
          m.seq,
          m.reactions,
          row_number() over (order by m.deleted_at, m.chat_id, m.seq) as nth
        from chat.messages m
        where m.deleted_at <= deleted_before
          and (m.deleted_at, m.chat_id, m.seq)
              > (coalesce(place.at, '-infinity'), coalesce(place.id, '00000000-0000-0000-0000-000000000000'), coalesce(place.seq, 0))
        order by m.deleted_at, m.chat_id, m.seq
        limit rows_at_most
      ), weighed as (
        select f.nth, sum(chat_private.rows_with(f.chat_id, f.id, f.reactions)) over (order by f.nth) as rows from first_ones f
      ), in_chats as (
        select f.chat_id, min(f.nth) as nth from first_ones f group by f.chat_id
      ), those as materialized (
        select f.chat_id, f.id, f.deleted_at, f.seq, f.nth
        from first_ones f
        where f.nth < coalesce((select i.nth from in_chats i order by i.nth offset chats_at_most limit 1), rows_at_most + 1)
          and (f.nth = 1 or f.nth < coalesce((select min(w.nth) from weighed w where w.rows > rows_at_most), rows_at_most + 1))
      )
      select t.chat_id, array_agg(t.id) as ids, l.deleted_at, l.last_chat_id, l.seq
      from those t
      cross join (select w.deleted_at, w.chat_id as last_chat_id, w.seq from those w order by w.nth desc limit 1) l
      group by t.chat_id, l.deleted_at, l.last_chat_id, l.seq
      order by t.chat_id
    loop
      more := true;
      next_place := row(true, 'deleted', gone.deleted_at, gone.last_chat_id, gone.seq);
      begin
        perform chat_private.hold_chat_by(gone.chat_id, deadline);
        -- the settings may have changed while the lock was waited for, or words are to be struck first: the next slice looks again
        is_whole := (select s.keep_deleted from chat.settings s) is not distinct from kept.deleted;
        if is_whole then
          gone_now := chat_private.remove_messages(gone.chat_id, gone.ids);
          is_whole := gone_now is not null;
          removed := removed + coalesce(gone_now, 0);
        end if;
      exception when others then
        skipped := skipped + chat_private.skip('chat', gone.chat_id, sqlstate);
      end;
      exit when not is_whole;
    end loop;
    if more and is_whole then
      place := next_place;
    end if;
  end if;

  if not more then
    place := row(true, 'erasures', null, null, null);
  end if;
  update chat_private.upkeep_place p set step = place.step, at = place.at, id = place.id, seq = place.seq
  where (p.step, p.at, p.id, p.seq) is distinct from (place.step, place.at, place.id, place.seq);
  perform set_config('lock_timeout', lock_timeout_before, true);
end
$$;

create function chat.upkeep(out removed integer, out ended integer, out skipped integer, out more boolean)
language sql
volatile
begin atomic
  select u.removed, u.ended, u.skipped, u.more from chat_private.upkeep() u;
end;

-- what ---------------------------------------------------------------------------------------------------------

grant execute on function chat.upkeep(), chat_private.upkeep() to service_role, chat_api;

-- comments -----------------------------------------------------------------------------------------------------

comment on table chat_private.upkeep_place is 'Where upkeep is. Who does it holds the row.';
comment on column chat_private.upkeep_place.only_row is 'Always true: there is one row.';
comment on column chat_private.upkeep_place.step is 'Of a pass: erasures, rooms, deleted.';
comment on column chat_private.upkeep_place.at is 'When the erasure was begun, or the message deleted, after which to go on.';
comment on column chat_private.upkeep_place.id is 'The person or chat of it; of rooms, the one to go on with.';
comment on column chat_private.upkeep_place.seq is 'The seq in that chat after which to go on.';
comment on constraint upkeep_is_in_one_place on chat_private.upkeep_place is 'One session at a time does upkeep.';
comment on constraint upkeep_step_is_known on chat_private.upkeep_place is 'The steps of a pass.';
comment on index chat.messages_deleted is 'What was deleted longest ago?';
comment on function chat_private.rows_with(uuid, uuid, jsonb) is 'How many rows go with a message: itself, its earlier texts, its reactions.';
comment on function chat_private.remove_messages(uuid, uuid[]) is 'Removes messages of a chat for good: retention.3.';
comment on function chat_private.oldest_kept(uuid, integer, bigint) is 'retention.1: the oldest message that a room keeps; null when it keeps all.';
comment on function chat_private.cut_room(uuid, bigint, integer) is 'retention.1 and retention.3, for one room.';
comment on function chat_private.hold_chat_by(uuid, timestamptz) is 'Takes the chat''s lock until the end of the transaction; refuses (55P03) when that takes until this moment, and 10 ms.';
comment on function chat_private.skip(text, uuid, text) is 'Says that upkeep skips something, and why.';
comment on function chat_private.upkeep() is 'retention.1, retention.2, retention.4, and users.10 for erasures that nobody ends.';
comment on function chat.upkeep() is 'Does a slice of the upkeep: call it until more is false, each time in a transaction of its own. removed: messages; ended: erasures; skipped: chats and erasures that were busy or refused, for the next pass. more is null while somebody else is at it.';

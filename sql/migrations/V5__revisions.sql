-- Revisions: the tables are the log.
--
-- Every durable change in a chat gets the chat's next rev, under a lock on the chat that is held until the change is visible. So within
-- a chat rev order is commit order, and a snapshot holds exactly the changes up to its highest rev. There is no counter row: its dead
-- versions would slow a busy chat down while anybody holds a snapshot. The rev is read from the indexes instead.

insert into chat.rules (number, name, status, sentence) values
  ('revs.1', 'revs_need_read_committed', 409, 'chat rows are written under read committed, the only isolation in which a writer sees what the lock waited for'),
  ('revs.2', 'revs_are_given_by_the_database', 409, 'seq and rev are given by the database'),
  ('revs.3', 'revs_are_never_used_twice', 409, 'a rev is given once: rows are deleted, tables never truncated');

create function chat_private.next_rev(_chat uuid, _above bigint default 0) returns bigint
language plpgsql
volatile  -- never stable: the statements below must take a snapshot younger than the lock
set search_path = pg_catalog, pg_temp
as $$
declare
  r bigint;
  hints text;
begin
  if current_setting('transaction_isolation') <> 'read committed' then
    perform chat_private.refuse('revs_need_read_committed', 'this one is ' || current_setting('transaction_isolation'));
  end if;
  -- else a crash could take back a rev that was already delivered
  if current_setting('synchronous_commit') = 'off' then
    perform set_config('synchronous_commit', 'on', true);
  end if;
  perform chat_private.hold_chat(_chat);

  -- the seldom written tables first, then only what lies above them: index entries of deleted messages are never walked,
  -- because a tombstone stands above them
  select greatest(
    (select t.rev from chat.tombstones t where t.chat_id = _chat order by t.rev desc limit 1),
    (select p.rev from chat.participants p where p.chat_id = _chat order by p.rev desc limit 1),
    (select c.rev from chat.chats c where c.id = _chat),
    _above)
  into r;
  select greatest(
    r,
    (select m.seq from chat.messages m where m.chat_id = _chat and m.seq > r order by m.seq desc limit 1),
    (select m.rev from chat.messages m where m.chat_id = _chat and m.rev <> m.seq and m.rev > r order by m.rev desc limit 1)) + 1
  into r;

  -- The hint that something changed: the chat's id, nothing else. The server collects its own and sends them after the commit, since a
  -- transaction that notifies holds one lock for the whole cluster over its fsync; everybody else's notifies here.
  case current_setting('chat.hints_to', true)
    when 'server' then
      hints := current_setting('chat.hints', true);
      if hints is null or strpos(',' || hints || ',', ',' || _chat || ',') = 0 then
        perform set_config(
          'chat.hints',
          case when length(hints) > 7000 then hints
               when hints <> '' then hints || ',' || _chat
               else _chat::text end,
          true);
      end if;
    when 'nobody' then null;
    else perform pg_notify('chat', _chat::text);
  end case;
  return r;
end
$$;

create function chat_private.hint(_items text, _is_for_all boolean) returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
-- A hint that has no rev: `r<chat>.<user>` somebody has read further, `p<user>` somebody came or went, `s<chat>` what people say of
-- themselves changed, `w<chat>.<id>` something is told, `t` or `u<chat>.<user>` somebody types or does no more. The same way as a chat's, but for what is for the server alone.
declare
  hints text := current_setting('chat.hints', true);
begin
  case current_setting('chat.hints_to', true)
    when 'server' then
      if coalesce(length(hints), 0) <= 7000 then
        perform set_config('chat.hints', concat_ws(',', nullif(hints, ''), _items), true);
      end if;
    when 'nobody' then null;
    else
      if _is_for_all then
        perform pg_notify('chat', _items);
      end if;
  end case;
end
$$;

-- stamps -------------------------------------------------------------------------------------------------------

create function chat_private.via() returns jsonb
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
  -- the claims can be typed, and so can the name of the application; the login cannot
  select jsonb_strip_nulls(jsonb_build_object(
    'role', coalesce(nullif(current_setting('role'), 'none'), session_user),
    'login', session_user,
    'application', nullif(current_setting('application_name'), ''),
    'sub', chat.uid()))
$$;

create function chat_private.stamp_message() returns trigger
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  erases boolean := tg_op = 'UPDATE' and old.erased_at is null and new.erased_at is not null;
begin
  if tg_op = 'INSERT' then
    if new.imported_at is not null and current_setting('chat.importing', true) = new.chat_id::text then
      return new;  -- by chat_private.import_messages, which has given revs to all of them at once; nobody else may set imported_at
    elsif new.seq is not null or new.rev is not null then
      perform chat_private.refuse('revs_are_given_by_the_database', 'load a dump with its triggers disabled');
    end if;
    new.created_at := clock_timestamp();
    -- a message is its own record in the audit: an insert into that one for each would take an eighth of the rate of sends
    new.session_id := left(chat.claims() ->> 'session_id', 64);
    new.request_id := nullif(current_setting('chat.request_id', true), '')::uuid;
    new.via := case
      when new.request_id is null
           or session_user <> 'chat_api'
           or current_setting('role') <> 'authenticated' then chat_private.via() end;
  else
    if (new.chat_id, new.id, new.seq, new.sender_id, new.kind, new.reply_to_id, new.created_at)
       is distinct from (old.chat_id, old.id, old.seq, old.sender_id, old.kind, old.reply_to_id, old.created_at) then
      perform chat_private.refuse('messages_keep_their_identity');
    end if;
    if new is not distinct from old then
      return new;  -- nothing changed: no rev, no event; null would hide the row from RETURNING
    end if;
    if old.erased_at is not null and new.erased_at is distinct from old.erased_at then
      perform chat_private.refuse('messages_stay_erased');
    end if;
    if old.deleted_at is not null
       and not (erases
                and (new.deleted_at, new.edited_at, new.pinned_at, new.imported_at, new.reactions)
                    is not distinct from (old.deleted_at, old.edited_at, old.pinned_at, old.imported_at, old.reactions)) then
      perform chat_private.refuse('messages_stay_deleted');
    end if;
    if (new.text, new.mentions) is distinct from (old.text, old.mentions) and not erases then
      new.edited_at := clock_timestamp();
    end if;
  end if;
  new.rev := chat_private.next_rev(new.chat_id);
  new.xid := pg_current_xact_id();
  if tg_op = 'INSERT' then
    new.seq := new.rev;
  end if;
  return new;
end
$$;
create trigger _900_rev before insert or update on chat.messages for each row
execute function chat_private.stamp_message();

create function chat_private.stamp_participant() returns trigger
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  joins boolean := tg_op = 'INSERT' or old.left_at is not null and new.left_at is null;
  c record;
  gone timestamptz;
begin
  if tg_op = 'UPDATE' then
    if (new.chat_id, new.user_id) is distinct from (old.chat_id, old.user_id) then
      perform chat_private.refuse('participants_keep_their_identity');
    end if;
    if old.left_at is null and new.left_at is not null then
      new.left_at := clock_timestamp();
      new.role := 'member';  -- who comes back does so without the old role
    elsif old.left_at is not null and new.left_at is not null then
      return old;            -- who left has left
    end if;
    if not joins and (new.role, new.left_at) is not distinct from (old.role, old.left_at) then
      new.rev := old.rev;
      new.xid := old.xid;
      return new;
    end if;
  end if;
  new.rev := chat_private.next_rev(new.chat_id);
  new.xid := pg_current_xact_id();
  -- under the lock: a chat that ends in this moment takes nobody in, whoever asks
  select k.type, k.low_user_id, k.high_user_id, k.deleted_at into c from chat.chats k where k.id = new.chat_id;
  if joins and c.deleted_at is not null then
    perform chat_private.refuse('chats_exist');
  elsif c.type = 'direct' and (new.user_id not in (c.low_user_id, c.high_user_id) or new.role <> 'member') then
    perform chat_private.refuse('chats_direct_ones_have_a_pair');
  end if;
  if joins then
    -- the row is held, as the foreign key does: who erases them waits for this transaction, or this one finds them erased
    select u.erased_at into gone from chat.users u where u.id = new.user_id for key share;
    if gone is not null and new.left_at is null then
      perform chat_private.refuse('users_erased_are_gone');
    end if;
    new.joined_at := clock_timestamp();
    new.joined_rev := new.rev;
    new.sees_after := case
      when c.type = 'direct' then 0
      when (select s.history from chat.settings s) = 'since_join' then new.rev
      else 0 end;
  end if;
  return new;
end
$$;
create trigger _900_rev before insert or update on chat.participants for each row
execute function chat_private.stamp_participant();

create function chat_private.stamp_chat() returns trigger
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if tg_op = 'UPDATE' then
    if (new.id, new.uid, new.type, new.low_user_id, new.high_user_id, new.event_id)
       is distinct from (old.id, old.uid, old.type, old.low_user_id, old.high_user_id, old.event_id) then
      perform chat_private.refuse('chats_keep_their_identity');
    end if;
    if new is not distinct from old then
      return new;
    end if;
    if old.deleted_at is not null then
      perform chat_private.refuse('chats_stay_deleted');
    end if;
  end if;
  new.rev := chat_private.next_rev(new.id);
  new.xid := pg_current_xact_id();
  return new;
end
$$;
create trigger _900_rev before insert or update on chat.chats for each row
execute function chat_private.stamp_chat();

-- tombstones ---------------------------------------------------------------------------------------------------

create function chat_private.bury_message() returns trigger
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
-- before, not after: the same statement may go on to insert, and the highest rev of the rows that remain may be one already given
begin
  if exists (select from chat.chats k where k.id = old.chat_id) then  -- else the chat goes too: its own tombstone says it all
    insert into chat.tombstones (chat_id, rev, kind, row_id)
    values (old.chat_id, chat_private.next_rev(old.chat_id), 'message', old.id);
  end if;
  return old;
end
$$;
create trigger _900_bury before delete on chat.messages for each row
execute function chat_private.bury_message();

create function chat_private.fold_tombstones() returns trigger
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
-- many tombstones of one statement become one reset, at the highest of their revs
declare
  removed_at_most constant integer := 1000;
begin
  with many as (
    select g.chat_id, array_agg(g.id) as ids
    from gone g
    where exists (select from chat.chats k where k.id = g.chat_id)
    group by g.chat_id
    having count(*) > removed_at_most
  ), forgotten as (
    delete from chat.tombstones t
    using many m
    where t.chat_id = m.chat_id and t.kind = 'message' and t.row_id = any (m.ids)
      and t.rev < (select max(l.rev) from chat.tombstones l where l.chat_id = m.chat_id)
    returning t.chat_id)
  update chat.tombstones t set kind = 'reset', row_id = null
  from many m
  where t.chat_id = m.chat_id
    and t.rev = (select max(l.rev) from chat.tombstones l where l.chat_id = m.chat_id);
  return null;
end
$$;
create trigger _910_fold after delete on chat.messages
referencing old table as gone for each statement
execute function chat_private.fold_tombstones();

create function chat_private.bury_participant() returns trigger
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if exists (select from chat.chats k where k.id = old.chat_id) then
    insert into chat.tombstones (chat_id, rev, kind, row_id)
    values (old.chat_id, chat_private.next_rev(old.chat_id), 'participant', old.user_id);
  end if;
  return old;
end
$$;
create trigger _900_bury before delete on chat.participants for each row
execute function chat_private.bury_participant();

create function chat_private.bury_chat() returns trigger
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
-- Before, not after: after it the cascade has removed the rows whose revs must not come again. And one for each who was ever in it: whoever
-- was away learns that the chat is gone, and nobody else learns that there was one.
declare
  r bigint := chat_private.next_rev(old.id);
begin
  insert into chat.tombstones (chat_id, rev, kind, row_id) values (old.id, r, 'chat', old.id);
  insert into chat.tombstones (chat_id, rev, kind, row_id)
  select old.id, r + row_number() over (), 'participant', p.user_id
  from chat.participants p
  where p.chat_id = old.id;  -- also who left: they may not have been told of that yet
  return old;
end
$$;
create trigger _900_bury before delete on chat.chats for each row
execute function chat_private.bury_chat();

create function chat_private.keep_participation() returns trigger
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
begin
  return null;  -- in silence: whoever purges old tombstones means the others
end
$$;
create trigger _100_keep_participation before delete on chat.tombstones for each row
when (old.kind = 'participant')
execute function chat_private.keep_participation();

create function chat_private.keep_the_height() returns trigger
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
-- What is purged is forgotten, and says so: a reset at the height of the highest, which keeps its rev from being given again.
begin
  if pg_trigger_depth() > 1 then
    return null;  -- folded, not purged
  end if;
  -- with the transaction of the highest, too: who knows of that one has missed nothing
  insert into chat.tombstones (chat_id, rev, kind, xid)
  select g.chat_id, max(g.rev), 'reset', (array_agg(g.xid order by g.rev desc))[1]
  from gone g
  group by g.chat_id
  on conflict (chat_id, rev) do nothing;
  return null;
end
$$;
create trigger _900_keep_the_height after delete on chat.tombstones
referencing old table as gone for each statement
execute function chat_private.keep_the_height();

create function chat_private.refuse_truncate() returns trigger
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
begin
  perform chat_private.refuse('revs_are_never_used_twice');
  return null;
end
$$;
create trigger _100_truncate before truncate on chat.messages for each statement execute function chat_private.refuse_truncate();
create trigger _100_truncate before truncate on chat.participants for each statement execute function chat_private.refuse_truncate();
create trigger _100_truncate before truncate on chat.chats for each statement execute function chat_private.refuse_truncate();
create trigger _100_truncate before truncate on chat.tombstones for each statement execute function chat_private.refuse_truncate();

-- comments -----------------------------------------------------------------------------------------------------

comment on function chat_private.next_rev(uuid, bigint) is 'Locks the chat and gives its next rev, above _above; records the hint that something changed.';
comment on function chat_private.hint(text, boolean) is 'Records the hint that something changed which has no rev.';
comment on function chat_private.via() is 'Who this session is, besides what its token says.';
comment on function chat_private.stamp_message() is 'Gives rev, seq and times, and says where it came from; messages.10, messages.11, messages.20, revs.2, audit.2.';
comment on function chat_private.stamp_participant() is 'Gives rev and times; participants.9, participants.11, users.9.';
comment on function chat_private.stamp_chat() is 'Gives rev; chats.15, chats.16.';
comment on function chat_private.bury_message() is 'A tombstone for a message deleted for good.';
comment on function chat_private.fold_tombstones() is 'One reset instead of more than 1,000 tombstones of one statement.';
comment on function chat_private.bury_participant() is 'A tombstone for a participation deleted for good.';
comment on function chat_private.bury_chat() is 'Tombstones for a chat deleted for good, and for those who were ever in it.';
comment on function chat_private.keep_participation() is 'tombstones.3.';
comment on function chat_private.keep_the_height() is 'One reset where tombstones were purged.';
comment on function chat_private.refuse_truncate() is 'revs.3.';
comment on trigger _900_rev on chat.messages is 'Binds everyone.';
comment on trigger _900_rev on chat.participants is 'Binds everyone.';
comment on trigger _900_rev on chat.chats is 'Binds everyone.';
comment on trigger _900_bury on chat.messages is 'Binds everyone.';
comment on trigger _910_fold on chat.messages is 'Binds everyone.';
comment on trigger _900_bury on chat.participants is 'Binds everyone.';
comment on trigger _900_bury on chat.chats is 'Binds everyone.';
comment on trigger _100_keep_participation on chat.tombstones is 'Binds everyone.';
comment on trigger _900_keep_the_height on chat.tombstones is 'Binds everyone.';
comment on trigger _100_truncate on chat.messages is 'Binds everyone.';
comment on trigger _100_truncate on chat.participants is 'Binds everyone.';
comment on trigger _100_truncate on chat.chats is 'Binds everyone.';
comment on trigger _100_truncate on chat.tombstones is 'Binds everyone.';

-- Audit: who wrote what, when, by which way, and what it was before.
--
-- A message that is sent is its own record: sender, time, transaction, session and request stand on its row, and what is out of the
-- ordinary in `via`. Everything else that is written to people, their ties, chats, participations, messages, reactions and settings leaves a
-- line here, in the same transaction, by a trigger: the API's requests and plain SQL alike. Read markers, earlier texts (the line of an
-- edit has them), tombstones and the pages of search leave none.
--
-- What may be believed: the database login (session_user) and the time. Claims, role and request id are as true as that login: the server
-- writes what it has verified, in psql they can be typed. A line whose login may not become chat_api, or may become chat_owner (so does a
-- superuser's), says `sql`, whatever was typed.
-- Triggers bind everyone but a superuser with session_replication_role = replica, and DDL is not written down: see log_statement.

insert into chat.rules (number, name, status, sentence) values
  ('audit.1', 'audit_is_read_by_auditors', 403, 'auditors read the audit; nobody else does'),
  ('audit.2', 'audit_is_written_by_what_happens', 403, 'what is written leaves a line of the audit in the same transaction, or its own record; nobody writes, changes or deletes one by hand but the owner'),
  ('audit.3', 'audit_lines_are_of_a_kind', 422, 'a line of the audit says what was done, and whether through the API or in plain SQL'),
  ('audit.4', 'audit_forgets_words', 403, 'words that are erased or outlive their time are struck from the audit, which says so; its lines stay');

-- tables -----------------------------------------------------------------------------------------------------

create function chat_private.audit_words() returns text[]
language sql
immutable
parallel safe
as $$
  select '{text,mentions,attachment_url,emoji,username,display_name,avatar_url,original_sub}'::text[]
$$;

create table chat.audit_log (
  at timestamptz not null default clock_timestamp(),
  id uuid not null default chat_private.uuid_v7(),
  xid xid8 not null default pg_current_xact_id(),
  operation text not null,
  table_name text not null,
  chat_id uuid,
  message_id uuid,
  user_id uuid,
  other_id uuid,
  changed jsonb not null,
  way text not null,
  sub uuid,
  role text not null,
  session_id text,
  request_id uuid,
  login text not null,
  application text,
  has_words boolean not null,
  struck_at timestamptz,
  primary key (at, id),
  constraint audit_lines_are_of_a_kind check (
    operation in ('insert', 'update', 'delete', 'truncate', 'import', 'erase', 'strike', 'detach') and way in ('api', 'sql'))
) partition by range (at);
create index audit_log_by_sub on chat.audit_log (sub, at);
create index audit_log_of_chat on chat.audit_log (chat_id, message_id, at);
create index audit_log_with_words on chat.audit_log (user_id) where has_words;
create index audit_log_of_words on chat.audit_log (chat_id, message_id) where has_words;
call chat_private.cite('constraint audit_lines_are_of_a_kind on chat.audit_log', 'audit.3');
comment on table chat.audit_log is 'Who wrote what, when and by which way: a line each. By months, in UTC.';
comment on column chat.audit_log.at is 'When, by the clock.';
comment on column chat.audit_log.id is 'The line.';
comment on column chat.audit_log.xid is 'The transaction.';
comment on column chat.audit_log.operation is 'insert, update, delete (for good), truncate; of many rows at once: import, erase, strike (of words in this table), detach (of a month of it).';
comment on column chat.audit_log.table_name is 'The table of schema chat.';
comment on column chat.audit_log.chat_id is 'The chat.';
comment on column chat.audit_log.message_id is 'The message, also of a reaction.';
comment on column chat.audit_log.user_id is 'Whom it is about: the user, the participant, the sender, who reacted, who asked for friendship, who blocks.';
comment on column chat.audit_log.other_id is 'The other of two: who was asked, who is blocked.';
comment on column chat.audit_log.changed is 'Each column that changed: [what it was, what it is]. Of many rows at once: how many.';
comment on column chat.audit_log.way is 'api: with a request id, by a login that may become chat_api and not chat_owner. sql: everything else.';
comment on column chat.audit_log.sub is 'Who asked, by the claim sub.';
comment on column chat.audit_log.role is 'The role it was done as.';
comment on column chat.audit_log.session_id is 'The session, by the claim session_id: at most its first 64 characters.';
comment on column chat.audit_log.request_id is 'The request: x-request-id of its answer.';
comment on column chat.audit_log.login is 'The login of the database: what cannot be typed.';
comment on column chat.audit_log.application is 'What the login called itself (application_name).';
comment on column chat.audit_log.has_words is 'Whether it holds what somebody said, or what they were called.';
comment on column chat.audit_log.struck_at is 'When the words in it were struck; null: they were not.';
comment on index chat.audit_log_by_sub is 'What did this person do, between two times?';
comment on index chat.audit_log_of_chat is 'What became of this message? Who came to this chat, and what was changed in it?';
comment on index chat.audit_log_of_words is 'Which lines hold words of these messages? Asked when they are removed.';
comment on index chat.audit_log_with_words is 'Which lines hold words of this person? Asked by an erasure.';

-- what came at a time that no month was made for
create table chat_private.audit_log_rest (like chat.audit_log including all);
comment on table chat_private.audit_log_rest is 'Lines of the audit for whose month there is no table.';
alter table chat.audit_log attach partition chat_private.audit_log_rest default;

-- Held by who makes or takes away months, and shared by who strikes words: lest lines are moved away under their hands. A table, since an
-- advisory lock is anybody's to take.
create table chat_private.audit_moving (only_row boolean primary key);
alter table chat_private.audit_moving enable row level security;
comment on table chat_private.audit_moving is 'Empty: its lock keeps apart who moves lines of the audit and who strikes words from them.';
comment on column chat_private.audit_moving.only_row is 'Of nothing.';

-- who: through chat.audit_log alone; its months are in chat_private, without a grant -----------------------------

alter table chat.audit_log enable row level security;
alter table chat_private.audit_log_rest enable row level security;
create policy select_auditor on chat.audit_log for select to chat_auditor using (true);  -- audit.1: all of it is what they are for
call chat_private.cite('policy select_auditor on chat.audit_log', 'audit.1');
grant select on chat.audit_log to chat_auditor;

-- months -----------------------------------------------------------------------------------------------------

create function chat_private.month_of_audit(_at timestamptz) returns text
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
  select to_char(_at at time zone 'UTC', '"audit_log_"YYYY_MM')
$$;

create function chat_private.make_audit_month(_month timestamptz) returns boolean
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
set datestyle = 'ISO, YMD'  -- a partition's bounds are written as text
set timezone = 'UTC'
as $$
-- Under the lock of make_audit_months. Not a definer's: it runs text as SQL, in which nothing stands but the name of a month.
declare
  month constant text := chat_private.month_of_audit(_month);
  ends constant timestamptz := (_month at time zone 'UTC' + interval '1 month') at time zone 'UTC';
begin
  if to_regclass('chat_private.' || month) is not null then
    return false;  -- also one that was detached and is still kept
  end if;
  execute format('create table chat_private.%I (like chat.audit_log including all)', month);
  execute format('alter table chat_private.%I enable row level security', month);
  execute format('comment on table chat_private.%I is %L', month, 'Lines of the audit of one month, in UTC.');
  -- Twice: what is there is moved while others write, and what they wrote meanwhile while they wait.
  for i in 1..2 loop
    if exists (select from chat_private.audit_log_rest r where r.at >= _month and r.at < ends) then
      execute format(
        'with moved as (delete from chat_private.audit_log_rest r where r.at >= $1 and r.at < $2 returning r.*)
         insert into chat_private.%I table moved', month)
      using _month, ends;
    end if;
    if i = 1 then
      lock table chat_private.audit_log_rest in access exclusive mode;
    end if;
  end loop;
  execute format('alter table chat.audit_log attach partition chat_private.%I for values from (%L) to (%L)', month, _month, ends);
  return true;
end
$$;

create function chat_private.make_audit_months(_ahead integer default 2) returns integer
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
-- Two servers may do it at once. Who writes to a month that is there is not held up; who writes to the rest, and who reads, waits as long
-- as this waits for them: not long, and then it fails and is tried again later.
declare
  this_month constant timestamp := date_trunc('month', clock_timestamp() at time zone 'UTC');
  patience constant text := '3s';
  ahead_at_most constant integer := 24;
  usual constant text := current_setting('lock_timeout');
  last_month constant timestamp := this_month + make_interval(months => least(greatest(_ahead, 0), ahead_at_most));
  made integer := 0;
  month timestamptz;
begin
  -- its size, which takes no lock that lasts: whoever makes months would wait for each other's
  if pg_relation_size('chat_private.audit_log_rest') = 0
     and not exists (select
                     from generate_series(this_month, last_month, interval '1 month') i (begins)
                     where to_regclass('chat_private.' || chat_private.month_of_audit(i.begins at time zone 'UTC')) is null) then
    return 0;  -- without the lock, for which who strikes words would wait
  end if;
  perform set_config('lock_timeout', patience, true);
  -- waits also for who strikes words: lest the lines are moved away under their hands
  lock table chat_private.audit_moving in exclusive mode;
  for month in
    select i.begins at time zone 'UTC'
    from generate_series(this_month, last_month, interval '1 month') i (begins)
    union
    (select distinct date_trunc('month', r.at at time zone 'UTC') at time zone 'UTC' from chat_private.audit_log_rest r limit ahead_at_most)
  loop
    made := made + chat_private.make_audit_month(month)::integer;
  end loop;
  perform set_config('lock_timeout', usual, true);
  return made;
end
$$;

create function chat_private.detach_audit_months(_before date) returns setof text
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
-- The owner's: what is detached is a table of its own in chat_private, to be kept elsewhere or dropped. An erasure no longer reaches it.
-- Whoever writes a line waits behind this while it waits for a reader of the table (with a DEFAULT partition there is no CONCURRENTLY): so not
-- for long, and then it fails and is tried again.
declare
  patience constant text := '500ms';
  usual constant text := current_setting('lock_timeout');
  month text;
begin
  if _before > date_trunc('month', clock_timestamp() at time zone 'UTC') then
    raise exception 'this month and the next ones are written to: before % at most', date_trunc('month', clock_timestamp() at time zone 'UTC')::date
      using errcode = '22023';
  end if;
  perform set_config('lock_timeout', patience, true);
  lock table chat_private.audit_moving in exclusive mode;
  for month in
    select c.relname
    from pg_inherits i
    join pg_class c on c.oid = i.inhrelid
    where i.inhparent = 'chat.audit_log'::regclass
      and c.relname ~ '^audit_log_\d{4}_\d\d$'
      and to_date(right(c.relname, 7), 'YYYY_MM') + interval '1 month' <= _before
    order by c.relname
  loop
    execute format('alter table chat.audit_log detach partition chat_private.%I', month);
    perform chat_private.write_down('detach', 'audit_log', null, null, null, null, jsonb_build_object('month', month));
    return next month;
  end loop;
  perform set_config('lock_timeout', usual, true);
end
$$;

create function chat_private.audit_gaps() returns text
language sql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
  select nullif(concat_ws(', ',
    case when exists (select from chat_private.audit_log_rest) then 'lines for whose month there is no table' end,
    (select string_agg('no table ' || m.name, ', ' order by m.name)
     from (select chat_private.month_of_audit(clock_timestamp() + make_interval(months => i.n)) as name
           from generate_series(0, 1) i (n)) m
     where not exists (select
                       from pg_inherits h
                       where h.inhparent = 'chat.audit_log'::regclass and h.inhrelid = to_regclass('chat_private.' || m.name)))), '')
$$;

-- when -------------------------------------------------------------------------------------------------------

create function chat_private.write_down(
  _operation text, _table text, _chat uuid, _message uuid, _user uuid, _other uuid, _changed jsonb) returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  request constant uuid := nullif(current_setting('chat.request_id', true), '')::uuid;
begin
  insert into chat.audit_log (
    operation, table_name, chat_id, message_id, user_id, other_id, changed, way, sub, role, session_id, request_id, login, application,
    has_words)
  values (
    _operation, _table, _chat, _message, _user, _other, _changed,
    case when request is not null
              and pg_has_role(session_user, 'chat_api', 'member')
              and not pg_has_role(session_user, 'chat_owner', 'member') then 'api'  -- a server's login is never both
         else 'sql' end,
    chat.uid(),
    coalesce(nullif(current_setting('role'), 'none'), session_user),
    left(chat.claims() ->> 'session_id', 64),
    request,
    session_user,
    nullif(current_setting('application_name'), ''),
    _changed ?| chat_private.audit_words());
end
$$;

create function chat_private.audit() returns trigger
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
-- The arguments say which columns are the line's chat, message, user and other. Every column that changed is written down, new ones too; but
-- what is told elsewhere: reactions have lines of their own, of people's activity there is the first alone, rev and xid come with others.
declare
  words constant text[] := chat_private.audit_words();
  was constant jsonb := to_jsonb(old);
  became constant jsonb := to_jsonb(new);
  it constant jsonb := coalesce(became, was);
  erases constant boolean := tg_op = 'UPDATE' and was ->> 'erased_at' is null and became ->> 'erased_at' is not null;
  changes jsonb;
begin
  if tg_table_name in ('messages', 'reactions')
     and (erases or tg_op = 'DELETE')
     and current_setting('chat.erasing', true) = it ->> tg_argv[2]
     and exists (select from chat.users u where u.id = (it ->> tg_argv[2])::uuid and u.erased_at is not null) then
    return null;  -- by chat_private.erase, which writes one line for all of them; the setting alone is anybody's to make
  elsif tg_table_name = 'messages' and tg_op = 'DELETE' and current_setting('chat.removing', true) = was ->> 'chat_id' then
    return null;  -- by chat_private.remove_messages, which writes one line too; for good, the owner alone deletes
  elsif tg_op = 'DELETE'
        and (tg_table_name in ('participants', 'messages')
             and not exists (select from chat.chats c where c.id = (was ->> 'chat_id')::uuid)
             or tg_table_name = 'reactions'
                and not exists (select
                                from chat.messages m
                                where m.chat_id = (was ->> 'chat_id')::uuid and m.id = (was ->> 'message_id')::uuid)) then
    return null;  -- with what it belonged to, whose line says it all
  end if;
  select jsonb_object_agg(k.name, jsonb_build_array(nullif(was -> k.name, 'null'), nullif(became -> k.name, 'null'))) into changes
  from jsonb_object_keys(it) k (name)
  where nullif(was -> k.name, 'null') is distinct from nullif(became -> k.name, 'null')
    and k.name <> all (tg_argv)
    and k.name <> 'only_row'
    and (k.name <> 'reactions' or tg_op = 'UPDATE' and pg_trigger_depth() = 1)  -- counted by a trigger
    and (k.name <> 'last_active_at' or was ->> k.name is null)
    -- what is deleted for good or erased leaves no words here either
    and (k.name <> all (words) or tg_op <> 'DELETE' and not erases or tg_table_name = 'reactions');
  if tg_op = 'UPDATE' and coalesce(changes - '{rev,xid}'::text[], '{}') = '{}' then
    return null;
  end if;
  -- where a sub is derived from what the issuer calls someone, this is where to find that
  if tg_table_name = 'users' and it ->> 'id' = chat.claims() ->> 'sub' and not erases and chat.claims() ->> 'original_sub' is not null then
    changes := jsonb_set(changes, '{original_sub}', jsonb_build_array(null, left(chat.claims() ->> 'original_sub', 300)));
  end if;
  perform chat_private.write_down(
    case when erases then 'erase' else lower(tg_op) end,
    tg_table_name,
    (it ->> tg_argv[0])::uuid, (it ->> tg_argv[1])::uuid, (it ->> tg_argv[2])::uuid, (it ->> tg_argv[3])::uuid,
    coalesce(changes, '{}'));
  return null;
end
$$;

-- before the others: a line stands above those of what follows from it
create trigger _050_audit after insert or update or delete on chat.users for each row
execute function chat_private.audit('', '', 'id', '');
create trigger _050_audit after insert or update or delete on chat.friendships for each row
execute function chat_private.audit('', '', 'requester_id', 'addressee_id');
create trigger _050_audit after insert or update or delete on chat.blocks for each row
execute function chat_private.audit('', '', 'blocker_id', 'blocked_id');
create trigger _050_audit after insert or update or delete on chat.settings for each row
execute function chat_private.audit('', '', '', '');
create trigger _050_audit after insert or update or delete on chat.chats for each row
execute function chat_private.audit('id', '', '', '');
create trigger _050_audit after insert or update or delete on chat.participants for each row
execute function chat_private.audit('chat_id', '', 'user_id', '');
create trigger _050_audit after update or delete on chat.messages for each row
execute function chat_private.audit('chat_id', 'id', 'sender_id', '');
create trigger _050_audit after insert or update or delete on chat.reactions for each row
execute function chat_private.audit('chat_id', 'message_id', 'user_id', '');
-- the other tables cannot be truncated at all (revs.3)
create trigger _060_audit after truncate on chat.users for each statement execute function chat_private.audit('', '', '', '');
create trigger _060_audit after truncate on chat.friendships for each statement execute function chat_private.audit('', '', '', '');
create trigger _060_audit after truncate on chat.blocks for each statement execute function chat_private.audit('', '', '', '');
create trigger _060_audit after truncate on chat.settings for each statement execute function chat_private.audit('', '', '', '');

-- words ------------------------------------------------------------------------------------------------------

create function chat_private.struck(_changed jsonb) returns jsonb
language sql
immutable
set search_path = pg_catalog, pg_temp
as $$
  select jsonb_object_agg(e.key, case when e.key = any (chat_private.audit_words()) then '["[erased]", "[erased]"]' else e.value end)
  from jsonb_each(_changed) e
$$;

create function chat_private.strike_from_audit(_chat uuid, _ids uuid[], _most integer default 500) returns integer
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  struck integer;
begin
  lock table chat_private.audit_moving in row share mode;
  update chat.audit_log l
  set changed = chat_private.struck(l.changed), has_words = false, struck_at = clock_timestamp()
  from (select g.at, g.id
        from chat.audit_log g
        where g.chat_id = _chat and g.message_id = any (_ids) and g.has_words
        limit _most) those
  where l.at = those.at and l.id = those.id;
  get diagnostics struck = row_count;
  if struck > 0 then
    perform chat_private.write_down('strike', 'audit_log', _chat, null, null, null, jsonb_build_object('lines', struck));
  end if;
  return struck;
end
$$;

create function chat_private.strike_person(_user uuid, _most integer default 500) returns integer
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
declare
  struck integer;
begin
  lock table chat_private.audit_moving in row share mode;
  update chat.audit_log l
  set changed = chat_private.struck(l.changed), has_words = false, struck_at = clock_timestamp()
  from (select g.at, g.id from chat.audit_log g where g.user_id = _user and g.has_words limit _most) those
  where l.at = those.at and l.id = those.id;
  get diagnostics struck = row_count;
  if struck > 0 then
    perform chat_private.write_down('strike', 'audit_log', null, null, _user, null, jsonb_build_object('lines', struck));
  end if;
  return struck;
end
$$;

grant execute on function chat_private.make_audit_months(integer), chat_private.audit_gaps() to chat_api;
select chat_private.make_audit_months();

-- comments ---------------------------------------------------------------------------------------------------

comment on function chat_private.struck(jsonb) is 'What a line of the audit says when its words are struck.';
comment on function chat_private.audit_words() is 'The columns that hold what somebody said, or what they are called.';
comment on function chat_private.month_of_audit(timestamptz) is 'What the table of a month of the audit is called.';
comment on function chat_private.make_audit_month(timestamptz) is 'Makes the table of a month of the audit, with the lines of that month that came before it; false where it is there.';
comment on function chat_private.make_audit_months(integer) is 'Makes the tables of this month and the next ones of the audit where they are missing; gives how many. Idempotent: call it daily.';
comment on function chat_private.detach_audit_months(date) is 'Takes the months that ended before this day out of the audit; gives their names, tables of chat_private from then on.';
comment on function chat_private.audit_gaps() is 'What is wrong with the months of the audit; null: nothing.';
comment on function chat_private.write_down(text, text, uuid, uuid, uuid, uuid, jsonb) is 'audit.2: a line of the audit, with who asks and by which way.';
comment on function chat_private.audit() is 'audit.2: the line of a row that is written.';
comment on function chat_private.strike_from_audit(uuid, uuid[], integer) is 'audit.4: strikes the texts of these messages from the audit, of at most so many lines; gives of how many: call it until it gives fewer.';
comment on function chat_private.strike_person(uuid, integer) is 'audit.4: strikes what someone wrote, and what they were called, from the audit, of at most so many lines; gives of how many.';
comment on trigger _050_audit on chat.users is 'Binds everyone.';
comment on trigger _050_audit on chat.friendships is 'Binds everyone.';
comment on trigger _050_audit on chat.blocks is 'Binds everyone.';
comment on trigger _050_audit on chat.settings is 'Binds everyone.';
comment on trigger _050_audit on chat.chats is 'Binds everyone.';
comment on trigger _050_audit on chat.participants is 'Binds everyone.';
comment on trigger _050_audit on chat.messages is 'Binds everyone; a message that is sent is its own record.';
comment on trigger _050_audit on chat.reactions is 'Binds everyone.';
comment on trigger _060_audit on chat.users is 'Binds everyone.';
comment on trigger _060_audit on chat.friendships is 'Binds everyone.';
comment on trigger _060_audit on chat.blocks is 'Binds everyone.';
comment on trigger _060_audit on chat.settings is 'Binds everyone.';

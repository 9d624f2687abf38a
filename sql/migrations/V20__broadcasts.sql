-- Broadcasts: what clients tell each other in a chat, and what nobody keeps: where a cursor is, that a game has begun.
--
-- A broadcast is a row for as long as it takes to tell it: each server process reads it once, told of by a hint with its id. The table is
-- unlogged, and so is the sequence of its ids: a commit that writes nothing else writes no WAL but that it committed, and waits for no disk.
-- Therefore no foreign key either, which would lock, and so write, a row of a table that is logged.

insert into chat.rules (number, name, status, sentence) values
  ('broadcasts.1', 'broadcasts_are_sent_by_writers', 403, 'who may write in a chat, and the host application, broadcast in it, to those who are in it'),
  ('broadcasts.2', 'broadcast_event_is_a_name', 422, 'the event of a broadcast has 1 to 255 bytes'),
  ('broadcasts.3', 'broadcast_is_short', 422, 'what a broadcast tells has at most 262,144 bytes'),
  ('broadcasts.4', 'broadcast_has_one_content', 422, 'a broadcast tells a payload or bytes, not both'),
  ('broadcasts.5', 'broadcasts_are_told_by_the_relay', 403, 'the server''s relay reads broadcasts to tell them, and nobody else does');

-- tables -----------------------------------------------------------------------------------------------------

-- a payload is told as it was said: the text of it, whose length is known without reading it
create unlogged table chat_private.broadcasts (
  id bigint generated always as identity primary key,
  chat_id uuid not null,
  user_id uuid,
  event text not null
    constraint broadcast_event_is_a_name check (octet_length(event) between 1 and 255),  -- a binary frame of Supabase's has one byte for its length
  payload text,
  bytes bytea,
  told_at timestamptz not null default clock_timestamp(),
  constraint broadcast_is_short check (coalesce(octet_length(payload), octet_length(bytes), 0) <= 262144),
  constraint broadcast_has_one_content check (payload is null or bytes is null)
);
create index broadcasts_by_time on chat_private.broadcasts (told_at);
alter table chat_private.broadcasts enable row level security;  -- and no policy: the owner's functions alone read it

-- sent -------------------------------------------------------------------------------------------------------

create function chat_private.broadcast(_chat uuid, _event text, _payload json, _bytes bytea) returns bigint
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
-- Who may not write says nothing. A hint for all: whoever hears it finds the row, or nothing.
declare
  new_id bigint;
begin
  if chat.is_service() then
    if not exists (select from chat.chats c where c.id = _chat and c.deleted_at is null) then
      perform chat_private.refuse('chats_exist');
    end if;
  else
    if not exists (select from chat_private.my_memberships m where m.chat_id = _chat) then
      perform chat_private.refuse_outsider(_chat, 'broadcasts_are_sent_by_writers');
    end if;
    perform chat_private.check_writer(_chat);
  end if;
  insert into chat_private.broadcasts (chat_id, user_id, event, payload, bytes)
  values (_chat, chat.uid(), _event, _payload::text, _bytes)
  returning id into new_id;
  perform chat_private.hint('w' || _chat || '.' || new_id, true);
  return new_id;
end
$$;

create function chat.broadcast(_chat uuid, _event text, _payload json default null, _bytes bytea default null) returns bigint
language sql
volatile
begin atomic
  select chat_private.broadcast(_chat, _event, _payload, _bytes);
end;

grant execute on function chat.broadcast(uuid, text, json, bytea), chat_private.broadcast(uuid, text, json, bytea)
to authenticated, service_role;

-- told -------------------------------------------------------------------------------------------------------

create function chat_private.broadcasts_told(_ids bigint[])
returns table (
  id bigint, chat_id uuid, user_id uuid, event text, payload text, bytes bytea, told_at timestamptz, standing_rev bigint, is_left boolean)
language plpgsql
stable
rows 10
security definer
set search_path = pg_catalog, pg_temp
as $$
-- What is too much for one answer is left, and to be asked for again.
#variable_conflict use_column
declare
  bytes_at_most constant bigint := 1048576;
begin
  return query
  select
    b.id,
    b.chat_id,
    b.user_id,
    b.event,
    case when not b.is_left then b.payload end,
    case when not b.is_left then b.bytes end,
    b.told_at,
    chat_private.standing_rev(b.chat_id),
    b.is_left
  from (select
          o.id, o.chat_id, o.user_id, o.event, o.payload, o.bytes, o.told_at,
          row_number() over in_order > 1
            and sum(coalesce(octet_length(o.payload), octet_length(o.bytes), 0)) over in_order > bytes_at_most as is_left
        from chat_private.broadcasts o
        where o.id = any (_ids) and o.told_at > clock_timestamp() - interval '30 seconds'
        window in_order as (order by o.id)) b
  order by b.id;
end
$$;

create function chat.broadcasts_told(_ids bigint[])
returns table (
  id bigint, chat_id uuid, user_id uuid, event text, payload text, bytes bytea, told_at timestamptz, standing_rev bigint, is_left boolean)
language sql
stable
begin atomic
  select t.id, t.chat_id, t.user_id, t.event, t.payload, t.bytes, t.told_at, t.standing_rev, t.is_left
  from chat_private.broadcasts_told(_ids) t;
end;

create function chat_private.forget_broadcasts() returns boolean
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
-- A slice of what was told long ago; says whether there may be more. What another process forgets in this moment is left to it.
declare
  rows_at_most constant integer := 1000;
  told_before constant timestamptz := clock_timestamp() - interval '30 seconds';
  forgotten integer;
begin
  delete from chat_private.broadcasts b
  where b.id in (select o.id
                 from chat_private.broadcasts o
                 where o.told_at <= told_before
                 order by o.told_at
                 limit rows_at_most
                 for update skip locked);
  get diagnostics forgotten = row_count;
  return forgotten = rows_at_most;
end
$$;

create function chat.forget_broadcasts() returns boolean
language sql
volatile
begin atomic
  select chat_private.forget_broadcasts();
end;

grant execute on function
  chat.broadcasts_told(bigint[]),
  chat_private.broadcasts_told(bigint[]),
  chat.forget_broadcasts(),
  chat_private.forget_broadcasts()
to chat_relay;

-- comments -------------------------------------------------------------------------------------------------------

comment on table chat_private.broadcasts is 'What clients tell each other, for the half minute in which it is told. Unlogged: empty after a crash.';
comment on column chat_private.broadcasts.id is 'In the order in which they were said. After a crash it begins anew: with told_at it names one.';
comment on column chat_private.broadcasts.chat_id is 'Where it is told.';
comment on column chat_private.broadcasts.user_id is 'Who tells it; null: the host application.';
comment on column chat_private.broadcasts.event is 'What it is about, by a name of the clients'' own.';
comment on column chat_private.broadcasts.payload is 'What is told: the text of a JSON value.';
comment on column chat_private.broadcasts.bytes is 'What is told, where it is no JSON.';
comment on column chat_private.broadcasts.told_at is 'When.';
comment on index chat_private.broadcasts_by_time is 'Which were told long ago?';
comment on function chat_private.broadcast(uuid, text, json, bytea) is 'broadcasts.1, messages.18, direct.1, direct.2.';
comment on function chat.broadcast(uuid, text, json, bytea) is 'Tells those who are in a chat something that nobody keeps. Gives its id.';
comment on function chat_private.broadcasts_told(bigint[]) is 'broadcasts.5.';
comment on function chat.broadcasts_told(bigint[]) is 'The broadcasts with these ids, in their order, while they are there.';
comment on function chat_private.forget_broadcasts() is 'broadcasts.5: what was told is not kept.';
comment on function chat.forget_broadcasts() is 'Deletes a slice of the broadcasts that are older than 30 seconds. True: there may be more.';
call chat_private.cite('constraint broadcast_event_is_a_name on chat_private.broadcasts', 'broadcasts.2');
call chat_private.cite('constraint broadcast_is_short on chat_private.broadcasts', 'broadcasts.3');
call chat_private.cite('constraint broadcast_has_one_content on chat_private.broadcasts', 'broadcasts.4');

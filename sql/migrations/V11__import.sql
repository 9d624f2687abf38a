-- Import: what was said in another system, with its ids, senders and times.
--
-- Imported messages get revs like all others, at the end of what the chat has: who follows it hears of them. They skip what is asked of words
-- that are said now (how long they may be today, whether their sender is still there), so they are let in by one function alone, many at
-- once. It holds the chat's lock for as long as it takes.

insert into chat.rules (number, name, status, sentence) values
  ('imports.1', 'messages_are_imported_by_the_host', 403, 'the host application imports messages of another system, which keep their ids, senders and times'),
  ('imports.2', 'imported_messages_are_of_the_past', 422, 'an imported message says when it was sent, and neither that nor its edit is in the future'),
  ('imports.3', 'messages_are_imported_once', 409, 'a message is imported once: an id that the chat has, or had, is left as it is');

create function chat_private.import_rows(_messages jsonb)
returns table (
  place bigint, id uuid, sender_id uuid, kind text, text text, mentions uuid[], reply_to_id uuid, attachment_url text,
  created_at timestamptz, edited_at timestamptz)
language sql
stable
rows 5000
set search_path = pg_catalog, pg_temp
as $$
  select
    e.place - 1,
    (e.value ->> 'id')::uuid,
    (e.value ->> 'senderId')::uuid,
    coalesce(e.value ->> 'kind', case when e.value ->> 'senderId' is null then 'system' else 'user' end),
    e.value ->> 'text',
    case when jsonb_typeof(e.value -> 'mentions') = 'array'
         then array(select v.id::uuid from jsonb_array_elements_text(e.value -> 'mentions') v (id))
         else '{}' end,
    (e.value ->> 'replyToId')::uuid,
    e.value ->> 'attachmentUrl',
    (e.value ->> 'createdAt')::timestamptz,
    (e.value ->> 'editedAt')::timestamptz
  from jsonb_array_elements(_messages) with ordinality e (value, place)
$$;

create function chat_private.import_messages(
  _chat uuid, _messages jsonb, _read boolean, out imported integer, out already_there integer, out last_seq bigint)
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  text_max constant integer := 65536;  -- what the setting may say at most, whatever it says today
  page_size constant integer := 256;  -- of what is long past: the fewer pages, the sooner they are written
  given record;
  gone uuid[];
  base bigint;
  end_seq bigint;  -- of what the chat had before
  sealed bigint;   -- how much of that search has in pages
  broken text;
begin
  perform chat_private.hold_chat(_chat);
  if not exists (select from chat.chats c where c.id = _chat and c.deleted_at is null) then
    perform chat_private.refuse('chats_exist');
  end if;

  select
    count(*) as messages,
    min(g.place) filter (where g.created_at is null
                           or greatest(g.created_at, g.edited_at) > clock_timestamp()
                           or least(g.created_at, g.edited_at) < '0001-01-01Z') as of_the_future,
    min(g.place) filter (where char_length(g.text) > text_max) as too_long,
    min(g.place) filter (where g.text is null) as silent,
    array_agg(distinct g.sender_id) filter (where g.sender_id is not null) as senders,
    min(g.created_at) as oldest
  into given
  from chat_private.import_rows(_messages) g;
  if given.of_the_future is not null then
    perform chat_private.refuse('imported_messages_are_of_the_past', format('message %s does not', given.of_the_future));
  elsif given.too_long is not null then
    perform chat_private.refuse('messages_text_is_short_enough', format('message %s is longer than any may be', given.too_long));
  elsif given.silent is not null then
    perform chat_private.refuse('messages_text_is_not_blank', format('message %s has none', given.silent));
  end if;

  -- who said something is shown by name, so they were in the chat; who is in it stays as they are
  perform chat_private.expect_users(given.senders);
  -- who is erased stays so: their messages come erased. The rows are held, so that an erasure of this moment finds what comes
  gone := array(select u.id
                from (select u.id, u.erased_at from chat.users u where u.id = any (given.senders) order by u.id for key share) u
                where u.erased_at is not null);
  insert into chat.participants (chat_id, user_id, left_at)
  select _chat, s.id, clock_timestamp()
  from unnest(given.senders) s (id)
  where not exists (select from chat.participants p where p.chat_id = _chat and p.user_id = s.id)
  order by s.id;

  end_seq := coalesce((select m.seq from chat.messages m where m.chat_id = _chat order by m.seq desc limit 1), 0);
  sealed := coalesce((select p.last_seq from chat_private.search_pages p where p.chat_id = _chat order by p.last_seq desc limit 1), 0);
  base := chat_private.next_rev(_chat);
  -- a row with a rev of its own is refused from everybody else, the owner too: it could stand below what has been told already
  perform set_config('chat.importing', _chat::text, true);
  -- in the order of their times, those of one moment as given; of two with one id the first
  begin
    insert into chat.messages (
      chat_id, id, seq, rev, sender_id, kind, text, mentions, reply_to_id, attachment_url, created_at, imported_at, edited_at,
      erased_at)
    select
      _chat, n.id, base + n.nth, base + n.nth, n.sender_id, n.kind,
      case when n.is_gone then '[erased]' else n.text end,
      case when n.is_gone then '{}' else n.mentions end,
      n.reply_to_id,
      case when not n.is_gone then n.attachment_url end,
      n.created_at, clock_timestamp(), n.edited_at,
      case when n.is_gone then clock_timestamp() end
    from (select
            coalesce(g.id, chat_private.uuid_v7()) as id, g.sender_id, g.kind, g.text, g.mentions, g.reply_to_id, g.attachment_url,
            g.created_at, g.edited_at,
            coalesce(g.sender_id = any (gone), false) as is_gone,
            row_number() over (order by g.created_at, g.place) - 1 as nth,
            case when g.id is null then 1 else row_number() over (partition by g.id order by g.created_at, g.place) end as nth_of_id
          from chat_private.import_rows(_messages) g) n
    where n.nth_of_id = 1
      and not exists (select from chat.messages m where m.chat_id = _chat and m.id = n.id)
      and not exists (select from chat.tombstones t where t.chat_id = _chat and t.row_id = n.id and t.kind = 'message')
    order by n.nth;
    get diagnostics imported = row_count;
  exception when check_violation or not_null_violation then
    -- anew, without the row: this runs with the owner's rights, so Postgres would show the words of it to its log
    get stacked diagnostics broken = constraint_name;
    raise exception using errcode = sqlstate, constraint = broken, schema = 'chat', table = 'messages', message = 'a message breaks ' || broken;
  end;
  perform set_config('chat.importing', '', true);
  already_there := given.messages - imported;
  if imported > 0 then
    perform chat_private.write_down(
      'import', 'messages', _chat, null, null, null,
      jsonb_build_object('messages', imported, 'firstSeq', base, 'lastSeq', base + imported - 1));
  end if;
  last_seq := (select m.seq from chat.messages m where m.chat_id = _chat order by m.seq desc limit 1);
  if exists (select
             from chat.messages m
             where m.chat_id = _chat
               and m.seq >= base
               and m.reply_to_id is not null
               and not exists (select from chat.messages r where r.chat_id = _chat and r.id = m.reply_to_id)) then
    perform chat_private.refuse('messages_reply_within_their_chat');
  end if;

  -- in pages at once, and wholly where what waits for its page is not older: search relies on that
  for _ in 0..imported / (4 * page_size) loop
    perform chat_private.seal_pages(_chat, page_size, exists (
      select from chat.messages m where m.chat_id = _chat and m.seq > sealed and m.seq <= end_seq and m.created_at > given.oldest));
  end loop;

  if _read and imported > 0 then
    insert into chat.read_markers as r (chat_id, user_id, seq)
    select _chat, p.user_id, last_seq
    from chat.participants p
    left join chat.read_markers k on k.chat_id = p.chat_id and k.user_id = p.user_id
    where p.chat_id = _chat
      and p.left_at is null
      -- who has something to read keeps it, and this with it: a marker is one place
      and not exists (select
                      from chat.messages m
                      where m.chat_id = _chat
                        and m.seq > greatest(k.seq, p.sees_after)
                        and m.seq <= end_seq
                        and m.sender_id is distinct from p.user_id
                        and m.deleted_at is null)
    on conflict (chat_id, user_id) do update set seq = excluded.seq;
  end if;
end
$$;

create function chat.import_messages(
  _chat uuid, _messages jsonb, _read boolean default true, out imported integer, out already_there integer, out last_seq bigint)
language sql
volatile
begin atomic
  select i.imported, i.already_there, i.last_seq from chat_private.import_messages(_chat, _messages, _read) i;
end;
grant execute on function
  chat.import_messages(uuid, jsonb, boolean), chat_private.import_messages(uuid, jsonb, boolean)
to service_role;

comment on function chat_private.import_rows(jsonb) is 'Messages to import, as rows in the order given.';
comment on function chat_private.import_messages(uuid, jsonb, boolean) is 'imports.1 to imports.3.';
comment on function chat.import_messages(uuid, jsonb, boolean) is 'Imports messages: [{ id, senderId, kind, text, mentions, replyToId, attachmentUrl, createdAt, editedAt }]; only text and createdAt must be there. _read: those in the chat who had nothing to read still have nothing. Idempotent by id.';

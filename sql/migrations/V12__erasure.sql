-- Erasure and its twin, the export: what is somebody's, walked chat by chat.
--
-- There is no index of messages by sender, and there must be none: every send would pay for it. One's messages are found by walking the
-- chats that one was ever in, over messages_by_seq alone. Both go in slices, so that neither takes the locks of thousands of chats nor
-- holds one chat for long: an erasure remembers how far it came, an export is told.

-- tables -----------------------------------------------------------------------------------------------------

create table chat_private.erasures (
  user_id uuid primary key references chat.users on delete cascade,
  chat_id uuid not null default '00000000-0000-0000-0000-000000000000',
  seq bigint,
  begun_at timestamptz not null default clock_timestamp()
);
alter table chat_private.erasures enable row level security;

-- the walk ---------------------------------------------------------------------------------------------------

create function chat_private.next_chat_of(_user uuid, _after uuid) returns uuid
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
  -- also those of which their participation was removed for good: their messages are still there
  select least(
    (select p.chat_id
     from chat.participants p
     where p.user_id = _user and p.chat_id > _after
     order by p.chat_id
     limit 1),
    (select t.chat_id
     from chat.tombstones t
     where t.row_id = _user and t.kind = 'participant' and t.chat_id > _after
     order by t.chat_id
     limit 1))
$$;

create function chat_private.messages_of(
  _user uuid, _chat uuid, _after bigint, _looks integer, _most integer, out seqs bigint[], out looked integer, out upto bigint)
language plpgsql
volatile  -- never stable: an erasure asks under the lock, and must see what the lock waited for
set search_path = pg_catalog, pg_temp
as $$
-- At most _most of their messages of a chat, among the _looks after a seq; upto is where to go on, null at the end of the chat. Reads
-- messages_by_seq and no row.
declare
  theirs bigint[];
begin
  select
    count(*),
    max(w.seq),
    array_agg(w.seq order by w.seq) filter (where w.sender_id = _user)
  into looked, upto, theirs
  from (select m.seq, m.sender_id
        from chat.messages m
        where m.chat_id = _chat and m.seq > _after
        order by m.seq
        limit _looks) w;
  seqs := coalesce(theirs[1:_most], '{}');
  if cardinality(theirs) > _most then
    upto := seqs[_most];
  elsif looked < _looks then
    upto := null;
  end if;
end
$$;

-- erasure ----------------------------------------------------------------------------------------------------

create function chat_private.take_out(_chat uuid, _user uuid) returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
-- Under the chat's lock. The last owner of a group or room passes it on, to who has been in it longest, moderators first; a group that
-- has one person left ends, as it does whoever leaves (participants.10), and so does a room that has nobody.
declare
  chat_type text := (select c.type from chat.chats c where c.id = _chat);
  my_role text := (select p.role from chat.participants p where p.chat_id = _chat and p.user_id = _user and p.left_at is null);
  others integer := (select count(*)
                     from (select
                           from chat.participants p
                           where p.chat_id = _chat and p.user_id <> _user and p.left_at is null
                           limit 2) there);
begin
  if my_role is null then
    return;
  end if;
  if my_role = 'owner' and (chat_type = 'room' and others > 0 or chat_type = 'group' and others > 1) then
    update chat.participants p set role = 'owner'
    where p.chat_id = _chat
      and p.user_id = (select h.user_id
                       from chat.participants h
                       join chat.users u on u.id = h.user_id and u.erased_at is null
                       where h.chat_id = _chat and h.user_id <> _user and h.left_at is null
                       -- an owner comes first, and stays what they are
                       order by h.role = 'owner' desc, h.role = 'moderator' desc, h.joined_at, h.user_id
                       limit 1)
      and p.role <> 'owner';
  end if;
  update chat.participants p set left_at = clock_timestamp() where p.chat_id = _chat and p.user_id = _user;
  if chat_type = 'room' and others = 0 then
    perform chat_private.end_chat(_chat);
  end if;
end
$$;

create function chat_private.erase(_user uuid) returns boolean
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
-- A slice of an erasure; says whether more is left. The first makes them gone and touches no chat: it holds their row, for which those wait
-- who let them into a chat in this moment and hold that chat's lock. The others hold chats, in the order of their ids, and not the row.
declare
  chats_at_most constant integer := 100;  -- a transaction hints at no more than about 190
  rows_at_most constant integer := 500;
  looks_at_most constant integer := 50000;
  pages_left integer := 16;  -- of search: a page is up to 64 KiB of text to take apart, while its chat is held
  rows_left integer := rows_at_most;
  looks_left integer := looks_at_most;
  place record;
  next_chat uuid;
  found_in_chat record;
  on_pages record;
  done record;
  n integer;
begin
  if not exists (select from chat.users u where u.id = _user and u.erased_at is not null) then
    perform from chat.users u where u.id = _user and u.erased_at is null for update;
    if found then
      delete from chat.friendships f where _user in (f.requester_id, f.addressee_id);
      delete from chat.blocks b where _user in (b.blocker_id, b.blocked_id);
      -- in the order in which they are written down
      perform from chat_private.resumes r where r.user_id = _user order by r.resume_id, r.topic for update;
      delete from chat_private.resumes r where r.user_id = _user;
      insert into chat_private.erasures (user_id) values (_user);
      update chat.users u
      set display_name = 'deleted user', username = null, avatar_url = null, last_active_at = null, erased_at = clock_timestamp()
      where u.id = _user;
      return true;
    elsif not exists (select from chat.users u where u.id = _user) then
      perform chat_private.refuse('users_exist');
    end if;
  end if;

  select e.chat_id, e.seq into place from chat_private.erasures e where e.user_id = _user for update;
  if not found then
    return false;
  elsif place.seq is null and chat_private.next_chat_of(_user, place.chat_id) is null then
    -- the markers last, in a slice of their own: who marks in this moment holds no chat, and has been out of all of them for a while
    delete from chat.read_markers r
    using chat.participants p
    where p.user_id = _user and r.chat_id = p.chat_id and r.user_id = _user;
    -- nothing they could still write in chats that were not reached yet comes after this
    if chat_private.strike_person(_user, rows_at_most) = rows_at_most then
      return true;
    end if;
    delete from chat_private.erasures e where e.user_id = _user;
    return false;
  end if;
  select 0 as messages, 0 as edits, 0 as reactions into done;
  for i in 1 .. chats_at_most loop
    if place.seq is null then
      next_chat := chat_private.next_chat_of(_user, place.chat_id);
      exit when next_chat is null;
      place.chat_id := next_chat;
      place.seq := 0;
    end if;
    perform chat_private.hold_chat(place.chat_id);
    perform chat_private.take_out(place.chat_id, _user);
    -- the audit has one line for the slice; whoever else sets this says nothing that only the owner could do
    perform set_config('chat.erasing', _user::text, true);
    delete from chat.reactions r
    where (r.chat_id, r.message_id, r.user_id, r.emoji) in (
      select o.chat_id, o.message_id, o.user_id, o.emoji
      from chat.reactions o
      where o.user_id = _user and o.chat_id = place.chat_id
      limit rows_left);
    get diagnostics n = row_count;
    done.reactions := done.reactions + n;
    rows_left := rows_left - n;
    exit when rows_left = 0;

    select f.seqs, f.looked, f.upto into found_in_chat
    from chat_private.messages_of(_user, place.chat_id, place.seq, looks_left, rows_left) f;
    select
      count(distinct p.page) as pages,
      count(*) filter (where p.nth <= pages_left) as first_ones
    into on_pages
    from (select g.last_seq as page, dense_rank() over (order by g.last_seq) as nth
          from unnest(found_in_chat.seqs) s (seq)
          left join lateral (select o.last_seq
                             from chat_private.search_pages o
                             where o.chat_id = place.chat_id and o.last_seq >= s.seq
                             order by o.last_seq
                             limit 1) g on true) p;
    if on_pages.pages > pages_left then
      found_in_chat.seqs := found_in_chat.seqs[1:on_pages.first_ones];
      found_in_chat.upto := found_in_chat.seqs[on_pages.first_ones];
    end if;
    pages_left := pages_left - least(pages_left, on_pages.pages);
    -- before the messages: one whose earlier texts are too many for a slice is not erased yet, and found again
    update chat.message_edits e set text = '[erased]', mentions = '{}'
    where (e.chat_id, e.message_id, e.rev) in (
      select o.chat_id, o.message_id, o.rev
      from chat.messages m
      join chat.message_edits o on o.chat_id = m.chat_id and o.message_id = m.id
      where m.chat_id = place.chat_id
        and m.seq = any (found_in_chat.seqs)
        and (o.text <> '[erased]' or cardinality(o.mentions) > 0)
      limit rows_at_most);
    get diagnostics n = row_count;
    done.edits := done.edits + n;
    exit when n = rows_at_most;

    update chat.messages m set text = '[erased]', mentions = '{}', attachment_url = null, erased_at = clock_timestamp()
    where m.chat_id = place.chat_id and m.seq = any (found_in_chat.seqs) and m.erased_at is null;
    get diagnostics n = row_count;
    done.messages := done.messages + n;
    perform chat_private.reseal_pages(place.chat_id, found_in_chat.seqs);
    place.seq := found_in_chat.upto;
    rows_left := rows_left - cardinality(found_in_chat.seqs);
    looks_left := looks_left - found_in_chat.looked;
    exit when place.seq is not null or rows_left = 0 or looks_left = 0 or pages_left = 0;
  end loop;
  perform set_config('chat.erasing', '', true);
  if done.messages + done.edits + done.reactions > 0 then
    perform chat_private.write_down('erase', 'users', null, null, _user, null, to_jsonb(done));
  end if;
  update chat_private.erasures e set chat_id = place.chat_id, seq = place.seq where e.user_id = _user;
  return true;
end
$$;

create function chat_private.stay_erased() returns trigger
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
begin
  perform chat_private.refuse('users_erased_are_gone');
  return null;
end
$$;
create trigger _100_stay_erased before update on chat.users for each row
when (old.erased_at is not null and new.erased_at is distinct from old.erased_at)
execute function chat_private.stay_erased();

create function chat_private.erase_me() returns boolean
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  me uuid := chat.uid();
begin
  if me is null then
    return null;
  end if;
  -- who was never seen is gone as well from now on
  insert into chat.users (id, display_name) values (me, chat_private.fallback_name(me))
  on conflict (id) do nothing;
  return chat_private.erase(me);
end
$$;

create function chat.erase_me() returns boolean
language sql
volatile
begin atomic
  select chat_private.erase_me();
end;

create function chat.erase_user(_id uuid) returns boolean
language sql
volatile
begin atomic
  select chat_private.erase(_id);
end;

-- export -----------------------------------------------------------------------------------------------------

create function chat_private.moment(_at timestamptz) returns text
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
  -- as the API writes it
  select to_char(_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
$$;

-- Each part gives lines and where to go on after each of them; a place without a line says that there was much to look at and nothing of
-- theirs, and no row at all that the part is at its end.

create function chat_private.export_people(_user uuid, _part text, _place jsonb) returns table (line json, place jsonb)
language sql
stable
rows 200
set search_path = pg_catalog, pg_temp
as $$
  -- the profile, then friendships and requests, then whom they block
  (select
     json_build_object(
       'type', 'profile', 'id', u.id, 'username', u.username, 'displayName', u.display_name, 'kind', u.kind, 'avatarUrl', u.avatar_url,
       'createdAt', chat_private.moment(u.created_at), 'lastActiveAt', chat_private.moment(u.last_active_at)),
     jsonb_build_object('id', u.id)
   from chat.users u
   where _part = 'profile' and u.id = _user and _place is null)
  union all
  (select
     json_build_object(
       'type', 'friendship', 'requesterId', f.requester_id, 'addresseeId', f.addressee_id,
       'createdAt', chat_private.moment(f.created_at), 'acceptedAt', chat_private.moment(f.accepted_at)),
     jsonb_build_object('one', f.requester_id, 'other', f.addressee_id)
   from chat.friendships f
   where _part = 'friendship'
     and _user in (f.requester_id, f.addressee_id)
     and (_place is null or (f.requester_id, f.addressee_id) > ((_place ->> 'one')::uuid, (_place ->> 'other')::uuid))
   order by f.requester_id, f.addressee_id
   limit 200)
  union all
  (select
     json_build_object('type', 'block', 'userId', b.blocked_id, 'createdAt', chat_private.moment(b.created_at)),
     jsonb_build_object('one', b.blocked_id)
   from chat.blocks b
   where _part = 'block' and b.blocker_id = _user and (_place is null or b.blocked_id > (_place ->> 'one')::uuid)
   order by b.blocked_id
   limit 200)
$$;

create function chat_private.export_places(_user uuid, _part text, _place jsonb) returns table (line json, place jsonb)
language sql
stable
rows 200
set search_path = pg_catalog, pg_temp
as $$
  -- the chats they are and were in, with how far they have read; then their reactions
  (select
     json_build_object(
       'type', 'participation', 'chatId', p.chat_id, 'chatType', c.type, 'chatName', case when p.left_at is null then c.name end,
       'role', p.role, 'joinedAt', chat_private.moment(p.joined_at), 'leftAt', chat_private.moment(p.left_at),
       'lastReadSeq', (select r.seq from chat.read_markers r where r.chat_id = p.chat_id and r.user_id = _user)),
     jsonb_build_object('chat', p.chat_id)
   from chat.participants p
   join chat.chats c on c.id = p.chat_id
   where _part = 'participation' and p.user_id = _user and (_place is null or p.chat_id > (_place ->> 'chat')::uuid)
   order by p.chat_id
   limit 200)
  union all
  (select
     json_build_object(
       'type', 'reaction', 'chatId', r.chat_id, 'messageId', r.message_id, 'emoji', r.emoji,
       'createdAt', chat_private.moment(r.created_at)),
     jsonb_build_object('chat', r.chat_id, 'message', r.message_id, 'emoji', r.emoji)
   from chat.reactions r
   where _part = 'reaction'
     and r.user_id = _user
     and (_place is null
          or (r.chat_id, r.message_id, r.emoji) > ((_place ->> 'chat')::uuid, (_place ->> 'message')::uuid, _place ->> 'emoji'))
   order by r.chat_id, r.message_id, r.emoji
   limit 200)
$$;

create function chat_private.export_messages(_user uuid, _place jsonb) returns table (line json, place jsonb)
language plpgsql
stable
rows 200
set search_path = pg_catalog, pg_temp
as $$
declare
  chats_at_most constant integer := 500;
  lines_left integer := 200;
  looks_left integer := 50000;
  its_chat uuid := coalesce((_place ->> 'chat')::uuid, '00000000-0000-0000-0000-000000000000');
  its_seq bigint := (_place ->> 'seq')::bigint;
  f record;
begin
  for i in 1 .. chats_at_most loop
    if its_seq is null then
      its_chat := chat_private.next_chat_of(_user, its_chat);
      if its_chat is null then
        return;
      end if;
      its_seq := 0;
    end if;
    select o.seqs, o.looked, o.upto into f from chat_private.messages_of(_user, its_chat, its_seq, looks_left, lines_left) o;
    return query
    select
      json_build_object(
        'type', 'message', 'chatId', m.chat_id, 'id', m.id, 'seq', m.seq, 'rev', m.rev, 'kind', m.kind, 'text', m.text,
        'mentions', m.mentions, 'replyToId', m.reply_to_id, 'attachmentUrl', m.attachment_url,
        'createdAt', chat_private.moment(m.created_at), 'importedAt', chat_private.moment(m.imported_at),
        'editedAt', chat_private.moment(m.edited_at), 'pinnedAt', chat_private.moment(m.pinned_at),
        'deletedAt', chat_private.moment(m.deleted_at)),
      jsonb_build_object('chat', m.chat_id, 'seq', m.seq)
    from chat.messages m
    where m.chat_id = its_chat and m.seq = any (f.seqs)
    order by m.seq;
    its_seq := f.upto;
    lines_left := lines_left - cardinality(f.seqs);
    looks_left := looks_left - f.looked;
    exit when lines_left = 0 or looks_left = 0;
  end loop;
  line := null;
  place := jsonb_build_object('chat', its_chat, 'seq', its_seq);
  return next;
end
$$;

create function chat_private.export_edits(_user uuid, _place jsonb) returns table (line json, place jsonb)
language plpgsql
stable
rows 200
set search_path = pg_catalog, pg_temp
as $$
-- in a chat by message and rev, everybody's: there is no shorter way to one's own
declare
  chats_at_most constant integer := 500;
  looks_left integer := 1000;
  its_chat uuid := coalesce((_place ->> 'chat')::uuid, '00000000-0000-0000-0000-000000000000');
  its_message uuid := (_place ->> 'message')::uuid;
  its_rev bigint := (_place ->> 'rev')::bigint;
  e record;
begin
  for i in 1 .. chats_at_most loop
    if its_message is null then
      its_chat := chat_private.next_chat_of(_user, its_chat);
      if its_chat is null then
        return;
      end if;
    end if;
    for e in
      select w.message_id, w.rev, w.text, w.mentions, w.replaced_at, m.sender_id
      from (select o.chat_id, o.message_id, o.rev, o.text, o.mentions, o.replaced_at
            from chat.message_edits o
            where o.chat_id = its_chat and (its_message is null or (o.message_id, o.rev) > (its_message, its_rev))
            order by o.message_id, o.rev
            limit looks_left) w
      join chat.messages m on m.chat_id = w.chat_id and m.id = w.message_id
      order by w.message_id, w.rev
    loop
      its_message := e.message_id;
      its_rev := e.rev;
      looks_left := looks_left - 1;
      if e.sender_id = _user then
        line := json_build_object(
          'type', 'edit', 'chatId', its_chat, 'messageId', e.message_id, 'rev', e.rev, 'text', e.text, 'mentions', e.mentions,
          'replacedAt', chat_private.moment(e.replaced_at));
        place := jsonb_build_object('chat', its_chat, 'message', e.message_id, 'rev', e.rev);
        return next;
      end if;
    end loop;
    exit when looks_left = 0;
    its_message := null;
  end loop;
  line := null;
  place := jsonb_build_object('chat', its_chat, 'message', its_message, 'rev', its_rev);
  return next;
end
$$;

create function chat_private.export_me(_place jsonb, out lines text, out place jsonb)
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
-- With the owner's rights: what one deleted, and what one said where one is no longer, is one's own and not to be selected.
declare
  me uuid := chat.uid();
  parts constant text[] := array['profile', 'friendship', 'block', 'participation', 'message', 'edit', 'reaction'];
  part text := coalesce(_place ->> 'part', parts[1]);
  reached jsonb := _place -> 'reached';
begin
  if me is null then
    return;
  elsif part = 'end' then
    lines := '{"type":"end"}';
    return;
  end if;
  select
    string_agg(json_strip_nulls(s.line)::text, e'\n' order by s.n),
    (array_agg(s.place order by s.n desc))[1]
  into lines, place
  from (
    select p.line, p.place, p.n from chat_private.export_people(me, part, reached) with ordinality p (line, place, n)
    union all
    select p.line, p.place, p.n from chat_private.export_places(me, part, reached) with ordinality p (line, place, n)
    union all
    select p.line, p.place, p.n from chat_private.export_messages(me, reached) with ordinality p (line, place, n) where part = 'message'
    union all
    select p.line, p.place, p.n from chat_private.export_edits(me, reached) with ordinality p (line, place, n) where part = 'edit') s;
  place := case
    when place is not null then jsonb_build_object('part', part, 'reached', place)
    else jsonb_build_object('part', coalesce(parts[array_position(parts, part) + 1], 'end')) end;
end
$$;

create function chat.export_me(_place jsonb default null, out lines text, out place jsonb)
language sql
stable
begin atomic
  select e.lines, e.place from chat_private.export_me(_place) e;
end;

-- what ---------------------------------------------------------------------------------------------------------

grant execute on function
  chat.erase_me(), chat_private.erase_me(),
  chat.export_me(jsonb), chat_private.export_me(jsonb)
to authenticated, service_role;  -- who is nobody, and is told so
grant execute on function chat.erase_user(uuid), chat_private.erase(uuid) to service_role;

-- comments -----------------------------------------------------------------------------------------------------

comment on table chat_private.erasures is 'Erasures that are not done yet, and how far they came.';
comment on column chat_private.erasures.user_id is 'Who is erased.';
comment on column chat_private.erasures.chat_id is 'The chat that was reached: those with a lower id are done.';
comment on column chat_private.erasures.seq is 'The seq up to which that chat is done; null: all of it.';
comment on column chat_private.erasures.begun_at is 'When it began.';
comment on function chat_private.next_chat_of(uuid, uuid) is 'The next chat, by id, that someone is or was in.';
comment on function chat_private.messages_of(uuid, uuid, bigint, integer, integer) is 'The seqs of someone''s messages in a chat, a slice at a time.';
comment on function chat_private.take_out(uuid, uuid) is 'Makes someone leave a chat who asks nobody: participants.6 and participants.10.';
comment on function chat_private.erase(uuid) is 'users.10: a slice of someone''s erasure.';
comment on function chat_private.stay_erased() is 'users.9.';
comment on trigger _100_stay_erased on chat.users is 'Binds everyone.';
comment on function chat_private.erase_me() is 'users.10, for oneself; null for who is nobody.';
comment on function chat.erase_me() is 'Erases the asker, a slice at a time: call it until it says false. Idempotent.';
comment on function chat.erase_user(uuid) is 'Erases someone, a slice at a time: call it until it says false, each time in a transaction of its own. Idempotent.';
comment on function chat_private.moment(timestamptz) is 'A time as the API writes it.';
comment on function chat_private.export_people(uuid, text, jsonb) is 'Of an export: profile, friendships, blocks.';
comment on function chat_private.export_places(uuid, text, jsonb) is 'Of an export: participations, reactions.';
comment on function chat_private.export_messages(uuid, jsonb) is 'Of an export: messages, deleted ones too.';
comment on function chat_private.export_edits(uuid, jsonb) is 'Of an export: earlier texts of messages.';
comment on function chat_private.export_me(jsonb) is 'A slice of the asker''s export; no row''s columns for who is nobody.';
comment on function chat.export_me(jsonb) is 'Everything about the asker as lines of JSON, a slice at a time: call it with the place that it gave, until it gives none.';

-- Messages, their earlier texts, and how far people have read.

insert into chat.rules (number, name, status, sentence) values
  ('messages.1', 'messages_are_read_by_readers', 403, 'who reads a chat reads its messages; deleted ones are seen by owner and moderators alone'),
  ('messages.2', 'messages_are_sent_by_participants', 403, 'participants send messages, as themselves, while they are in the chat'),
  ('messages.3', 'messages_are_edited_by_their_sender', 403, 'only the sender edits a message, and only its text and mentions'),
  ('messages.4', 'messages_are_edited_within_the_window', 403, 'a message is edited within 15 minutes of its sending, or what the settings say'),
  ('messages.5', 'messages_are_deleted_by_sender_or_moderators', 403, 'sender, owner and moderators delete a message, which stays for who sees deleted ones'),
  ('messages.6', 'messages_are_pinned_by_moderators', 403, 'owner and moderators pin; in a direct chat both do'),
  ('messages.7', 'messages_text_is_not_blank', 422, 'a message has a text that is not blank'),
  ('messages.8', 'messages_text_is_short_enough', 422, 'a message has at most 10,000 characters, or what the settings say'),
  ('messages.9', 'messages_reply_within_their_chat', 422, 'a reply is to a message of the same chat that is not deleted'),
  ('messages.10', 'messages_keep_their_identity', 409, 'a message keeps its chat, id, seq, sender, kind, time and what it answers'),
  ('messages.11', 'messages_stay_deleted', 409, 'a deleted message stays deleted and as it was'),
  ('messages.12', 'messages_exist', 404, 'there is no such message in this chat, or none that one may read'),
  ('messages.13', 'message_id_is_taken', 409, 'an id names one message of a chat: this one is somebody else''s'),
  ('messages.14', 'message_id_was_used', 409, 'an id is used once: the message that bore this one is deleted'),
  ('messages.15', 'messages_kind_is_known', 422, 'a message is a user''s, an assistant''s or the system''s; every one but the system''s has a sender'),
  ('messages.16', 'messages_attachment_url_is_a_link', 422, 'an attachment is an http or https link of at most 2,000 characters'),
  ('messages.17', 'messages_mention_a_few', 422, 'a message mentions at most 50 people'),
  ('messages.18', 'messages_in_read_only_chats_are_moderators', 403, 'in a read-only chat only owner and moderators write and edit'),
  ('messages.19', 'messages_text_is_kept', 403, 'an edit keeps the earlier text'),
  ('messages.20', 'messages_stay_erased', 409, 'an erased message says that it was erased, and nothing else ever again'),
  ('edits.1', 'edits_are_seen_by_sender_and_moderators', 403, 'earlier texts are seen by the sender, while the message stands, and by owner and moderators'),
  ('reads.1', 'reads_are_seen_by_participants', 403, 'participants see how far the others have read'),
  ('reads.2', 'reads_are_marked_for_oneself', 403, 'participants mark how far they themselves have read'),
  ('reads.3', 'reads_never_go_back', 422, 'a read marker never goes back, nor past the last message'),
  ('reads.4', 'reads_start_at_the_beginning', 422, 'a read marker is not negative');

-- tables -----------------------------------------------------------------------------------------------------

create function chat_private.uuid_v7() returns uuid
language sql
volatile
as $$
  -- RFC 9562 §5.7: 48 bits of Unix milliseconds, then a version-4 id's random bits with the version set to 7
  select encode(
    set_byte(r.bytes, 6, (get_byte(r.bytes, 6) & 15) | 112),
    'hex')::uuid
  from (select overlay(uuid_send(gen_random_uuid())
                       placing substring(int8send((extract(epoch from clock_timestamp()) * 1000)::bigint) from 3)
                       from 1 for 6) as bytes) r
$$;

create table chat.messages (
  chat_id uuid not null references chat.chats on delete cascade,
  id uuid not null default chat_private.uuid_v7(),
  seq bigint not null,
  rev bigint not null,
  xid xid8 not null default pg_current_xact_id(),
  sender_id uuid default chat.uid(),
  kind text not null default case when chat.uid() is null then 'system' else 'user' end,
  text text not null
    constraint messages_text_is_not_blank check (text ~ '\S'),
  mentions uuid[] not null default '{}'
    constraint messages_mention_a_few check (
      case when array_ndims(mentions) > 1 then false
           else cardinality(mentions) <= 50 and array_position(mentions, null) is null end),
  reply_to_id uuid,
  attachment_url text
    constraint messages_attachment_url_is_a_link check (attachment_url ~ '^https?://\S+$' and char_length(attachment_url) <= 2000),
  created_at timestamptz not null default clock_timestamp(),
  imported_at timestamptz,
  edited_at timestamptz,
  pinned_at timestamptz,
  deleted_at timestamptz,
  erased_at timestamptz,
  reactions jsonb,
  session_id text,
  request_id uuid,
  via jsonb,
  primary key (chat_id, id),
  constraint messages_kind_is_known check (kind = 'system' or kind in ('user', 'assistant') and sender_id is not null),
  constraint messages_stay_erased check (
    erased_at is null or text = '[erased]' and cardinality(mentions) = 0 and attachment_url is null)
);
create unique index messages_by_seq on chat.messages (chat_id, seq) include (sender_id, deleted_at);
create unique index messages_changed on chat.messages (chat_id, rev) where rev <> seq;

create table chat.message_edits (
  chat_id uuid not null,
  message_id uuid not null,
  rev bigint not null,
  text text not null,
  mentions uuid[] not null,
  replaced_at timestamptz not null default clock_timestamp(),
  primary key (chat_id, message_id, rev),
  foreign key (chat_id, message_id) references chat.messages on delete cascade
);

-- apart from participants: they change with every glance, and no policy may have to walk over their dead versions
create table chat.read_markers (
  chat_id uuid not null,
  user_id uuid not null default chat.uid(),
  seq bigint not null
    constraint reads_start_at_the_beginning check (seq >= 0),
  primary key (chat_id, user_id),
  foreign key (chat_id, user_id) references chat.participants on delete cascade
) with (fillfactor = 50);

-- who ---------------------------------------------------------------------------------------------------------

alter table chat.messages enable row level security;
alter table chat.message_edits enable row level security;
alter table chat.read_markers enable row level security;

-- The test of deleted_at stands inside the exists: it keeps the planner from hashing all my chats, or all public rooms, for one page.
create policy select_reader on chat.messages for select
to anon, authenticated
using (exists (select
               from chat_private.my_memberships m
               where m.chat_id = messages.chat_id
                 and messages.seq > m.sees_after
                 and (messages.deleted_at is null or m.role <> 'member'))
       or exists (select
                  from chat_private.my_open_rooms o
                  where o.chat_id = messages.chat_id
                    and messages.deleted_at is null));

create policy insert_participant on chat.messages for insert
to authenticated
with check (sender_id = (select chat.uid())
            and kind = 'user'
            and exists (select from chat_private.my_memberships m where m.chat_id = messages.chat_id));

-- A policy for UPDATE or DELETE says which rows one reaches for; the rules say which change is refused, by name instead of in silence.
create policy update_reader on chat.messages for update
to authenticated
using (exists (select
               from chat_private.my_memberships m
               where m.chat_id = messages.chat_id
                 and messages.seq > m.sees_after
                 and (messages.deleted_at is null or m.role <> 'member'))
       or exists (select
                  from chat_private.my_open_rooms o
                  where o.chat_id = messages.chat_id
                    and messages.deleted_at is null));

create policy delete_reader on chat.messages for delete
to authenticated
using (exists (select
               from chat_private.my_memberships m
               where m.chat_id = messages.chat_id
                 and messages.seq > m.sees_after
                 and (messages.deleted_at is null or m.role <> 'member'))
       or exists (select
                  from chat_private.my_open_rooms o
                  where o.chat_id = messages.chat_id
                    and messages.deleted_at is null));

create policy select_sender_or_moderator on chat.message_edits for select
to authenticated
using (exists (select
               from chat.messages g  -- as the asker: an earlier text is never seen by who can't see the message
               where g.chat_id = message_edits.chat_id
                 and g.id = message_edits.message_id
                 and (g.sender_id = (select chat.uid()) and g.deleted_at is null
                      or exists (select
                                 from chat_private.my_memberships m
                                 where m.chat_id = message_edits.chat_id and m.role <> 'member'))));

create policy select_participant on chat.read_markers for select
to authenticated
using (exists (select from chat_private.my_memberships m where m.chat_id = read_markers.chat_id));

create policy insert_self on chat.read_markers for insert
to authenticated
with check (user_id = (select chat.uid())
            and exists (select from chat_private.my_memberships m where m.chat_id = read_markers.chat_id));

create policy update_self on chat.read_markers for update
to authenticated
using (user_id = (select chat.uid())
       and exists (select from chat_private.my_memberships m where m.chat_id = read_markers.chat_id));

create policy select_staff on chat.messages for select to service_role, chat_auditor using (true);       -- staff.2
create policy insert_service on chat.messages for insert to service_role with check (true);              -- staff.1
create policy update_service on chat.messages for update to service_role using (true);                   -- staff.1
create policy delete_service on chat.messages for delete to service_role using (true);                   -- staff.1: softly, like everyone
create policy select_staff on chat.message_edits for select to service_role, chat_auditor using (true);  -- staff.2
create policy select_staff on chat.read_markers for select to service_role, chat_auditor using (true);   -- staff.2

call chat_private.cite('policy select_reader on chat.messages', 'messages.1');
call chat_private.cite('policy insert_participant on chat.messages', 'messages.2');
call chat_private.cite('policy update_reader on chat.messages', 'messages.3');
call chat_private.cite('policy delete_reader on chat.messages', 'messages.5');
call chat_private.cite('policy select_sender_or_moderator on chat.message_edits', 'edits.1');
call chat_private.cite('policy select_participant on chat.read_markers', 'reads.1');
call chat_private.cite('policy insert_self on chat.read_markers', 'reads.2');
call chat_private.cite('policy update_self on chat.read_markers', 'reads.2');
call chat_private.cite('policy select_staff on chat.messages', 'staff.2');
call chat_private.cite('policy insert_service on chat.messages', 'staff.1');
call chat_private.cite('policy update_service on chat.messages', 'staff.1');
call chat_private.cite('policy delete_service on chat.messages', 'staff.1');
call chat_private.cite('policy select_staff on chat.message_edits', 'staff.2');
call chat_private.cite('policy select_staff on chat.read_markers', 'staff.2');

-- what: seq, rev, sender and times are nobody's to choose; imported_at, which lets a row past the rules for what is said now, is the
-- owner's; from which session and by which request a message came is the staff's to read

grant select (
  chat_id, id, seq, rev, xid, sender_id, kind, text, mentions, reply_to_id, attachment_url, created_at, imported_at, edited_at, pinned_at,
  deleted_at, erased_at, reactions
) on chat.messages to anon, authenticated;
grant select on chat.read_markers to anon;  -- it sees none: no policy is for it
grant select on chat.message_edits, chat.read_markers to authenticated;
grant select on chat.messages, chat.message_edits, chat.read_markers to service_role, chat_auditor;
grant insert (chat_id, id, text, mentions, reply_to_id, attachment_url), update (text, mentions, pinned_at), delete on chat.messages to authenticated;
grant insert (chat_id, id, sender_id, kind, text, mentions, reply_to_id, attachment_url), update (text, mentions, pinned_at), delete on chat.messages to service_role;
grant insert (chat_id, seq), update (seq) on chat.read_markers to authenticated;
grant execute on function chat_private.uuid_v7() to authenticated, service_role;

-- when ---------------------------------------------------------------------------------------------------------

create function chat_private.sender_is_in() returns trigger
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
-- Asked before the chat's lock, so that a stranger waits for nobody, and again under it, so that who was removed at rev n
-- changes nothing above n: a policy alone is judged as of the start of the statement.
begin
  if not exists (select from chat_private.my_memberships m where m.chat_id = new.chat_id) then
    perform chat_private.refuse_outsider(new.chat_id, 'messages_are_sent_by_participants');
  end if;
  return new;
end
$$;
create trigger _100_sender_is_in before insert or update on chat.messages for each row
when (row_security_active('chat.messages'::regclass) and current_user <> 'service_role')
execute function chat_private.sender_is_in();

create function chat_private.message_words() returns trigger
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if char_length(new.text) > (select s.text_max from chat.settings s)
     and not (tg_op = 'INSERT' and chat_private.is_sent(new.chat_id, new.id)) then
    perform chat_private.refuse('messages_text_is_short_enough', format('this one has %s', char_length(new.text)));
  end if;
  return new;
end
$$;
create trigger _200_words_inserted before insert on chat.messages for each row
when (new.imported_at is null)
execute function chat_private.message_words();
create trigger _200_words_updated before update of text on chat.messages for each row
when (new.erased_at is null)
execute function chat_private.message_words();

create function chat_private.chat_is_there() returns trigger
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
-- under the lock: _900_rev came before
declare
  gone timestamptz;
begin
  if not exists (select from chat.chats c where c.id = new.chat_id and c.deleted_at is null) then
    perform chat_private.refuse('chats_exist');
  end if;
  -- who sends for others may not know who is erased; held, so that an erasure of this moment finds the message
  select u.erased_at into gone from chat.users u where u.id = new.sender_id for key share;
  if gone is not null then
    perform chat_private.refuse('users_erased_are_gone');
  end if;
  return new;
end
$$;
create trigger _930_chat_is_there before insert on chat.messages for each row
when (new.imported_at is null and (not row_security_active('chat.messages'::regclass) or current_user = 'service_role'))
execute function chat_private.chat_is_there();

create view chat_private.my_messages as
select
  m.chat_id,
  m.id
from chat.messages m
where m.sender_id is not distinct from (select chat.uid());

create function chat_private.is_sent(_chat uuid, _id uuid) returns boolean
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
-- An insert of it will conflict and do nothing. It is a message sent again, and what has changed since must not refuse it: who lost the
-- answer to the first would take a message that is stored for one that is not.
begin
  return exists (select from chat_private.my_messages m where m.chat_id = _chat and m.id = _id);
end
$$;

create function chat_private.reply_rules() returns trigger
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
-- Under the lock: _900_rev came before. No foreign key: what a message answers may be deleted for good without a change to the answer.
begin
  if not exists (select
                 from chat.messages m
                 where m.chat_id = new.chat_id and m.id = new.reply_to_id and m.deleted_at is null)
     and not chat_private.is_sent(new.chat_id, new.id) then
    perform chat_private.refuse('messages_reply_within_their_chat');
  end if;
  return new;
end
$$;
create trigger _940_reply before insert on chat.messages for each row
when (new.imported_at is null and new.reply_to_id is not null)
execute function chat_private.reply_rules();

create function chat_private.check_writer(_chat uuid) returns void
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
-- what new words in a chat must pass, sent or edited in
declare
  c record;
begin
  select
    k.type,
    k.read_only,
    case when k.low_user_id = chat.uid() then k.high_user_id else k.low_user_id end as other_id,
    (select m.role from chat_private.my_memberships m where m.chat_id = k.id) as my_role
  into c
  from chat.chats k
  where k.id = _chat;
  if c.my_role is null then
    perform chat_private.refuse('messages_are_sent_by_participants');
  end if;
  if c.read_only and c.my_role = 'member' then
    perform chat_private.refuse('messages_in_read_only_chats_are_moderators');
  end if;
  if c.type = 'direct' then
    perform chat_private.check_direct(c.other_id);
  end if;
end
$$;

create function chat_private.message_insert_rules() returns trigger
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
-- under the lock: _900_rev came before
declare
  known record;
begin
  select
    exists (select from chat_private.my_memberships m where m.chat_id = new.chat_id) as is_in,
    exists (select from chat_private.my_messages m where m.chat_id = new.chat_id and m.id = new.id) as is_sent,
    exists (select from chat.tombstones t where t.chat_id = new.chat_id and t.row_id = new.id and t.kind = 'message') as was_used
  into known;
  if not known.is_in then
    perform chat_private.refuse('messages_are_sent_by_participants');
  elsif known.is_sent then
    return new;
  end if;
  perform chat_private.check_writer(new.chat_id);
  if known.was_used then
    perform chat_private.refuse('message_id_was_used');
  end if;
  return new;
end
$$;
create trigger _950_insert_rules before insert on chat.messages for each row
when (row_security_active('chat.messages'::regclass) and current_user <> 'service_role')
execute function chat_private.message_insert_rules();

create function chat_private.check_direct(_other uuid) returns void
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if exists (select from chat_private.my_blocks b where b.user_id = _other) then
    perform chat_private.refuse('direct_chats_pass_no_block');
  end if;
  if (select s.direct from chat.settings s) = 'friends'
     and not exists (select from chat_private.my_friends f where f.user_id = _other and f.accepted_at is not null) then
    perform chat_private.refuse('direct_chats_are_between_friends');
  end if;
end
$$;

create function chat_private.message_arrives() returns trigger
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if (select c.type from chat.chats c where c.id = new.chat_id) = 'direct' then
    update chat.participants p set left_at = null where p.chat_id = new.chat_id and p.left_at is not null;
  end if;
  return null;
end
$$;
create trigger _100_arrive after insert on chat.messages for each row
when (new.imported_at is null)
execute function chat_private.message_arrives();

create function chat_private.message_update_rules() returns trigger
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
-- under the lock: _900_rev came before. clock_timestamp(), not now(): that is the start of a transaction of any age.
declare
  me uuid := chat.uid();
  my_role text := (select m.role from chat_private.my_memberships m where m.chat_id = old.chat_id);
begin
  if my_role is null then
    perform chat_private.refuse('messages_are_sent_by_participants');
  end if;
  if (new.text, new.mentions) is distinct from (old.text, old.mentions) then
    if old.sender_id is distinct from me then
      perform chat_private.refuse('messages_are_edited_by_their_sender');
    end if;
    perform chat_private.check_writer(new.chat_id);
    if clock_timestamp() > old.created_at + (select s.edit_window from chat.settings s) then
      perform chat_private.refuse('messages_are_edited_within_the_window',
        format('it ended at %s', to_char((old.created_at + (select s.edit_window from chat.settings s)) at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')));
    end if;
  end if;
  if new.pinned_at is distinct from old.pinned_at then
    if my_role = 'member' and not exists (select from chat.chats c where c.id = old.chat_id and c.type = 'direct') then
      perform chat_private.refuse('messages_are_pinned_by_moderators');
    end if;
    new.pinned_at := case when new.pinned_at is not null then clock_timestamp() end;
  end if;
  return new;
end
$$;
create trigger _950_update_rules before update on chat.messages for each row
when (row_security_active('chat.messages'::regclass) and current_user <> 'service_role')
execute function chat_private.message_update_rules();

create function chat_private.keep_earlier_text() returns trigger
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  insert into chat.message_edits (chat_id, message_id, rev, text, mentions)
  values (old.chat_id, old.id, old.rev, old.text, old.mentions);
  return null;
end
$$;
create trigger _100_keep_earlier_text after update of text, mentions on chat.messages for each row
when ((old.text, old.mentions) is distinct from (new.text, new.mentions) and new.erased_at is null)
execute function chat_private.keep_earlier_text();

create function chat_private.delete_message(_chat uuid, _id uuid) returns void
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
-- The one place that says who deletes. A definer's, because an UPDATE that hides a row from its own SELECT policy ends in 42501.
-- Deleting what is deleted is no error for those who may delete it.
declare
  my_role text;
  message record;
begin
  if not chat.is_service() then
    perform chat_private.lock_chat(_chat);
    my_role := (select m.role from chat_private.my_memberships m where m.chat_id = _chat);
    if my_role is null then
      perform chat_private.refuse_outsider(_chat, 'chats_are_read_by_participants');
    end if;
  end if;
  select m.sender_id, m.deleted_at into message from chat.messages m where m.chat_id = _chat and m.id = _id;
  if not found then
    perform chat_private.refuse('messages_exist');
  elsif not (chat.is_service() or my_role <> 'member' or message.sender_id is not distinct from chat.uid()) then
    perform chat_private.refuse(case when message.deleted_at is null
                                     then 'messages_are_deleted_by_sender_or_moderators'
                                     else 'messages_exist' end);
  end if;
  update chat.messages m set deleted_at = clock_timestamp()
  where m.chat_id = _chat and m.id = _id and m.deleted_at is null;
end
$$;

create function chat.delete_message(_chat uuid, _id uuid) returns void
language sql
volatile
begin atomic
  select chat_private.delete_message(_chat, _id);
end;
grant execute on function chat.delete_message(uuid, uuid), chat_private.delete_message(uuid, uuid) to authenticated, service_role;

create function chat_private.delete_softly() returns trigger
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform chat_private.delete_message(old.chat_id, old.id);
  return null;
end
$$;
-- service_role apart from RLS: Supabase's has BYPASSRLS, and its DELETE is as soft as everyone's
create trigger _100_softly before delete on chat.messages for each row
when (row_security_active('chat.messages'::regclass) or current_user = 'service_role')
execute function chat_private.delete_softly();

create function chat_private.read_forward() returns trigger
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if not exists (select
                 from chat.participants p
                 where p.chat_id = new.chat_id and p.user_id = new.user_id and p.left_at is null) then
    perform chat_private.refuse_outsider(new.chat_id, 'reads_are_marked_for_oneself');
  end if;
  new.seq := greatest(
    case when tg_op = 'UPDATE' then old.seq end,
    least(new.seq, coalesce((select m.seq from chat.messages m where m.chat_id = new.chat_id order by m.seq desc limit 1), 0)));
  return new;
end
$$;
create trigger _100_forward before insert or update on chat.read_markers for each row
execute function chat_private.read_forward();

-- comments ----------------------------------------------------------------------------------------------------

comment on table chat.messages is 'What was said. A deleted message keeps its row.';
comment on column chat.messages.chat_id is 'Where.';
comment on column chat.messages.id is 'Chosen by the client if it likes: sending the same id again is sending once.';
comment on column chat.messages.seq is 'The chat''s rev at which it was sent: the order of the conversation.';
comment on column chat.messages.rev is 'The chat''s rev at which this row last changed.';
comment on column chat.messages.xid is 'The transaction that last changed it.';
comment on column chat.messages.sender_id is 'Who sent it; null for the system''s.';
comment on column chat.messages.kind is 'user, assistant or system.';
comment on column chat.messages.text is 'As written.';
comment on column chat.messages.mentions is 'Whom it mentions.';
comment on column chat.messages.reply_to_id is 'The message it answers, which may be deleted since.';
comment on column chat.messages.attachment_url is 'What comes with it.';
comment on column chat.messages.created_at is 'When it was sent.';
comment on column chat.messages.imported_at is 'When it was brought here from another system; null: it was sent here.';
comment on column chat.messages.edited_at is 'When its text or mentions last changed; null: never.';
comment on column chat.messages.pinned_at is 'When it was pinned; null: it is not.';
comment on column chat.messages.deleted_at is 'When it was deleted; nothing brings it back.';
comment on column chat.messages.erased_at is 'When its words were erased, with the person who sent it; nothing brings them back.';
comment on column chat.messages.reactions is 'Each emoji and how many reacted with it, in the order in which they came; null: nobody did.';
comment on column chat.messages.session_id is 'The session it was sent from: the claim session_id. Null: the token named none, or it was imported.';
comment on column chat.messages.request_id is 'The request that sent it: x-request-id of its answer. Null: plain SQL, or it was imported.';
comment on column chat.messages.via is 'Role, login, application and the claim sub of who sent it, where that was not the sender through the server; null: it was.';
comment on index chat.messages_by_seq is 'What was said last, and how much of it is unread?';
comment on index chat.messages_changed is 'What was edited, pinned or deleted since this rev?';
comment on table chat.message_edits is 'The texts that messages had before they were edited.';
comment on column chat.message_edits.chat_id is 'The chat.';
comment on column chat.message_edits.message_id is 'The message.';
comment on column chat.message_edits.rev is 'The rev the message had with this text.';
comment on column chat.message_edits.text is 'The text it had.';
comment on column chat.message_edits.mentions is 'The mentions it had.';
comment on column chat.message_edits.replaced_at is 'When it was replaced.';
comment on table chat.read_markers is 'How far who has read.';
comment on column chat.read_markers.chat_id is 'The chat.';
comment on column chat.read_markers.user_id is 'Who.';
comment on column chat.read_markers.seq is 'The seq up to which they have read.';
comment on function chat_private.uuid_v7() is 'A time-ordered id (RFC 9562, version 7).';
comment on function chat_private.sender_is_in() is 'messages.2, before the lock.';
comment on function chat_private.chat_is_there() is 'chats.2 and users.9, for those whom messages.2 does not bind.';
comment on function chat_private.message_words() is 'messages.8: the longest text is a setting, so no constraint can say it.';
comment on function chat_private.message_insert_rules() is 'What a new message must pass under the lock: check_writer, messages.14.';
comment on view chat_private.my_messages is 'What the asker sent, or the system''s when nobody in particular asks.';
comment on function chat_private.is_sent(uuid, uuid) is 'Whether the asker has sent a message with this id in this chat.';
comment on function chat_private.reply_rules() is 'messages.9.';
comment on function chat_private.check_writer(uuid) is 'messages.2, messages.18, direct.1, direct.2: asked for new messages and for edits.';
comment on function chat_private.check_direct(uuid) is 'direct.1 and direct.2 towards this person.';
comment on function chat_private.message_arrives() is 'direct.4: who left a direct chat is back with the other''s next message.';
comment on function chat_private.message_update_rules() is 'messages.2, messages.3, messages.4 and messages.6, under the lock.';
comment on function chat_private.keep_earlier_text() is 'messages.19.';
comment on function chat_private.delete_message(uuid, uuid) is 'messages.5.';
comment on function chat.delete_message(uuid, uuid) is 'Deletes a message softly, as sender, owner, moderator or service.';
comment on function chat_private.delete_softly() is 'Turns DELETE into chat.delete_message.';
comment on function chat_private.read_forward() is 'reads.2 and reads.3.';
comment on trigger _100_sender_is_in on chat.messages is 'Binds those whom RLS binds, the service role apart.';
comment on trigger _930_chat_is_there on chat.messages is 'Binds those whom RLS does not bind, and the service role.';
comment on trigger _200_words_inserted on chat.messages is 'Binds everyone who does not import.';
comment on trigger _200_words_updated on chat.messages is 'Binds everyone, but for words that are erased.';
comment on trigger _940_reply on chat.messages is 'Binds everyone who does not import.';
comment on trigger _950_insert_rules on chat.messages is 'Binds those whom RLS binds, the service role apart.';
comment on trigger _950_update_rules on chat.messages is 'Binds those whom RLS binds, the service role apart.';
comment on trigger _100_arrive on chat.messages is 'Binds everyone who does not import.';
comment on trigger _100_keep_earlier_text on chat.messages is 'Binds everyone, but for words that are erased.';
comment on trigger _100_softly on chat.messages is 'Binds those whom RLS binds, and the service role also where it bypasses RLS.';
comment on trigger _100_forward on chat.read_markers is 'Binds everyone.';
call chat_private.cite('constraint messages_text_is_not_blank on chat.messages', 'messages.7');
call chat_private.cite('constraint messages_mention_a_few on chat.messages', 'messages.17');
call chat_private.cite('constraint messages_attachment_url_is_a_link on chat.messages', 'messages.16');
call chat_private.cite('constraint messages_kind_is_known on chat.messages', 'messages.15');
call chat_private.cite('constraint messages_stay_erased on chat.messages', 'messages.20');
call chat_private.cite('constraint reads_start_at_the_beginning on chat.read_markers', 'reads.4');

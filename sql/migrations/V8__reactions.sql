-- Reactions: an emoji that someone puts on a message.
--
-- A reaction changes its message: the message counts them and gets the chat's next rev, so a page reads no reaction but the asker's own,
-- and whoever follows the chat hears of it.

insert into chat.rules (number, name, status, sentence) values
  ('reactions.1', 'reactions_are_seen_by_readers', 403, 'who reads a message sees who reacted to it, and how'),
  ('reactions.2', 'reactions_are_made_by_participants', 403, 'participants react to messages that they read, as themselves; in a direct chat while they may write in it'),
  ('reactions.3', 'reactions_are_taken_back_by_who_made_them', 403, 'people take back their own reactions and nobody else''s'),
  ('reactions.4', 'reactions_are_an_emoji', 422, 'a reaction is an emoji or its name: 1 to 32 characters, one of them visible, without spaces and slashes'),
  ('reactions.5', 'reactions_are_few', 422, 'a message carries at most 50 different emoji');

-- tables -----------------------------------------------------------------------------------------------------

create table chat.reactions (
  chat_id uuid not null,
  message_id uuid not null,
  user_id uuid not null default chat.uid() references chat.users,
  emoji text not null
    constraint reactions_are_an_emoji check (emoji ~ '^[^\s\x01-\x1f\x7f-\u009f/]{1,32}$' and emoji ~ '[^.\u200b-\u200f\u2060\ufe00-\ufe0f\ufeff]'),
  created_at timestamptz not null default clock_timestamp(),
  primary key (chat_id, message_id, user_id, emoji),
  foreign key (chat_id, message_id) references chat.messages on delete cascade
);
create index reactions_of_user on chat.reactions (user_id, chat_id);
create index messages_pinned on chat.messages (chat_id, pinned_at, id) where pinned_at is not null;

-- who ---------------------------------------------------------------------------------------------------------

alter table chat.reactions enable row level security;

create policy select_reader on chat.reactions for select
to anon, authenticated
using (exists (select
               from chat.messages g  -- as the asker
               where g.chat_id = reactions.chat_id and g.id = reactions.message_id));

create policy insert_participant on chat.reactions for insert
to authenticated
with check (user_id = (select chat.uid())
            and exists (select from chat_private.my_memberships m where m.chat_id = reactions.chat_id));

-- reaches as far as one reads: the rules say which change is refused, by name
create policy delete_reader on chat.reactions for delete
to authenticated
using (exists (select
               from chat.messages g
               where g.chat_id = reactions.chat_id and g.id = reactions.message_id));

create policy select_staff on chat.reactions for select to service_role, chat_auditor using (true);  -- staff.2
create policy delete_service on chat.reactions for delete to service_role using (true);              -- moderation

call chat_private.cite('policy select_reader on chat.reactions', 'reactions.1');
call chat_private.cite('policy insert_participant on chat.reactions', 'reactions.2');
call chat_private.cite('policy delete_reader on chat.reactions', 'reactions.3');
call chat_private.cite('policy select_staff on chat.reactions', 'staff.2');
call chat_private.cite('policy delete_service on chat.reactions', 'staff.1');

-- what: nobody changes a reaction, and the host reacts to nothing ------------------------------------------------

grant select on chat.reactions to anon, authenticated, service_role, chat_auditor;
grant insert (chat_id, message_id, emoji), delete on chat.reactions to authenticated;
grant delete on chat.reactions to service_role;

-- when ---------------------------------------------------------------------------------------------------------

create function chat_private.reaction_rules() returns trigger
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  me uuid := chat.uid();
  c record;
  counted jsonb;
begin
  if tg_op = 'DELETE' then
    if old.user_id is distinct from me then
      perform chat_private.refuse('reactions_are_taken_back_by_who_made_them');
    end if;
    perform chat_private.lock_chat(old.chat_id);
    -- asked again under the lock, like everything: who was removed meanwhile changes nothing any more
    if not exists (select from chat_private.my_memberships m where m.chat_id = old.chat_id)
       and not exists (select from chat_private.my_open_rooms o where o.chat_id = old.chat_id) then
      perform chat_private.refuse('reactions_are_made_by_participants');
    end if;
    return old;
  end if;
  -- before the lock, so that a stranger waits for nobody, and again under it: who was removed at rev n changes nothing above n
  perform chat_private.check_reactor(new.chat_id);
  perform chat_private.hold_chat(new.chat_id);
  perform chat_private.check_reactor(new.chat_id);
  select m.reactions into counted
  from chat.messages m
  join chat_private.my_memberships p on p.chat_id = m.chat_id
  where m.chat_id = new.chat_id
    and m.id = new.message_id
    and m.deleted_at is null
    and (m.seq > p.sees_after or exists (select from chat_private.my_open_rooms o where o.chat_id = m.chat_id));
  if not found then
    perform chat_private.refuse('messages_exist');
  end if;
  if exists (select
             from chat.reactions r
             where r.chat_id = new.chat_id and r.message_id = new.message_id and r.user_id = me and r.emoji = new.emoji) then
    return new;  -- made again: it will conflict and change nothing, whatever has changed since
  end if;
  select
    k.type,
    case when k.low_user_id = me then k.high_user_id else k.low_user_id end as other_id
  into c
  from chat.chats k
  where k.id = new.chat_id;
  if c.type = 'direct' then
    perform chat_private.check_direct(c.other_id);
  end if;
  if jsonb_array_length(counted) >= 50
     and not exists (select from jsonb_array_elements(counted) e where e ->> 'emoji' = new.emoji) then
    perform chat_private.refuse('reactions_are_few');
  end if;
  return new;
end
$$;
create trigger _100_rules before insert or delete on chat.reactions for each row
when (row_security_active('chat.reactions'::regclass) and current_user <> 'service_role')
execute function chat_private.reaction_rules();

create function chat_private.check_reactor(_chat uuid) returns void
language plpgsql
volatile  -- never stable: asked again after the lock, it must see what the lock waited for
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if not exists (select from chat_private.my_memberships m where m.chat_id = _chat) then
    perform chat_private.refuse_outsider(_chat, 'reactions_are_made_by_participants');
  end if;
end
$$;

create function chat_private.count_reaction() returns trigger
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
-- In the order in which the emoji came. A deleted message stays as it was.
declare
  r chat.reactions := case when tg_op = 'INSERT' then new else old end;
  counted jsonb;
  place integer;
  n integer;
begin
  perform chat_private.hold_chat(r.chat_id);
  select coalesce(m.reactions, '[]') into counted from chat.messages m where m.chat_id = r.chat_id and m.id = r.message_id;
  select e.place - 1, (e.value ->> 'count')::integer into place, n
  from jsonb_array_elements(counted) with ordinality e (value, place)
  where e.value ->> 'emoji' = r.emoji;
  n := coalesce(n, 0) + case when tg_op = 'INSERT' then 1 else -1 end;
  counted := case
    when place is null and n < 0 then counted  -- of a message that was deleted before
    when place is null then counted || jsonb_build_object('emoji', r.emoji, 'count', n)
    when n > 0 then jsonb_set(counted, array[place::text, 'count'], to_jsonb(n))
    else counted - place end;
  update chat.messages m set reactions = nullif(counted, '[]')
  where m.chat_id = r.chat_id and m.id = r.message_id and m.deleted_at is null;
  return null;
end
$$;
create trigger _100_count after insert or delete on chat.reactions for each row
execute function chat_private.count_reaction();

create trigger _100_truncate before truncate on chat.reactions for each statement execute function chat_private.refuse_truncate();

-- comments ----------------------------------------------------------------------------------------------------

comment on table chat.reactions is 'Who put which emoji on which message. The message counts them.';
comment on column chat.reactions.chat_id is 'The chat.';
comment on column chat.reactions.message_id is 'The message.';
comment on column chat.reactions.user_id is 'Who reacted.';
comment on column chat.reactions.emoji is 'An emoji, or the name of one that the application draws.';
comment on column chat.reactions.created_at is 'When.';
comment on index chat.reactions_of_user is 'How did this person react, and where?';
comment on index chat.messages_pinned is 'What is pinned here, and what was pinned last?';
comment on function chat_private.reaction_rules() is 'reactions.2, reactions.3 and reactions.5.';
comment on function chat_private.check_reactor(uuid) is 'reactions.2.';
comment on function chat_private.count_reaction() is 'Counts a reaction on its message, which gets its rev thereby.';
comment on trigger _100_rules on chat.reactions is 'Binds those whom RLS binds, the service role apart.';
comment on trigger _100_count on chat.reactions is 'Binds everyone.';
comment on trigger _100_truncate on chat.reactions is 'Binds everyone.';
call chat_private.cite('constraint reactions_are_an_emoji on chat.reactions', 'reactions.4');

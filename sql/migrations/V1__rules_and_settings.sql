-- Rules and settings: what everything after this file leans on.
--
-- A rule is a row: its number, its name (the `code` of an error), the status of a refusal, and the sentence itself.
-- Policies and constraints cite it by number, so that the sentence stands in one place and is found from everywhere.

-- Every function that runs with somebody else's rights, or inside one that does, sets search_path = pg_catalog, pg_temp. An empty
-- path would search pg_temp first, also for types: a caller's temporary domain named uuid would run its check as the owner.

-- who asks ---------------------------------------------------------------------------------------------------

create function chat.claims() returns jsonb
language sql
stable
parallel safe
as $$
  -- the verified token of this request, as PostgREST and Supabase hand it over; null outside a request
  select nullif(current_setting('request.jwt.claims', true), '')::jsonb
$$;

create function chat.uid() returns uuid
language sql
stable
parallel safe
as $$
  -- policies write (select chat.uid()): once a statement, not once a row
  select nullif(nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub', '')::uuid
$$;

create function chat.is_admin() returns boolean
language sql
stable
parallel safe
as $$
  -- app_metadata is written by the issuer alone; user_metadata by the user, so nothing may ever be authorised from it
  select coalesce(nullif(current_setting('request.jwt.claims', true), '')::jsonb #>> '{app_metadata,role}' = 'admin', false)
$$;

create function chat.is_service() returns boolean
language sql
stable
parallel safe
as $$
  -- not current_user: inside a definer's function that is the definer. Not the claims: they can be typed in psql.
  select coalesce(nullif(current_setting('role', true), 'none'), session_user::text) = 'service_role'
$$;

comment on function chat.claims() is 'The claims of the token this request came with; null outside a request.';
comment on function chat.uid() is 'Who asks: the claim sub. Null for anon, for the service role and outside a request.';
comment on function chat.is_admin() is 'Whether the issuer says that who asks administers this instance: app_metadata.role = admin.';
comment on function chat.is_service() is 'Whether this session speaks as the host application: role service_role.';
grant execute on function chat.claims(), chat.uid(), chat.is_admin(), chat.is_service()
to anon, authenticated, service_role, chat_auditor, chat_relay;

-- rules ------------------------------------------------------------------------------------------------------

create table chat.rules (
  number text primary key
    constraint rules_number_is_topic_dot_number check (number ~ '^[a-z]+\.[0-9]+$'),
  name text not null
    constraint rules_name_is_snake_case check (name ~ '^[a-z][a-z0-9_]{2,62}$'),
  status integer not null
    constraint rules_status_is_a_refusal check (status between 400 and 499),
  sentence text not null
    constraint rules_sentence_is_a_sentence check (sentence ~ '^\S.*[^.]$'),
  constraint rules_have_one_name unique (name)
);
comment on table chat.rules is 'Every rule of the chats, one sentence each. Policies and constraints cite the number; a refusal carries the name.';
comment on column chat.rules.number is 'Topic and number: messages.3.';
comment on column chat.rules.name is 'What a refusal calls itself: the constraint of the database error and the code of the HTTP problem.';
comment on column chat.rules.status is 'The HTTP status of a refusal.';
comment on column chat.rules.sentence is 'The rule, in English, without a full stop.';
comment on constraint rules_number_is_topic_dot_number on chat.rules is 'A number is a topic, a dot and a number.';
comment on constraint rules_name_is_snake_case on chat.rules is 'A name fits an identifier of Postgres.';
comment on constraint rules_status_is_a_refusal on chat.rules is 'Refusals are the caller''s: 4xx.';
comment on constraint rules_sentence_is_a_sentence on chat.rules is 'A sentence is not blank and goes without its full stop.';

create procedure chat_private.cite(_object text, _number text)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
-- the comment of a policy or constraint is its rule, quoted from the one place where it is written
declare
  rule text := (select r.number || ': ' || r.sentence from chat.rules r where r.number = _number);
begin
  if rule is null then
    raise exception 'there is no rule %', _number;
  end if;
  execute format('comment on %s is %L', _object, rule);
end
$$;

create function chat_private.refuse(_name text, _detail text default null) returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $$
-- PTnnn is PostgREST's convention for "answer with HTTP status nnn"; the rule's name travels as the constraint
declare
  rule chat.rules;
begin
  select r.number, r.name, r.status, r.sentence into strict rule from chat.rules r where r.name = _name;
  if _detail is null then
    raise exception '%', rule.sentence
      using errcode = 'PT' || rule.status, constraint = rule.name, hint = 'rule ' || rule.number;
  end if;
  raise exception '%', rule.sentence
    using errcode = 'PT' || rule.status, constraint = rule.name, hint = 'rule ' || rule.number, detail = _detail;
end
$$;

comment on procedure chat_private.cite(text, text) is 'Makes a rule the comment of an object.';
comment on function chat_private.refuse(text, text) is 'Ends the statement with the rule of this name: its status, its sentence.';

insert into chat.rules (number, name, status, sentence) values
  ('rules.1', 'rules_are_read_by_everyone', 403, 'everyone reads the rules; they change with the migrations alone'),
  ('settings.1', 'settings_are_read_by_everyone', 403, 'everyone reads the settings; the DBA sets them'),
  ('staff.1', 'service_writes', 403, 'the service role is the host application: it writes what the tables allow'),
  ('staff.2', 'staff_reads', 403, 'the service role and auditors read everything, auditors alone the audit; auditors write nothing');

alter table chat.rules enable row level security;
create policy select_everyone on chat.rules for select
to anon, authenticated, service_role, chat_auditor, chat_relay, chat_api
using (true);  -- nothing in it is anybody's: it is what the documents say
call chat_private.cite('policy select_everyone on chat.rules', 'rules.1');
grant select on chat.rules to anon, authenticated, service_role, chat_auditor, chat_relay, chat_api;

-- settings ---------------------------------------------------------------------------------------------------

create table chat.settings (
  only_row boolean primary key default true
    constraint settings_are_one_row check (only_row),
  edit_window interval not null default '15 minutes'
    constraint settings_edit_window_is_not_negative check (edit_window >= interval '0'),
  text_max integer not null default 10000
    constraint settings_text_max_is_positive check (text_max between 1 and 65536),
  history text not null default 'all'
    constraint settings_history_is_known check (history in ('all', 'since_join')),
  direct text not null default 'friends'
    constraint settings_direct_is_known check (direct in ('friends', 'anyone')),
  directory text not null default 'known'
    constraint settings_directory_is_known check (directory in ('known', 'everyone')),
  public_rooms text not null default 'admins'
    constraint settings_public_rooms_is_known check (public_rooms in ('admins', 'everyone')),
  anon_reads_public_rooms boolean not null default false,
  lobby uuid,
  keep_messages integer
    constraint settings_keep_messages_is_positive check (keep_messages >= 1),
  keep_deleted interval
    constraint settings_keep_deleted_is_a_while check (keep_deleted between interval '0' and interval '100 years'),
  life integer not null default 1
    constraint settings_life_is_positive check (life > 0)
);
comment on table chat.settings is 'The settings of the rules: one typed row, set by the DBA with UPDATE, in force from the next statement.';
comment on column chat.settings.only_row is 'Always true: there is one row.';
comment on column chat.settings.edit_window is 'How long after sending a message its sender may edit it.';
comment on column chat.settings.text_max is 'The longest text of a message, in characters.';
comment on column chat.settings.history is 'What new participants read: all, or since_join.';
comment on column chat.settings.direct is 'Who may open a direct chat and write in it: friends, or anyone.';
comment on column chat.settings.directory is 'Whom people find: known (friends and who shares a chat), or everyone.';
comment on column chat.settings.public_rooms is 'Who makes public rooms: admins, or everyone.';
comment on column chat.settings.anon_reads_public_rooms is 'Whether people without an account read public rooms.';
comment on column chat.settings.lobby is 'The public room that clients talk in who name none, and which they join as they connect; null: none.';
comment on column chat.settings.keep_messages is 'How many messages public rooms keep, the newest; null: all.';
comment on column chat.settings.keep_deleted is 'How long deleted messages are kept; null: for ever.';
comment on column chat.settings.life is 'Raised by the DBA where history went back and Postgres can''t tell, as after the restore of a disk: clients then list everything anew.';
call chat_private.cite('constraint settings_are_one_row on chat.settings', 'settings.1');
call chat_private.cite('constraint settings_edit_window_is_not_negative on chat.settings', 'settings.1');
call chat_private.cite('constraint settings_text_max_is_positive on chat.settings', 'settings.1');
call chat_private.cite('constraint settings_history_is_known on chat.settings', 'settings.1');
call chat_private.cite('constraint settings_direct_is_known on chat.settings', 'settings.1');
call chat_private.cite('constraint settings_directory_is_known on chat.settings', 'settings.1');
call chat_private.cite('constraint settings_public_rooms_is_known on chat.settings', 'settings.1');
call chat_private.cite('constraint settings_keep_messages_is_positive on chat.settings', 'settings.1');
call chat_private.cite('constraint settings_keep_deleted_is_a_while on chat.settings', 'settings.1');
call chat_private.cite('constraint settings_life_is_positive on chat.settings', 'settings.1');
insert into chat.settings default values;

alter table chat.settings enable row level security;
create policy select_everyone on chat.settings for select
to anon, authenticated, service_role, chat_auditor, chat_relay
using (true);  -- clients show them: how long a text may be, how long one may edit
call chat_private.cite('policy select_everyone on chat.settings', 'settings.1');
grant select on chat.settings to anon, authenticated, service_role, chat_auditor, chat_relay;

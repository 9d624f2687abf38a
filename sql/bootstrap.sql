-- What the migrations stand on: two schemas and the table of what has been migrated, in one transaction with roles.sql.
-- Run by `tabletalk migrate` on a database that has neither schema.

create schema chat authorization chat_owner;
create schema chat_private authorization chat_owner;

set local role chat_owner;

comment on schema chat is 'Tabletalk: what callers see. Every table has row-level security; the rules are in chat.rules.';
comment on schema chat_private is 'Tabletalk: what callers don''t see. Nobody has USAGE on it but the server''s login, for the chat''s lock.';
grant usage on schema chat to anon, authenticated, service_role, chat_auditor, chat_relay, chat_api;
grant usage on schema chat_private to chat_api;

-- for the role as a whole: with `in schema …` it would have no effect on what PUBLIC has by default
alter default privileges for role chat_owner revoke execute on functions from public;

create table chat_private.migrations (
  version integer primary key,
  name varchar(255),
  applied_on varchar(255),
  checksum varchar(255)
);
alter table chat_private.migrations enable row level security;
comment on table chat_private.migrations is 'Which migrations this database has had. Its presence says that the schema chat is ours.';
comment on column chat_private.migrations.version is 'The number of the migration.';
comment on column chat_private.migrations.name is 'Its name.';
comment on column chat_private.migrations.applied_on is 'When it ran.';
comment on column chat_private.migrations.checksum is 'What it said: a changed migration is noticed.';

create function chat_private.migrated() returns table (version integer, checksum text)
language sql
stable
rows 20
security definer
set search_path = pg_catalog, pg_temp
as $$
  select m.version, m.checksum from chat_private.migrations m
$$;
comment on function chat_private.migrated() is 'The migrations this database has had, and what they said: the server compares them with its own.';
grant execute on function chat_private.migrated() to chat_api;

-- The roles Tabletalk needs, made only where they are missing: three of them bear Supabase's names and may be there already.
-- Run by `tabletalk migrate` before the migrations, as the installer: a role with CREATEROLE and CREATE on the database, no superuser.
--
--   anon, authenticated, service_role   what a token's `role` may name; a request runs as one of them
--   chat_owner                          owns every object; nobody logs in as it; RLS does not bind it (enabled, not forced)
--   chat_api                            the server's login; NOINHERIT, so a statement outside a request's envelope has no right at all
--   chat_auditor                        reads everything, writes nothing; grant it to people
--   chat_relay                          what the live part may read

do $roles$
declare
  wanted record;
  granted name;
begin
  for wanted in
    select w.name, w.options, w.purpose
    from (values
      ('anon', 'nologin noinherit', 'who has no account'),
      ('authenticated', 'nologin noinherit', 'who has an account; the claim sub says which'),
      ('service_role', 'nologin noinherit', 'the host application itself'),
      ('chat_owner', 'nologin', 'owns everything of Tabletalk; no login is a member of it but the installer'),
      ('chat_auditor', 'nologin', 'reads everything of Tabletalk, writes nothing'),
      ('chat_relay', 'nologin', 'what the live part of Tabletalk reads'),
      ('chat_api', 'login noinherit', 'the login of the Tabletalk server: owns nothing, may nothing by itself')
    ) w (name, options, purpose)
    where not exists (select from pg_catalog.pg_roles r where r.rolname = w.name)
  loop
    begin
      execute format('create role %I %s', wanted.name, wanted.options);
      execute format('comment on role %I is %L', wanted.name, wanted.purpose);
    exception when duplicate_object or unique_violation then
      null;  -- roles belong to the whole server: another of its databases was migrated in the same moment
    end;
  end loop;

  -- the installer works as chat_owner; from Postgres 16 on, having made a role does not include the right to become it
  if not pg_has_role(current_user, 'chat_owner',
                     case when current_setting('server_version_num')::integer >= 160000 then 'set' else 'member' end) then
    execute format('grant chat_owner to %I', current_user);
  end if;

  foreach granted in array array['anon', 'authenticated', 'service_role', 'chat_relay']::name[] loop
    if not exists (select
                   from pg_catalog.pg_auth_members m
                   where m.roleid = granted::regrole and m.member = 'chat_api'::regrole) then
      begin
        execute format('grant %I to chat_api', granted);
      exception when insufficient_privilege then
        raise exception 'this login may not grant the role % to chat_api', granted
          using errcode = '42501',
                hint = format('as a superuser, or as a role with ADMIN OPTION on it: grant %I to chat_api', granted);
      end;
    end if;
  end loop;
end
$roles$;

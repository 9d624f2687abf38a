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
  statement text;
  refused text[] := '{}';
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
    statement := format('create role %I %s', wanted.name, wanted.options);
    begin
      execute statement;
      execute format('comment on role %I is %L', wanted.name, wanted.purpose);
    exception
      when duplicate_object or unique_violation then
        null;  -- roles belong to the whole server: another of its databases was migrated in the same moment
      when insufficient_privilege then
        refused := refused || statement;
    end;
  end loop;

  for statement in
    -- the installer works as chat_owner; from Postgres 16 on, having made a role does not include the right to become it
    select format('grant chat_owner to %I', current_user)
    where not exists (select
                      from pg_catalog.pg_roles r
                      where r.rolname = 'chat_owner'
                        and pg_has_role(r.oid, case when current_setting('server_version_num')::integer >= 160000
                                                    then 'set' else 'member' end))
    union all
    select format('grant %I to chat_api', g.name)
    from unnest(array['anon', 'authenticated', 'service_role', 'chat_relay']) g (name)
    where not exists (select
                      from pg_catalog.pg_auth_members m
                      where pg_catalog.pg_get_userbyid(m.roleid) = g.name and pg_catalog.pg_get_userbyid(m.member) = 'chat_api')
  loop
    begin
      execute statement;
    exception when insufficient_privilege or undefined_object then
      refused := refused || statement;
    end;
  end loop;

  if refused <> '{}' then
    raise exception 'this login may not make or grant all of the roles that Tabletalk needs'
      using errcode = '42501',
            hint = 'as a superuser, or as a role with ADMIN OPTION on what is granted: ' || array_to_string(refused, '; ') || ';';
  end if;
end
$roles$;

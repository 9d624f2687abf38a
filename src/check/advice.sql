-- What `tabletalk check` says beside safety.sql, in the same form. $1: the login of DATABASE_ADMIN_URL, if there is one.
--
-- That PUBLIC may make temporary tables is no finding: what runs with the owner's rights looks into pg_temp last, which is one.

with ours as (
  select c.oid, c.relname, c.relkind, c.relacl, c.relowner, c.relforcerowsecurity, n.nspname
  from pg_class c
  join pg_namespace n on n.oid = c.relnamespace
  where n.nspname in ('chat', 'chat_private')
), functions as (
  select p.oid, p.prosecdef, p.proconfig, p.proowner, p.proacl
  from pg_proc p
  join pg_namespace n on n.oid = p.pronamespace
  where n.nspname in ('chat', 'chat_private')
), owners as (
  select m.oid, m.rolname, m.rolcanlogin
  from pg_auth_members a
  join pg_roles m on m.oid = a.member
  where a.roleid = 'chat_owner'::regrole
), login as (
  select r.rolname, r.rolcreaterole, r.rolcreatedb, r.rolreplication from pg_roles r where r.rolname = session_user
)
select 'row-level security is not forced',
       'bad',
       (select string_agg(t.oid::regclass::text, ', ' order by t.oid) from ours t where t.relforcerowsecurity),
       'alter table … no force row level security: with it the owner''s functions see nothing'
union all
select 'every table of chat has a policy',
       'bad',
       (select string_agg(t.oid::regclass::text, ', ' order by t.oid)
        from ours t
        where t.nspname = 'chat' and t.relkind in ('r', 'p')
          and not exists (select from pg_policy p where p.polrelid = t.oid)),
       'nobody reaches its rows: compare it with sql/schema.sql'
union all
select 'nobody reads the tables of chat_private',
       'bad',
       (select string_agg(distinct t.oid::regclass || ' by ' || case a.grantee when 0 then 'public' else pg_get_userbyid(a.grantee) end, ', ')
        from ours t, aclexplode(t.relacl) a
        where t.nspname = 'chat_private' and t.relkind in ('r', 'p') and a.grantee <> t.relowner),
       'revoke all on … from …'
union all
select 'nobody but chat_api looks into the schema chat_private',
       'bad',
       (select string_agg(r.name, ', ')
        from unnest(array['anon', 'authenticated', 'service_role', 'chat_auditor', 'chat_relay']) r (name)
        where has_schema_privilege(r.name, 'chat_private', 'usage, create')),
       'revoke all on schema chat_private from …: its views hold what policies ask, without row-level security'
union all
select 'nobody makes things in chat or chat_private',
       'bad',
       (select string_agg(case a.grantee when 0 then 'public' else pg_get_userbyid(a.grantee) end || ' in ' || n.nspname, ', ')
        from pg_namespace n, aclexplode(n.nspacl) a
        where n.nspname in ('chat', 'chat_private') and a.privilege_type = 'CREATE' and a.grantee <> n.nspowner),
       'revoke create on schema … from …'
union all
select 'chat_owner is nobody''s login',
       'bad',
       (select concat_ws(', ', case when r.rolcanlogin then 'it can log in' end,
                               case when r.rolsuper then 'it is a superuser' end,
                               case when r.rolbypassrls then 'it has BYPASSRLS' end,
                               case when r.rolcreaterole then 'it has CREATEROLE' end,
                               (select 'it is a member of ' || string_agg(pg_get_userbyid(a.roleid), ', ')
                                from pg_auth_members a
                                where a.member = r.oid))
        from pg_roles r
        where r.rolname = 'chat_owner'
          and (r.rolcanlogin or r.rolsuper or r.rolbypassrls or r.rolcreaterole
               or exists (select from pg_auth_members a where a.member = r.oid))),
       'alter role chat_owner nologin nosuperuser nobypassrls nocreaterole; revoke … from chat_owner'
union all
select 'chat_owner has no member but the installer',
       'warning',
       (select string_agg(distinct o.rolname::text, ', ')
        from owners o
        where o.rolname is distinct from $1
          and (not o.rolcanlogin
               or $1 is not null
               or (select count(distinct l.oid) from owners l where l.rolcanlogin) > 1)),
       'row-level security does not bind them; who need not migrate: revoke chat_owner from …'
union all
select 'chat_api is what it was made',
       'bad',
       (select nullif(concat_ws(', ',
          case when r.rolinherit then 'it inherits' end,
          case when r.rolcreaterole then 'it has CREATEROLE' end,
          case when r.rolcreatedb then 'it has CREATEDB' end,
          case when r.rolreplication then 'it has REPLICATION' end,
          (select 'it owns ' || count(*) || ' things'
           from pg_shdepend d
           where d.refobjid = r.oid and d.refclassid = 'pg_authid'::regclass and d.deptype = 'o'
           having count(*) > 0)), '')
        from pg_roles r
        where r.rolname = 'chat_api'),
       'alter role chat_api noinherit nocreaterole nocreatedb noreplication; reassign owned by chat_api to …'
union all
select 'chat_api may become anon, authenticated, service_role and chat_relay, and nobody else',
       'bad',
       (select string_agg(coalesce('not ' || w.name, 'also ' || h.name), ', ')
        from unnest(array['anon', 'authenticated', 'service_role', 'chat_relay']::text[]) w (name)
        full join (select distinct pg_get_userbyid(a.roleid)::text
                   from pg_auth_members a
                   where a.member = 'chat_api'::regrole) h (name) using (name)
        where w.name is null or h.name is null),
       'grant or revoke … chat_api'
union all
select 'the login makes no roles',
       'bad',
       (select l.rolname || ' has ' || concat_ws(', ', case when l.rolcreaterole then 'CREATEROLE' end,
                                                       case when l.rolreplication then 'REPLICATION' end)
        from login l
        where l.rolcreaterole or l.rolreplication),
       'before Postgres 16 CREATEROLE may grant itself chat_owner: alter role … nocreaterole noreplication'
union all
select 'what runs with the owner''s rights has a fixed search_path',
       'bad',
       (select string_agg(f.oid::regprocedure::text, ', ' order by f.oid)
        from functions f
        where f.prosecdef and not coalesce('search_path=pg_catalog, pg_temp' = any (f.proconfig), false)),
       'alter function … set search_path = pg_catalog, pg_temp'
union all
select 'public may nothing',
       'bad',
       (select string_agg(g.what, ', ' order by g.what)
        from (select f.oid::regprocedure::text
              from functions f, aclexplode(coalesce(f.proacl, acldefault('f', f.proowner))) a
              where a.grantee = 0
              union
              select t.oid::regclass::text from ours t, aclexplode(t.relacl) a where a.grantee = 0
              union
              select 'schema ' || n.nspname
              from pg_namespace n, aclexplode(n.nspacl) a
              where n.nspname in ('chat', 'chat_private') and a.grantee = 0) g (what)),
       'revoke all on … from public'
union all
select 'transactions are READ COMMITTED by default',
       'warning',
       (select current_setting('default_transaction_isolation') where current_setting('default_transaction_isolation') <> 'read committed'),
       'the server says it anyway; PostgREST and psql do not, and their writes are refused: alter database … set default_transaction_isolation = ''read committed'''
union all
select 'the audit has a table for each month',
       'warning',
       chat_private.audit_gaps(),
       'select chat_private.make_audit_months(), as chat_api or chat_owner: it moves the lines there; a server does so by itself'
union all
select 'what is committed is kept',
       'warning',
       (select string_agg(s.name || ' is off', ', ' order by s.name)
        from pg_settings s
        where s.name in ('fsync', 'full_page_writes', 'synchronous_commit') and s.setting = 'off'),
       'a crash may take back what people have seen: set it to on'

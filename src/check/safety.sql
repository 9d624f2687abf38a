-- What keeps the server from starting. Run by the login that serves, become chat_api, with search_path = pg_catalog.
-- A row each: what has to be true, how bad it is if it is not, for whom or what it is not (null: it is true), what mends it.

with ours as (
  select c.oid, c.relname, c.relkind, c.relowner, c.relrowsecurity, n.nspname
  from pg_class c
  join pg_namespace n on n.oid = c.relnamespace
  where n.nspname in ('chat', 'chat_private')
), bound as (
  -- whom RLS must bind: the login, and what a request or a stray statement runs as. Supabase's service_role has BYPASSRLS, which
  -- only it may have.
  select r.oid, r.rolname, r.rolsuper, r.rolbypassrls and r.rolname <> 'service_role' as bypasses
  from pg_roles r
  where r.rolname in (session_user, 'chat_api', 'anon', 'authenticated', 'service_role')
)
select 'row-level security is on for every table',
       'bad',
       (select string_agg(t.oid::regclass::text, ', ' order by t.oid) from ours t where t.relkind in ('r', 'p') and not t.relrowsecurity),
       'alter table … enable row level security'
union all
select 'everything belongs to chat_owner',
       'bad',
       (select string_agg(o.what || ' belongs to ' || pg_get_userbyid(o.owner), ', ' order by o.what)
        from (select t.oid::regclass::text as what, t.relowner as owner from ours t where t.relkind in ('r', 'p', 'v', 'm', 'S', 'f')
              union all
              select 'schema ' || n.nspname, n.nspowner from pg_namespace n where n.nspname in ('chat', 'chat_private')
              union all
              select p.oid::regprocedure::text, p.proowner
              from pg_proc p
              where p.pronamespace in (select n.oid from pg_namespace n where n.nspname in ('chat', 'chat_private'))) o
        where pg_get_userbyid(o.owner) <> 'chat_owner'),
       'alter … owner to chat_owner'
union all
select 'every trigger fires',
       'bad',
       (select string_agg(d.what, ', ' order by d.what)
        from (select case when t.tgisinternal then 'a foreign key' else t.tgname::text end || ' on ' || o.oid::regclass as what
              from pg_trigger t
              join ours o on o.oid = t.tgrelid
              where t.tgenabled not in ('O', 'A')
              union
              select 'none does with session_replication_role = ' || current_setting('session_replication_role')
              where current_setting('session_replication_role') = 'replica') d),
       'alter table … enable trigger all; leave session_replication_role at origin'
union all
select 'row-level security binds the login and the roles of a request',
       'bad',
       (select string_agg(b.rolname || case when b.rolsuper then ' is a superuser'
                                            when b.bypasses then ' has BYPASSRLS'
                                            else ' is a member of chat_owner' end, ', ' order by b.rolname)
        from bound b
        where b.rolsuper or b.bypasses or pg_has_role(b.oid, 'chat_owner', 'member')),
       'serve as chat_api, or as a login of which nothing of this is true: alter role … nosuperuser nobypassrls; revoke chat_owner from …'
union all
select 'chat_api may nothing by itself',
       'bad',
       (select string_agg(t.oid::regclass::text, ', ' order by t.oid)
        from ours t
        where t.relkind in ('r', 'p', 'v', 'm', 'f')
          and t.oid <> 'chat.rules'::regclass
          and (has_table_privilege('chat_api', t.oid, 'select, insert, update, delete, truncate, references, trigger')
               or has_any_column_privilege('chat_api', t.oid, 'select, insert, update, references'))),
       'revoke all on … from chat_api, public; alter role chat_api noinherit; from Postgres 16 on, also: grant … to chat_api with inherit false'

//! What the catalogue says of the schemas `chat` and `chat_private`, as rows that are ready to be written down.

use tokio_postgres::{Client, Row};

/// Every query's objects: those of the two schemas, in the order in which the migrations made them.
pub struct Catalogue {
    pub schemas: Vec<Row>,
    pub relations: Vec<Row>,
    pub columns: Vec<Row>,
    pub constraints: Vec<Row>,
    pub indexes: Vec<Row>,
    pub policies: Vec<Row>,
    pub triggers: Vec<Row>,
    pub functions: Vec<Row>,
    pub grants: Vec<Row>,
    pub rules: Vec<Row>,
}

/// (schema, comment)
const SCHEMAS: &str = "
select n.nspname::text, obj_description(n.oid, 'pg_namespace')
from pg_namespace n
where n.nspname in ('chat', 'chat_private')
order by n.nspname collate \"C\"";

/// (table, kind, comment, RLS, forced, options, the body's digest where it is a view, schema, what it is partitioned by, unlogged). The
/// partitions themselves come and go with the months.
const RELATIONS: &str = "
select
  c.oid::regclass::text,
  c.relkind::text,
  obj_description(c.oid, 'pg_class'),
  c.relrowsecurity,
  c.relforcerowsecurity,
  array_to_string(c.reloptions, ', '),
  -- without the names of its tables: the majors differ in when they print them
  case when c.relkind = 'v' then left(md5(regexp_replace(pg_get_viewdef(c.oid, true), '\\m[a-z_]+\\.', '', 'g')), 12) end,
  n.nspname::text,
  pg_get_partkeydef(c.oid),
  c.relpersistence = 'u'
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
where n.nspname in ('chat', 'chat_private') and c.relkind in ('r', 'p', 'v', 'm', 'f') and not c.relispartition
order by c.relkind in ('v', 'm'), n.nspname collate \"C\", c.oid";

/// (table, column, type, not null, default or what it is generated from, comment)
const COLUMNS: &str = "
select
  a.attrelid::regclass::text,
  quote_ident(a.attname),
  format_type(a.atttypid, a.atttypmod),
  a.attnotnull,
  case when a.attidentity <> '' then 'generated as identity'
       when a.attgenerated <> '' then 'generated always as (' || pg_get_expr(d.adbin, d.adrelid, true) || ')'
       else 'default ' || pg_get_expr(d.adbin, d.adrelid, true) end,
  col_description(a.attrelid, a.attnum)
from pg_attribute a
join pg_class c on c.oid = a.attrelid
join pg_namespace n on n.oid = c.relnamespace
left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
where n.nspname in ('chat', 'chat_private') and c.relkind in ('r', 'p', 'v', 'm', 'f')
  and a.attnum > 0 and not a.attisdropped
order by a.attrelid, a.attnum";

/// (table, constraint, definition, comment). Not null stands with its column; since Postgres 18 it is a constraint, too.
const CONSTRAINTS: &str = "
select c.conrelid::regclass::text, quote_ident(c.conname), pg_get_constraintdef(c.oid, true), obj_description(c.oid, 'pg_constraint')
from pg_constraint c
join pg_namespace n on n.oid = c.connamespace
join pg_class r on r.oid = c.conrelid and not r.relispartition
where n.nspname in ('chat', 'chat_private') and c.contype in ('p', 'u', 'f', 'c', 'x')
order by c.conrelid, array_position('{p,u,x,c,f}', c.contype), c.conname collate \"C\"";

/// (table, index, definition, comment), those of constraints apart.
const INDEXES: &str = "
select i.indrelid::regclass::text, i.indexrelid::regclass::text, pg_get_indexdef(i.indexrelid, 0, true),
       obj_description(i.indexrelid, 'pg_class')
from pg_index i
join pg_class c on c.oid = i.indexrelid
join pg_namespace n on n.oid = c.relnamespace
where n.nspname in ('chat', 'chat_private')
  and not c.relispartition
  and not exists (select from pg_constraint k where k.conindid = i.indexrelid and k.contype in ('p', 'u', 'x'))
order by i.indrelid, c.relname collate \"C\"";

/// (table, policy, command, roles, permissive, using, with check, comment)
const POLICIES: &str = "
select
  p.polrelid::regclass::text,
  quote_ident(p.polname),
  case p.polcmd when 'r' then 'select' when 'a' then 'insert' when 'w' then 'update' when 'd' then 'delete' else 'all' end,
  array(select case r.role when 0 then 'public' else pg_get_userbyid(r.role)::text end
        from unnest(p.polroles) r (role)
        order by array_position('{anon,authenticated,service_role,chat_auditor,chat_relay,chat_api}',
                                pg_get_userbyid(r.role)::text), 1),
  p.polpermissive,
  pg_get_expr(p.polqual, p.polrelid, true),
  pg_get_expr(p.polwithcheck, p.polrelid, true),
  obj_description(p.oid, 'pg_policy')
from pg_policy p
join pg_class c on c.oid = p.polrelid
join pg_namespace n on n.oid = c.relnamespace
where n.nspname in ('chat', 'chat_private')
order by p.polrelid, array_position('{r,a,w,d,*}', p.polcmd), p.polname collate \"C\"";

/// (table, trigger, definition, comment, enabled)
const TRIGGERS: &str = "
select t.tgrelid::regclass::text, quote_ident(t.tgname), pg_get_triggerdef(t.oid, true), obj_description(t.oid, 'pg_trigger'),
       t.tgenabled in ('O', 'A')
from pg_trigger t
join pg_class c on c.oid = t.tgrelid
join pg_namespace n on n.oid = c.relnamespace
where n.nspname in ('chat', 'chat_private') and not t.tgisinternal
order by t.tgrelid, t.tgname collate \"C\"";

/// (function, kind, arguments, result, attributes, comment, the body's digest, signature, body, schema)
const FUNCTIONS: &str = "
select
  p.oid::regproc::text,
  case p.prokind when 'p' then 'procedure' else 'function' end,
  pg_get_function_arguments(p.oid),
  pg_get_function_result(p.oid),
  array_remove(array[
    'language ' || l.lanname,
    case when p.prokind = 'f' then case p.provolatile when 'i' then 'immutable' when 's' then 'stable' else 'volatile' end end,
    case when p.proisstrict then 'strict' end,
    case p.proparallel when 's' then 'parallel safe' when 'r' then 'parallel restricted' end,
    case when p.proleakproof then 'leakproof' end,
    case when p.prosecdef then 'security definer' end,
    case when p.proconfig is not null
         then 'set ' || regexp_replace(array_to_string(p.proconfig, ' set '), '=', ' = ') end], null),
  obj_description(p.oid, 'pg_proc'),
  left(md5(coalesce(nullif(p.prosrc, ''), pg_get_function_sqlbody(p.oid))), 12),
  p.oid::regprocedure::text,
  p.prosrc,
  n.nspname::text
from pg_proc p
join pg_namespace n on n.oid = p.pronamespace
join pg_language l on l.oid = p.prolang
where n.nspname in ('chat', 'chat_private')
order by n.nspname collate \"C\", p.proname collate \"C\", pg_get_function_identity_arguments(p.oid) collate \"C\"";

/// (kind, object, privileges, grantees): what others than the owner may, those together who may the same.
const GRANTS: &str = "
with held as (
  select 1 as place, 'schema' as kind, n.nspname::text as object, n.oid, a.grantee, a.privilege_type as privilege, a.is_grantable
  from pg_namespace n, aclexplode(n.nspacl) a
  where n.nspname in ('chat', 'chat_private') and a.grantee <> n.nspowner
  union all
  select 2, 'table', c.oid::regclass::text, c.oid, a.grantee, a.privilege_type, a.is_grantable
  from pg_class c
  join pg_namespace n on n.oid = c.relnamespace, aclexplode(c.relacl) a
  where n.nspname in ('chat', 'chat_private') and a.grantee <> c.relowner
  union all
  select 2, 'table', c.oid::regclass::text, c.oid, a.grantee,
         a.privilege_type || ' (' || string_agg(quote_ident(t.attname), ', ' order by t.attnum) || ')', a.is_grantable
  from pg_attribute t
  join pg_class c on c.oid = t.attrelid
  join pg_namespace n on n.oid = c.relnamespace, aclexplode(t.attacl) a
  where n.nspname in ('chat', 'chat_private') and a.grantee <> c.relowner
  group by c.oid, a.grantee, a.privilege_type, a.is_grantable
  union all
  select 3, case p.prokind when 'p' then 'procedure' else 'function' end, p.oid::regprocedure::text, p.oid, a.grantee, a.privilege_type,
         a.is_grantable
  from pg_proc p
  join pg_namespace n on n.oid = p.pronamespace, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
  where n.nspname in ('chat', 'chat_private') and a.grantee <> p.proowner
), together as (
  select h.place, h.kind, h.object, h.oid, h.grantee, h.is_grantable,
         string_agg(lower(h.privilege), ', ' order by array_position('{SELECT,INSERT,UPDATE,DELETE}', split_part(h.privilege, ' ', 1)),
                                                     h.privilege collate \"C\") as privileges
  from held h
  group by h.place, h.kind, h.object, h.oid, h.grantee, h.is_grantable
)
select
  t.kind,
  t.object,
  t.privileges,
  string_agg(case t.grantee when 0 then 'public' else pg_get_userbyid(t.grantee)::text end, ', '
             order by array_position('{anon,authenticated,service_role,chat_auditor,chat_relay,chat_api}',
                                     pg_get_userbyid(t.grantee)::text), pg_get_userbyid(t.grantee) collate \"C\"),
  t.is_grantable
from together t
group by t.place, t.kind, t.object, t.oid, t.privileges, t.is_grantable
order by t.place, t.oid, t.object, t.privileges collate \"C\"";

/// (number, name, status, sentence, topic), topics in the order in which the migrations made them.
const RULES: &str = "
select r.number, r.name, r.status, r.sentence, split_part(r.number, '.', 1)
from chat.rules r
order by min(r.ctid) over (partition by split_part(r.number, '.', 1)), split_part(r.number, '.', 2)::integer";

impl Catalogue {
    pub async fn read(client: &Client) -> anyhow::Result<Self> {
        // with nothing else in the path, every name of ours is printed with its schema; the caller's own comes back
        let path: String = client.query_one("select current_setting('search_path')", &[]).await?.get(0);
        client.batch_execute("set search_path = pg_catalog").await?;
        let catalogue = Self::read_all(client).await;
        client.execute("select set_config('search_path', $1, false)", &[&path]).await?;
        Ok(catalogue?)
    }

    async fn read_all(client: &Client) -> Result<Self, tokio_postgres::Error> {
        Ok(Self {
            schemas: client.query(SCHEMAS, &[]).await?,
            relations: client.query(RELATIONS, &[]).await?,
            columns: client.query(COLUMNS, &[]).await?,
            constraints: client.query(CONSTRAINTS, &[]).await?,
            indexes: client.query(INDEXES, &[]).await?,
            policies: client.query(POLICIES, &[]).await?,
            triggers: client.query(TRIGGERS, &[]).await?,
            functions: client.query(FUNCTIONS, &[]).await?,
            grants: client.query(GRANTS, &[]).await?,
            rules: client.query(RULES, &[]).await?,
        })
    }
}

/// The rows of one object, whose name is their first column.
pub fn of<'a>(rows: &'a [Row], object: &'a str) -> impl Iterator<Item = &'a Row> {
    rows.iter().filter(move |row| row.get::<_, &str>(0) == object)
}

/// The grants on one object.
pub fn grants_on(catalogue: &Catalogue, object: &str) -> Vec<String> {
    let grants = catalogue.grants.iter().filter(|row| row.get::<_, &str>(1) == object);
    grants
        .map(|row| {
            let (kind, privileges, grantees): (&str, &str, &str) = (row.get(0), row.get(2), row.get(3));
            let kind = if kind == "table" { String::new() } else { format!("{kind} ") };
            let option = if row.get(4) { " with grant option" } else { "" };
            format!("grant {privileges} on {kind}{object} to {grantees}{option};")
        })
        .collect()
}

-- Which policies guard this table, for whom, by which rule?
--
-- Their conditions: sql/policies.md, or \d. A role without a line reaches no row of it.
--
--   psql -v table=chat.blocks -f sql/audit/policies_of_table.sql
--
--    command |           roles            |     policy     |                                                   rule
--   ---------+----------------------------+----------------+----------------------------------------------------------------------------------------------------------
--    select  | authenticated              | select_blocker | blocks.1: a block is seen by who made it alone
--    select  | chat_auditor, service_role | select_staff   | staff.2: the service role and auditors read everything, auditors alone the audit; auditors write nothing
--    insert  | authenticated              | insert_blocker | blocks.2: people block and unblock for themselves
--    delete  | authenticated              | delete_blocker | blocks.2: people block and unblock for themselves
--    delete  | service_role               | delete_service | staff.1: the service role is the host application: it writes what the tables allow

select
  case p.polcmd when 'r' then 'select' when 'a' then 'insert' when 'w' then 'update' when 'd' then 'delete' else 'all' end as command,
  array_to_string(array(select r.oid::regrole::text from pg_roles r where r.oid = any (p.polroles) order by 1), ', ') as roles,
  p.polname as policy,
  obj_description(p.oid, 'pg_policy') as rule
from pg_policy p
where p.polrelid = :'table'::regclass
order by array_position('{r,a,w,d,*}', p.polcmd), p.polname;

-- Who holds what: a refusal by a grant or a policy names no rule, since Postgres knows of none. This is which it was, read from the catalogue.

create view chat_private.doors as
select d.door, d.rule
from (values
  ('create_group', 'chats.3'),
  ('create_room', 'chats.3'),
  ('open_direct', 'direct.1'),
  ('join_room', 'participants.2'),
  ('delete_chat', 'chats.6'),
  ('put_event_chat', 'chats.17'),
  ('end_event_chat', 'chats.17'),
  ('delete_message', 'messages.5'),
  ('import_messages', 'imports.1'),
  ('erase_me', 'users.10'),
  ('erase_user', 'users.10'),
  ('export_me', 'users.11'),
  ('introduce_me', 'users.8'),
  ('sync', 'changes.1'),
  ('changes', 'changes.1'),
  ('search', 'search.1'),
  ('upkeep', 'retention.4'),
  ('set_typing', 'messages.2'),
  ('broadcast', 'broadcasts.1'),
  ('expect_edits', 'edits.1'),
  ('expect_free_id', 'messages.13')
) d (door, rule);

create view chat_private.holders as
with policies as (
  select
    c.relname::text as target,
    case p.polcmd when 'r' then 'select' when 'a' then 'insert' when 'w' then 'update' when 'd' then 'delete' end as command,
    r.rolname::text as role,
    p.polname::text as policy,
    u.number as rule
  from pg_policy p
  -- ours alone: one of the house cites no rule, and is named beside ours
  join chat.rules u on u.number = split_part(obj_description(p.oid, 'pg_policy'), ':', 1)
  join pg_class c on c.oid = p.polrelid
  join pg_namespace n on n.oid = c.relnamespace and n.nspname = 'chat'
  join pg_roles r on r.oid = any (p.polroles)
  where p.polpermissive
)
-- who has no policy is held by that there is one for others: its rule says for whom
(select distinct on (k.role, p.command, p.target)
   k.role, p.command, p.target, format('policy %I on chat.%I', p.policy, p.target) as held_by, p.rule
 from (values ('anon'), ('authenticated'), ('service_role')) k (role)
 join policies p on p.role in ('anon', 'authenticated', 'service_role')
 order by k.role, p.command, p.target, p.role = k.role desc, p.role)
union all
-- what nobody has a policy for
select k.role, c.command, t.target, 'no policy on chat.' || t.target, t.rule
from (values ('anon'), ('authenticated'), ('service_role')) k (role),
     (values ('insert'), ('update'), ('delete')) c (command),
     (values ('rules', 'rules.1'), ('settings', 'settings.1')) t (target, rule)
union all
select k.role, 'execute', d.door, format('function chat.%I', d.door), d.rule
from (values ('anon'), ('authenticated'), ('service_role')) k (role), chat_private.doors d;

create function chat_private.held_rules() returns table (held text, name text)
language sql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
  -- what a problem document says where Postgres names no rule
  select concat_ws(' ', h.role, h.command, h.target), r.name
  from chat_private.holders h
  join chat.rules r on r.number = h.rule
$$;
grant execute on function chat_private.held_rules() to chat_api;

create function chat_private.holder(_role text, _command text, _table text, _door text, out held_by text, out rule text)
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
  select h.held_by
         || coalesce((select ', or ' || string_agg(format(case when p.polpermissive then 'policy %I' else 'restrictive policy %I' end, p.polname), ', '
                                                   order by p.polname)
                      from pg_policy p
                      where p.polrelid = to_regclass('chat.' || h.target)
                        and (0 = any (p.polroles) or to_regrole(_role) = any (p.polroles))
                        and p.polcmd in ('*', case h.command when 'select' then 'r' when 'insert' then 'a' when 'update' then 'w' else 'd' end)
                        -- one of the house, which cites no rule
                        and not exists (select
                                        from chat.rules r
                                        where r.number = split_part(obj_description(p.oid, 'pg_policy'), ':', 1))), ''),
         h.rule
  from chat_private.holders h
  where h.role = _role
    and h.command = case when _door is null then _command else 'execute' end
    and h.target = coalesce(_door, _table)
$$;

create function chat_private.missing_grant(
  _role text, _door text, _table text, _reads boolean, _inserts text[], _updates text[], _deletes boolean) returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
-- which right the role lacks of those that the statement needs; null: none, so a policy held it
declare
  on_table text := format('chat.%I', _table);
  lacks text;
begin
  if _door is not null then
    return (select format('%s may not execute chat.%I', _role, _door)
            from pg_proc p
            where p.pronamespace = 'chat'::regnamespace and p.proname = _door and not has_function_privilege(_role, p.oid, 'execute'));
  end if;
  select string_agg(n.what, ', ')
  into lacks
  from (
    select 'select' where _reads and not has_any_column_privilege(_role, on_table, 'select')
    union all
    select format('insert (%s)', string_agg(i.name, ', ' order by i.place))
    from unnest(_inserts) with ordinality i (name, place)
    where not has_column_privilege(_role, on_table, i.name, 'insert')
    having count(*) > 0
    union all
    select format('update (%s)', string_agg(u.name, ', ' order by u.place))
    from unnest(_updates) with ordinality u (name, place)
    where not has_column_privilege(_role, on_table, u.name, 'update')
    having count(*) > 0
    union all
    select 'delete' where _deletes and not has_table_privilege(_role, on_table, 'delete')) n (what);
  return _role || ' may not ' || lacks;
end
$$;

create function chat_private.raiser(_context text, _table text, _command text) returns text
language sql
stable
set search_path = pg_catalog, pg_temp
as $$
  -- The innermost of our functions that an error came through, but for those that only raise; and the trigger that it was called by. The words
  -- of a context differ with the language of the server, the signatures do not.
  with raised as (
    select p.oid, p.oid::regprocedure::text as signature, p.prorettype, strpos(_context, p.oid::regprocedure::text) as place
    from pg_proc p
    where p.pronamespace in ('chat'::regnamespace, 'chat_private'::regnamespace)
      and p.proname not in ('refuse', 'refuse_outsider', 'why')
      and strpos(_context, p.oid::regprocedure::text) > 0
  )
  select concat_ws(', ',
    case when i.prorettype <> 'trigger'::regtype then 'function ' || i.signature end,
    (select format('trigger %I on chat.%I', t.tgname, c.relname)
     from raised r
     join pg_trigger t on t.tgfoid = r.oid
     join pg_class c on c.oid = t.tgrelid
     where c.relnamespace = 'chat'::regnamespace
     order by
       r.place,
       c.relname = _table desc,
       t.tgtype & case _command when 'insert' then 4 when 'update' then 16 else 8 end <> 0 desc,
       t.tgname
     limit 1))
  from (select r.signature, r.prorettype from raised r order by r.place limit 1) i
$$;

comment on view chat_private.doors is 'Which rule says who may call a function of schema chat that not everybody may.';
comment on view chat_private.holders is 'For each role, command and table: the policy that holds it, or who has none the policy of others, and the rule that it cites. For each role and door: its rule.';
comment on function chat_private.held_rules() is 'The rule of each role, command and table, or door, for the server to learn.';
comment on function chat_private.holder(text, text, text, text) is 'The policy or door that holds a command of a role, and its rule.';
comment on function chat_private.missing_grant(text, text, text, boolean, text[], text[], boolean) is 'Which grant a role lacks for a statement; null: none.';
comment on function chat_private.raiser(text, text, text) is 'Which function and trigger an error came from.';

-- Who could read this chat on that day?
--
-- Its participants, and everyone while it was public (anon too, if the setting anon_reads_public_rooms was on: its history is in the lines
-- of the table settings). Not listed are those who read everything: chat_owner, service_role, chat_auditor, superusers. As far back as there
-- are months; before them, who was in it by what the participations say today.
--
--   psql -v chat=c4a70000-0000-4000-8000-000000000000 -v day=today -f sql/audit/readers.sql
--
--                    who                  | called_today |             since             |            until
--   --------------------------------------+--------------+-------------------------------+------------------------------
--    a11ce000-0000-4000-8000-000000000000 | Alice        | 2026-11-18 15:18:35.342062+00 |
--    b0b00000-0000-4000-8000-000000000000 | Bob          | 2026-11-21 15:18:35.368831+00 | 2026-11-21 15:18:35.41614+00

with lines as (
  select l.at, l.operation, l.table_name, l.user_id, l.changed
  from chat.audit_log l
  where l.chat_id = :'chat' and l.message_id is null and l.table_name in ('participants', 'chats')
), moments as (
  select l.user_id, l.at, l.operation <> 'delete' and l.changed -> 'left_at' ->> 1 is null as reads
  from lines l
  where l.table_name = 'participants' and (l.operation <> 'update' or l.changed ? 'left_at')
  union all
  select p.user_id, p.joined_at, true from chat.participants p where p.chat_id = :'chat'
  union all
  select p.user_id, p.left_at, false from chat.participants p where p.chat_id = :'chat' and p.left_at is not null
  union all
  -- the chat itself was deleted for good: nobody's participation has a line of its own then
  select p.user_id, l.at, false
  from lines l
  cross join (select distinct o.user_id from lines o where o.table_name = 'participants') p
  where l.table_name = 'chats' and l.operation = 'delete'
  union all
  select null, l.at, l.operation <> 'delete' and not l.changed ? 'deleted_at' and l.changed -> 'visibility' ->> 1 = 'public'
  from lines l
  where l.table_name = 'chats' and (l.changed ? 'visibility' or l.changed ? 'deleted_at')
  union all
  select null, c.created_at, true
  from chat.chats c
  where c.id = :'chat' and c.visibility = 'public' and not exists (select from lines l where l.changed ? 'visibility')
), turns as (
  select
    m.user_id,
    m.at,
    m.reads,
    lag(m.reads) over (partition by m.user_id order by m.at, m.reads) as read_before
  from moments m
), spans as (
  select t.user_id, t.reads, t.at as since, lead(t.at) over (partition by t.user_id order by t.at, t.reads) as until
  from turns t
  where t.reads is distinct from t.read_before
)
select
  coalesce(s.user_id::text, 'everyone') as who,
  u.display_name as called_today,
  s.since,
  s.until
from spans s
left join chat.users u on u.id = s.user_id
where s.reads
  and s.since < date_trunc('day', :'day'::timestamptz) + interval '1 day'
  and (s.until is null or s.until >= date_trunc('day', :'day'::timestamptz))
order by s.since;

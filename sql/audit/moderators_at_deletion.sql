-- Who was owner or moderator of the chat when this message was deleted, and who deleted it?
--
-- As far back as there are months: who got a role before them is not found.
--
--   psql -v chat=c4a70000-0000-4000-8000-000000000000 -v message=e5500000-0000-4000-8000-000000000002 -f sql/audit/moderators_at_deletion.sql
--
--             deleted_at           |              deleted_by              |     way      |   role    |               user_id                | called_today
--   -------------------------------+--------------------------------------+--------------+-----------+--------------------------------------+--------------
--    2026-11-21 15:18:35.412046+00 | b0b00000-0000-4000-8000-000000000000 | api chat_api | owner     | a11ce000-0000-4000-8000-000000000000 | Alice
--    2026-11-21 15:18:35.412046+00 | b0b00000-0000-4000-8000-000000000000 | api chat_api | moderator | b0b00000-0000-4000-8000-000000000000 | Bob

select
  d.at as deleted_at,
  d.sub as deleted_by,
  d.way || ' ' || d.login as way,
  s.role,
  s.user_id,
  u.display_name as called_today
from (select l.at, l.sub, l.way, l.login
      from chat.audit_log l
      where l.chat_id = :'chat'
        and l.message_id = :'message'
        and l.table_name = 'messages'
        and (l.operation = 'delete' or l.changed ? 'deleted_at')
      order by l.at
      limit 1) d
left join lateral (
  select
    l.user_id,
    (array_agg(l.changed -> 'role' ->> 1 order by l.at desc) filter (where l.changed ? 'role'))[1] as role,
    (array_agg(l.operation <> 'delete' and l.changed -> 'left_at' ->> 1 is null order by l.at desc)
     filter (where l.operation <> 'update' or l.changed ? 'left_at'))[1] as is_in
  from chat.audit_log l
  where l.chat_id = :'chat' and l.message_id is null and l.table_name = 'participants' and l.at <= d.at
  group by l.user_id) s on s.is_in and s.role <> 'member'
left join chat.users u on u.id = s.user_id
order by s.role desc, s.user_id;

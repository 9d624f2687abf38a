-- When was this session first seen, whose is it, what did it do first, and how often did it write since?
--
-- By the claim session_id. A session that only read left nothing. No index helps: each message would pay for it, so all of them are read.
--
--   psql -v session=phone -f sql/audit/session.sql
--
--             first_seen           |                 sub                  |         did         |     way      |              request_id              |           last_seen           | writes
--   -------------------------------+--------------------------------------+---------------------+--------------+--------------------------------------+-------------------------------+--------
--    2026-11-21 15:18:35.369814+00 | a11ce000-0000-4000-8000-000000000000 | insert participants | api chat_api | 0192d3a4-0000-7000-8000-000000000004 | 2026-11-21 15:18:35.416602+00 |      4

select
  s.at as first_seen,
  s.sub,
  s.did,
  s.way,
  s.request_id,
  s.last_seen,
  s.writes
from (
  select
    w.at, w.sub, w.did, w.way, w.request_id,
    max(w.at) over () as last_seen,
    count(*) over () as writes
  from (
    select l.at, l.sub, l.operation || ' ' || l.table_name as did, l.way || ' ' || l.login as way, l.request_id
    from chat.audit_log l
    where l.session_id = :'session'
    union all
    select
      m.created_at,
      case when m.via is null then m.sender_id else (m.via ->> 'sub')::uuid end,
      'insert messages',
      case when m.request_id is null then 'sql ' else 'api ' end || coalesce(m.via ->> 'login', 'chat_api'),
      m.request_id
    from chat.messages m
    where m.session_id = :'session') w) s
order by s.at
limit 1;

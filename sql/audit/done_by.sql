-- What did this person do between two times?
--
-- By the claim sub: the login says whether to believe it. What they only read is not here, nor what the host sent in their name.
--
--   psql -v sub=a11ce000-0000-4000-8000-000000000000 -v from=yesterday -v to=tomorrow -f sql/audit/done_by.sql
--
--                 at               |         did         |               chat_id                |                row_id                |                          changed                          |      way      | session_id
--   -------------------------------+---------------------+--------------------------------------+--------------------------------------+-----------------------------------------------------------+---------------+------------
--    2026-11-21 15:18:35.369814+00 | insert participants | c4a70000-0000-4000-8000-000000000000 | b0b00000-0000-4000-8000-000000000000 | {"role": [null, "moderator"]}                             | api chat_api  | phone
--    2026-11-21 15:18:35.379875+00 | insert messages     | c4a70000-0000-4000-8000-000000000000 | e5500000-0000-4000-8000-000000000001 | {"seq": [null, 6]}                                        | api chat_api  | phone
--    2026-11-21 15:18:35.385769+00 | update messages     | c4a70000-0000-4000-8000-000000000000 | e5500000-0000-4000-8000-000000000001 | {"text": ["shall we met?", "shall we meet?"]}             | api chat_api  | phone
--    2026-11-21 15:18:35.414924+00 | update participants | c4a70000-0000-4000-8000-000000000000 | b0b00000-0000-4000-8000-000000000000 | {"role": ["moderator", "member"]}                         | api chat_api  | phone
--    2026-11-21 15:18:35.416602+00 | update participants | c4a70000-0000-4000-8000-000000000000 | b0b00000-0000-4000-8000-000000000000 | {"left_at": [null, "2026-11-21T15:18:35.41614+00:00"]}    | api chat_api  | phone
--    2026-11-21 15:18:35.419241+00 | update messages     | c4a70000-0000-4000-8000-000000000000 | e5500000-0000-4000-8000-000000000001 | {"text": ["shall we meet?", "shall we never meet?"]}      | sql installer |
--    2026-11-21 15:18:35.420677+00 | delete messages     | c4a70000-0000-4000-8000-000000000000 | e5500000-0000-4000-8000-000000000001 | {"pinned_at": ["2026-11-21T15:18:35.406334+00:00", null]} | sql installer |

select
  d.at,
  d.did,
  d.chat_id,
  d.row_id,
  d.changed,
  d.way,
  d.session_id
from (
  select
    l.at,
    l.operation || ' ' || l.table_name as did,
    l.chat_id,
    coalesce(l.message_id, l.other_id, l.user_id) as row_id,
    l.changed - '{rev,xid,seq,kind,joined_at,joined_rev,sees_after,uid,created_at,edited_at,request_id,session_id,via}'::text[] as changed,
    l.way || ' ' || l.login as way,
    l.session_id
  from chat.audit_log l
  where l.sub = :'sub' and l.at >= :'from' and l.at < :'to'
  union all
  select
    m.created_at,
    'insert messages',
    m.chat_id,
    m.id,
    jsonb_build_object('seq', jsonb_build_array(null, m.seq)),
    case when m.request_id is null then 'sql ' else 'api ' end || coalesce(m.via ->> 'login', 'chat_api'),
    m.session_id
  from chat.participants p
  join chat.messages m on m.chat_id = p.chat_id and m.sender_id = p.user_id
  where p.user_id = :'sub'
    and m.created_at >= :'from'
    and m.created_at < :'to'
    and m.imported_at is null
    and (m.via is null or m.via ->> 'sub' = :'sub')
  union all
  -- sent then, and deleted for good since: by the line of its end
  select
    (l.changed -> 'created_at' ->> 0)::timestamptz,
    'insert messages',
    l.chat_id,
    l.message_id,
    jsonb_build_object('seq', jsonb_build_array(null, l.changed -> 'seq' -> 0)),
    case when l.changed ? 'request_id' then 'api ' else 'sql ' end || coalesce(l.changed -> 'via' -> 0 ->> 'login', 'chat_api'),
    l.changed -> 'session_id' ->> 0
  from chat.participants p
  join chat.audit_log l on l.chat_id = p.chat_id and l.user_id = p.user_id
  where p.user_id = :'sub'
    and l.table_name = 'messages'
    and l.operation = 'delete'
    and (l.changed -> 'created_at' ->> 0)::timestamptz >= :'from'
    and (l.changed -> 'created_at' ->> 0)::timestamptz < :'to'
    and not l.changed ? 'imported_at'
    and (not l.changed ? 'via' or l.changed -> 'via' -> 0 ->> 'sub' = :'sub')) d
order by d.at;

-- What became of this message, from its sending on?
--
-- A message that is gone for good is told from the line of its end; of one that outlived what the settings keep, there is the time of its end. Texts are here for as long as they are not erased, nor struck with
-- the message's time.
--
--   psql -v chat=c4a70000-0000-4000-8000-000000000000 -v message=e5500000-0000-4000-8000-000000000001 -f sql/audit/message_history.sql
--
--                 at               |       did        |                 sub                  |     role      |                          changed                          |      way      |              request_id
--   -------------------------------+------------------+--------------------------------------+---------------+-----------------------------------------------------------+---------------+--------------------------------------
--    2026-11-21 15:18:35.379875+00 | insert           | a11ce000-0000-4000-8000-000000000000 | authenticated |                                                           | api chat_api  | 0192d3a4-0000-7000-8000-000000000005
--    2026-11-21 15:18:35.385769+00 | update           | a11ce000-0000-4000-8000-000000000000 | authenticated | {"text": ["shall we met?", "shall we meet?"]}             | api chat_api  | 0192d3a4-0000-7000-8000-000000000006
--    2026-11-21 15:18:35.39775+00  | insert reactions | b0b00000-0000-4000-8000-000000000000 | authenticated | {"emoji": [null, "+1"]}                                   | api chat_api  | 0192d3a4-0000-7000-8000-000000000007
--    2026-11-21 15:18:35.406838+00 | update           | b0b00000-0000-4000-8000-000000000000 | authenticated | {"pinned_at": [null, "2026-11-21T15:18:35.406334+00:00"]} | api chat_api  | 0192d3a4-0000-7000-8000-000000000008
--    2026-11-21 15:18:35.419241+00 | update           | a11ce000-0000-4000-8000-000000000000 | chat_owner    | {"text": ["shall we meet?", "shall we never meet?"]}      | sql installer | 0192d3a4-0000-7000-8000-000000000010
--    2026-11-21 15:18:35.420677+00 | delete           | a11ce000-0000-4000-8000-000000000000 | chat_owner    | {"pinned_at": ["2026-11-21T15:18:35.406334+00:00", null]} | sql installer | 0192d3a4-0000-7000-8000-000000000010

select
  h.at,
  h.did,
  h.sub,
  h.role,
  h.changed,
  h.way,
  h.request_id
from (
  select
    m.created_at as at,
    case when m.imported_at is null then 'insert' else 'insert, imported ' || m.imported_at end as did,
    m.sender_id as sub,
    coalesce(m.via ->> 'role', 'authenticated') as role,
    null::jsonb as changed,
    case when m.request_id is null then 'sql ' else 'api ' end || coalesce(m.via ->> 'login', 'chat_api') as way,
    m.request_id
  from chat.messages m
  where m.chat_id = :'chat' and m.id = :'message'
  union all
  select m.erased_at, 'erase, with its sender', null, null, null, null, null
  from chat.messages m
  where m.chat_id = :'chat' and m.id = :'message' and m.erased_at is not null
  union all
  -- deleted for good, with what was known of its sending
  select
    (l.changed -> 'created_at' ->> 0)::timestamptz,
    'insert',
    l.user_id,
    coalesce(l.changed -> 'via' -> 0 ->> 'role', 'authenticated'),
    null,
    case when l.changed ? 'request_id' then 'api ' else 'sql ' end || coalesce(l.changed -> 'via' -> 0 ->> 'login', 'chat_api'),
    (l.changed -> 'request_id' ->> 0)::uuid
  from chat.audit_log l
  where l.chat_id = :'chat' and l.message_id = :'message' and l.table_name = 'messages' and l.operation = 'delete'
  union all
  select t.at, 'removed, with its time', null, null, null, null, null
  from chat.tombstones t
  where t.chat_id = :'chat' and t.row_id = :'message' and t.kind = 'message'
    and not exists (select
                    from chat.audit_log l
                    where l.chat_id = :'chat' and l.message_id = :'message' and l.table_name = 'messages' and l.operation = 'delete')
  union all
  select
    l.at,
    l.operation || case when l.table_name <> 'messages' then ' ' || l.table_name else '' end,
    l.sub,
    l.role,
    l.changed - '{rev,xid,seq,kind,edited_at,created_at,request_id,session_id,via}'::text[],
    l.way || ' ' || l.login,
    l.request_id
  from chat.audit_log l
  where l.chat_id = :'chat' and l.message_id = :'message') h
order by h.at;

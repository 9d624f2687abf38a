-- The audit: what each kind of write leaves, who reads it, that nobody writes it, months, and words that are struck.
begin isolation level read committed;
select plan(120);
set local client_min_messages = warning;

\ir people.psql
create table pg_temp.seen (upto timestamptz);
insert into pg_temp.seen values (clock_timestamp());
create function pg_temp.left_behind() returns text language plpgsql security definer as $$
-- the lines since this was last asked: operation, table, and what changed but for the bookkeeping
declare
  lines text;
begin
  select string_agg(concat_ws(' ', l.operation, l.table_name,
                              (select string_agg(k.name, '+' order by k.name collate "C")
                               from jsonb_object_keys(l.changed - '{rev,xid,created_at,joined_at,joined_rev,sees_after,uid}'::text[]) k (name))),
                    ', ' order by l.at)
  into lines
  from chat.audit_log l, pg_temp.seen s
  where l.at > s.upto;
  update pg_temp.seen set upto = clock_timestamp();
  return coalesce(lines, 'nothing');
end
$$;
create function pg_temp.leaves(_sql text, _lines text, _says text) returns text language plpgsql as $$
begin
  perform pg_temp.left_behind();
  execute _sql;
  return is(pg_temp.left_behind(), _lines, 'audit.2: ' || _says);
end
$$;
create function pg_temp.last_line(_what text) returns text language plpgsql security definer as $$
declare
  said text;
begin
  execute format('select (%s)::text from (select l.* from chat.audit_log l order by l.at desc limit 1) l', _what) into said;
  return said;
end
$$;

-- people and their ties ----------------------------------------------------------------------------------------

select pg_temp.become('bob');
select pg_temp.leaves('select chat.introduce_me()', 'insert users display_name+kind+last_active_at', 'a first sight is an insert like any');
select pg_temp.become('alice');
select pg_temp.leaves('select chat.introduce_me()', 'insert users display_name+kind+last_active_at', 'of alice as well');
select is(pg_temp.last_line($$l.changed -> 'display_name'$$), '[null, "Alice"]', 'audit.2: of an insert, nothing was before');
select pg_temp.become('chat_owner');
update chat.users set last_active_at = now() - interval '1 day' where id = pg_temp.id('alice');
select pg_temp.become('alice');
select pg_temp.leaves('select chat.introduce_me()', 'nothing', 'that someone is active is no change');
select pg_temp.leaves($$update chat.users set display_name = 'Alicia' where id = pg_temp.id('alice')$$, 'update users display_name', 'a profile that changes');
select is(pg_temp.last_line('l.changed'), '{"display_name": ["Alice", "Alicia"]}', 'audit.2: what it was and what it is, and nothing else');
select pg_temp.leaves($$update chat.users set display_name = 'Alicia' where id = pg_temp.id('alice')$$, 'nothing', 'what changes nothing leaves nothing');
select pg_temp.leaves($$insert into chat.friendships (addressee_id) values (pg_temp.id('bob'))$$, 'insert friendships', 'a request for friendship');
select is(pg_temp.last_line($$l.user_id = pg_temp.id('alice') and l.other_id = pg_temp.id('bob')$$), 'true', 'audit.2: … who asked whom');
select pg_temp.become('bob');
select pg_temp.leaves('update chat.friendships set accepted_at = now()', 'update friendships accepted_at', 'its acceptance');
select pg_temp.leaves($$insert into chat.blocks (blocked_id) values (pg_temp.id('alice'))$$, 'delete friendships accepted_at, insert blocks', 'a block, and the end of the friendship');
select pg_temp.leaves('delete from chat.blocks', 'delete blocks', 'its end');
select pg_temp.become('alice');
savepoint undone;
insert into chat.friendships (addressee_id) values (pg_temp.id('bob'));
rollback to undone;
select is(pg_temp.left_behind(), 'nothing', 'audit.2: what is undone leaves nothing');

-- chats --------------------------------------------------------------------------------------------------------

select pg_temp.leaves($$select chat.create_group('walk', array[pg_temp.id('bob')], pg_temp.id('walk'))$$,
  'insert chats created_by+name+read_only+type+visibility, insert participants role, insert participants role', 'a group, and those in it');
select is(pg_temp.last_line($$l.chat_id = pg_temp.id('walk') and l.user_id = pg_temp.id('bob') and l.sub = pg_temp.id('alice')$$), 'true', 'audit.2: … who was added, and by whom');
select pg_temp.leaves($$update chat.chats set name = 'stroll'$$, 'update chats name', 'a new name');
select pg_temp.leaves($$update chat.participants set role = 'moderator' where user_id = pg_temp.id('bob')$$, 'update participants role', 'a role');
select is(pg_temp.last_line($$l.changed -> 'role'$$), '["member", "moderator"]', 'audit.2: … the one before, too');
select pg_temp.leaves($$select chat.create_room('den', 'private', null, pg_temp.id('den'))$$, 'insert chats created_by+name+read_only+type+visibility, insert participants role', 'a room');
select pg_temp.leaves($$select chat.delete_chat(pg_temp.id('den'))$$, 'update chats deleted_at, update participants left_at+role', 'its end, by which everyone leaves');
select pg_temp.become('service_role');
select pg_temp.leaves($$select chat.put_event_chat('expo', 'approved_group', 'Expo', array[pg_temp.id('erin')])$$,
  'insert chats event_id+name+read_only+type+visibility, insert users display_name+kind, insert participants role', 'an event''s chat, and who is named first by it');
select is(pg_temp.last_line('l.role || coalesce(l.sub::text, '', nobody'')'), 'service_role, nobody', 'audit.2: … by the host, who is nobody');

-- messages -----------------------------------------------------------------------------------------------------

select set_config('chat.request_id', '0192d3a4-0000-7000-8000-000000000001', true);
select pg_temp.become('alice');
select set_config('request.jwt.claims', json_build_object('sub', pg_temp.id('alice'), 'session_id', 's' || repeat('é', 70))::text, true);
select pg_temp.leaves($$insert into chat.messages (chat_id, id, text) values (pg_temp.id('walk'), pg_temp.id('a1'), 'one')$$, 'nothing', 'a message is its own record');
select pg_temp.become('bob');
select set_config('chat.request_id', '', true);
insert into chat.messages (chat_id, id, text) values (pg_temp.id('walk'), pg_temp.id('b1'), 'two');
select pg_temp.become('service_role');
insert into chat.messages (chat_id, id, text, sender_id, kind) values (pg_temp.id('walk'), pg_temp.id('h1'), 'as the host', pg_temp.id('bob'), 'assistant');
select pg_temp.sees($$select request_id || ' ' || session_id = '0192d3a4-0000-7000-8000-000000000001 s' || repeat('é', 63) from chat.messages where id = pg_temp.id('a1')$$,
  'true', 'audit.2', 'a message says by which request it came, and from which session: its first 64 characters');
select pg_temp.sees($$select request_id is null and session_id is null and via ->> 'login' = session_user and via ->> 'role' = 'authenticated' and (via ->> 'sub')::uuid = sender_id from chat.messages where id = pg_temp.id('b1')$$,
  'true', 'audit.2', 'one of plain SQL has neither, and says which login sent it');
select pg_temp.sees($$select via ->> 'role' || coalesce(via ->> 'sub', ', nobody') from chat.messages where id = pg_temp.id('h1')$$,
  'service_role, nobody', 'audit.2', 'one that the host sends in somebody''s name says so');
select set_config('request.jwt.claims', '{"session_id": {"a": 1}}', true);
insert into chat.messages (chat_id, id, text, sender_id) values (pg_temp.id('walk'), pg_temp.id('h2'), 'odd', pg_temp.id('bob'));
select set_config('chat.request_id', 'no uuid', true);
select is(pg_temp.outcome($$insert into chat.messages (chat_id, text, sender_id) values (pg_temp.id('walk'), 'x', pg_temp.id('bob'))$$, false), '22P02', 'audit.2: a request id is a UUID');
select set_config('chat.request_id', '', true);
select pg_temp.become('alice');
select pg_temp.leaves($$update chat.messages set text = 'one, edited' where id = pg_temp.id('a1')$$, 'update messages edited_at+text', 'an edit');
select is(pg_temp.last_line($$l.changed -> 'text'$$), '["one", "one, edited"]', 'audit.2: … both texts');
select is(pg_temp.last_line($$l.has_words and l.user_id = pg_temp.id('alice') and l.message_id = pg_temp.id('a1')$$), 'true', 'audit.4: … and that they are words of alice');
select pg_temp.leaves($$update chat.messages set pinned_at = now() where id = pg_temp.id('b1')$$, 'update messages pinned_at', 'a pin');
select is(pg_temp.last_line('l.has_words'), 'false', 'audit.4: … holds no words');
select pg_temp.leaves($$insert into chat.reactions (chat_id, message_id, emoji) values (pg_temp.id('walk'), pg_temp.id('b1'), '👍')$$, 'insert reactions emoji', 'a reaction, once: its message counts it');
select pg_temp.leaves('delete from chat.reactions', 'delete reactions emoji', 'taken back');
select pg_temp.leaves($$select chat.delete_message(pg_temp.id('walk'), pg_temp.id('b1'))$$, 'update messages deleted_at', 'a deletion');
select pg_temp.leaves($$insert into chat.read_markers (chat_id, seq) values (pg_temp.id('walk'), 3)$$, 'nothing', 'what is read is not written down');
select pg_temp.become('service_role');
select pg_temp.leaves($$select chat.import_messages(pg_temp.id('walk'), '[{"text": "long ago", "createdAt": "2020-01-01T00:00:00Z"}, {"text": "longer", "createdAt": "2019-01-01T00:00:00Z"}]')$$,
  'import messages firstSeq+lastSeq+messages', 'an import, one line for all of it');
select is(pg_temp.last_line($$l.changed ->> 'messages' || ' ' || (select count(*) from chat.messages m where m.chat_id = l.chat_id and m.imported_at is not null and m.xid = l.xid and m.seq between (l.changed ->> 'firstSeq')::bigint and (l.changed ->> 'lastSeq')::bigint)$$),
  '2 2', 'audit.2: … which says which they are');
select pg_temp.become('chat_owner');
select pg_temp.leaves($$update chat.settings set text_max = 9000$$, 'update settings text_max', 'a setting');
select pg_temp.leaves($$update chat.messages set text = '[erased]', erased_at = now() where id = pg_temp.id('h2')$$, 'erase messages erased_at', 'an erasure by hand, without what was erased');
select pg_temp.left_behind();
delete from chat.messages where id = pg_temp.id('b1');
select is(pg_temp.last_line($$concat_ws(' ', l.operation, l.table_name, l.user_id = pg_temp.id('bob'), l.changed ? 'created_at', l.changed ? 'via', l.changed ? 'text', l.has_words)$$),
  'delete messages t t t f f', 'audit.2: what is deleted for good leaves whose it was, when and whence it came, and no words');
select pg_temp.leaves($$truncate chat.blocks$$, 'truncate blocks', 'even what is truncated');
insert into chat.reactions (chat_id, message_id, user_id, emoji) values (pg_temp.id('walk'), pg_temp.id('a1'), pg_temp.id('bob'), '👍');
select pg_temp.leaves($$delete from chat.chats where id = pg_temp.id('walk')$$, 'delete chats created_by+name+read_only+type+visibility', 'a chat deleted for good, one line for all that was in it');

-- who it was, and by which way -----------------------------------------------------------------------------------

select pg_temp.become('alice');
select set_config('request.jwt.claims', json_build_object('sub', pg_temp.id('alice'), 'session_id', 'phone')::text, true);
select set_config('chat.request_id', '0192d3a4-0000-7000-8000-000000000002', true);
select set_config('application_name', 'the tests', true);
update chat.users set display_name = 'Alice' where id = pg_temp.id('alice');
select is(pg_temp.last_line($$concat_ws(' ', l.way, l.sub = pg_temp.id('alice'), l.role, l.session_id, l.request_id, l.login = session_user, l.application)$$),
  'sql t authenticated phone 0192d3a4-0000-7000-8000-000000000002 t the tests', 'audit.2: a line says who asked, by which request, from which session, which login it was, and that this one is no server''s');
select is(pg_temp.last_line('l.xid = pg_current_xact_id()'), 'true', 'audit.2: … and in which transaction');
select set_config('chat.request_id', '', true);
update chat.users set display_name = 'Alicia' where id = pg_temp.id('alice');
select is(pg_temp.last_line($$concat_ws(' ', l.way, l.request_id is null, l.role, l.login = session_user)$$), 'sql t authenticated t', 'audit.2: without a request it is plain SQL, whatever the claims say');
select pg_temp.become('chat_owner');
select set_config('request.jwt.claims', '', true);
update chat.users set display_name = 'Alice' where id = pg_temp.id('alice');
select is(pg_temp.last_line($$concat_ws(' ', l.way, coalesce(l.sub::text, 'nobody'), l.role)$$), 'sql nobody chat_owner', 'audit.2: the owner too');
select set_config('request.jwt.claims', json_build_object('sub', pg_temp.id('dora'), 'name', 'Dora', 'original_sub', 'auth0|dora')::text, true), set_config('role', 'authenticated', true);
select chat.introduce_me();
select is(pg_temp.last_line($$l.changed -> 'original_sub'$$), '[null, "auth0|dora"]', 'audit.2: where a sub is derived, a first sight says from what');

-- who reads it, and that nobody writes it ------------------------------------------------------------------------

select pg_temp.become('chat_auditor');
select pg_temp.sees('select count(*) > 20 and count(*) filter (where user_id is not null and has_words) > 0 from chat.audit_log', 'true', 'audit.1', 'auditors read it');
select pg_temp.refused(s.sql, '42501', s.rule, r.role || ' may not: ' || s.sql)
from unnest(array['anon', 'alice', 'service_role', 'chat_relay', 'chat_api']) r (role)
cross join lateral (select pg_temp.become(r.role) offset 0) b
cross join (values ('audit.1', 'select at from chat.audit_log'), ('audit.2', 'insert into chat.audit_log default values'),
                   ('audit.2', 'update chat.audit_log set sub = null'), ('audit.2', 'delete from chat.audit_log'),
                   ('audit.2', 'truncate chat.audit_log')) s (rule, sql);
select pg_temp.become('chat_auditor');
select pg_temp.refused(s.sql, '42501', 'audit.2', 'nor do auditors: ' || s.sql)
from (values ('insert into chat.audit_log default values'), ('update chat.audit_log set sub = null'), ('delete from chat.audit_log'),
             ('truncate chat.audit_log'), ('select at from chat_private.audit_log_rest')) s (sql);
select pg_temp.become('service_role');
select pg_temp.refused($$select chat_private.strike_from_audit(pg_temp.id('walk'), '{}')$$, '42501', 'audit.4', 'the host strikes nothing');
select pg_temp.become('alice');
select pg_temp.refused('select m.request_id from chat.messages m', '42501', 'messages.1', 'who reads a message does not read from which request it came');
select pg_temp.refused('select m.session_id from chat.messages m', '42501', 'messages.1', 'nor from which session');
select pg_temp.refused('select m from chat.messages m', '42501', 'messages.1', 'nor the row as a whole');
select pg_temp.refused($$insert into chat.messages (chat_id, text, session_id) values (pg_temp.id('walk'), 'x', 'mine')$$, '42501', 'audit.2', 'and says neither');
select pg_temp.become('anon');
select pg_temp.refused('select m.via from chat.messages m', '42501', 'messages.1', 'nor does anon read it');
select pg_temp.become('service_role');
select pg_temp.refused($$insert into chat.messages (chat_id, text, via) values (pg_temp.id('walk'), 'x', null)$$, '42501', 'audit.2', 'not even the host says where a message came from');
select pg_temp.does('select m.request_id, m.session_id, m.via from chat.messages m limit 0', 0, 'staff.2', 'it reads it');

-- months ---------------------------------------------------------------------------------------------------------

select pg_temp.become('chat_api');
select pg_temp.sees('select chat_private.make_audit_months()', '0', 'audit.2', 'this month and the next two are there');
select pg_temp.sees($$select coalesce(chat_private.audit_gaps(), 'none')$$, 'none', 'audit.2', '… without a gap');
select pg_temp.become('chat_owner');
insert into chat.audit_log (at, operation, table_name, changed, way, role, login, has_words)
values ('2001-02-28 23:59:59.999999Z', 'update', 'settings', '{"n": 1}', 'sql', 'x', 'x', false),
       ('2001-03-01 00:00:00Z', 'update', 'settings', '{"n": 2}', 'sql', 'x', 'x', false),
       ('2001-03-31 23:59:59.999999Z', 'update', 'settings', '{"n": 3}', 'sql', 'x', 'x', false);
select pg_temp.sees('select count(*) from chat_private.audit_log_rest', '3', 'audit.2', 'for a line there is always a place');
select pg_temp.become('chat_api');
select pg_temp.sees($$select coalesce(chat_private.audit_gaps(), 'none')$$, 'lines for whose month there is no table', 'audit.2', '… and who looks is told');
select pg_temp.sees('select chat_private.make_audit_months()', '2', 'audit.2', 'their months are made');
select pg_temp.sees('select chat_private.make_audit_months()', '0', 'audit.2', '… once');
select pg_temp.become('chat_owner');
select pg_temp.sees('select count(*) from chat_private.audit_log_rest', '0', 'audit.2', 'and they move there');
select pg_temp.sees($$select l.changed ->> 'n' || ' ' || l.tableoid::regclass from chat.audit_log l where l.at < '2002-01-01'$$,
  '1 chat_private.audit_log_2001_02, 2 chat_private.audit_log_2001_03, 3 chat_private.audit_log_2001_03', 'audit.2', '… to the microsecond, in UTC');
select pg_temp.sees('select current_setting(''lock_timeout'')', '0', 'audit.2', 'how long one waits for locks is what it was');
select pg_temp.become('chat_api');
select pg_temp.sees('select chat_private.make_audit_months(3)', '1', 'audit.2', 'more ahead, if one asks for it');
select pg_temp.sees('select chat_private.make_audit_months(1000) <= 24', 'true', 'audit.2', '… within reason');
select pg_temp.refused($$select chat_private.detach_audit_months('2100-01-01')$$, '42501', 'audit.2', 'the server takes nothing out');
select pg_temp.become('chat_owner');
select pg_temp.left_behind();
select pg_temp.sees($$select chat_private.detach_audit_months('2001-03-31')$$, 'audit_log_2001_02', 'audit.2', 'the owner takes out months that ended before a day');
select is(pg_temp.left_behind(), 'detach audit_log month', 'audit.2: … which leaves a line');
select pg_temp.sees($$select count(*) from chat.audit_log where at < '2002-01-01'$$, '2', 'audit.2', 'they are out');
select pg_temp.sees('select count(*) from chat_private.audit_log_2001_02', '1', 'audit.2', '… and kept');
insert into chat.audit_log (at, operation, table_name, changed, way, role, login, has_words)
values ('2001-02-03Z', 'update', 'settings', '{}', 'sql', 'x', 'x', false);
select pg_temp.sees('select chat_private.make_audit_months()', '0', 'audit.2', 'a late line of a month that is out stays among the rest');
delete from chat.audit_log where at = '2001-02-03Z';
select pg_temp.does($$delete from chat.audit_log where at < '2002-01-01'$$, 2, 'audit.2', 'the owner may do what nobody else may');

-- words ----------------------------------------------------------------------------------------------------------

update chat.settings set edit_window = '1 hour';
select pg_temp.become('bob');
update chat.users set display_name = 'Bob the secret', avatar_url = 'https://example.com/secret' where id = pg_temp.id('bob');
select chat.create_group('talk', array[pg_temp.id('alice'), pg_temp.id('dora')], pg_temp.id('talk'));
insert into chat.messages (chat_id, id, text) values (pg_temp.id('talk'), pg_temp.id('c1'), 'secret'), (pg_temp.id('talk'), pg_temp.id('c2'), 'secret, too');
update chat.messages set text = 'secret, edited', mentions = array[pg_temp.id('alice')] where id = pg_temp.id('c1');
insert into chat.reactions (chat_id, message_id, emoji) values (pg_temp.id('talk'), pg_temp.id('c1'), ':secret:'), (pg_temp.id('talk'), pg_temp.id('c2'), ':secret2:');
delete from chat.reactions where emoji = ':secret:';
select pg_temp.become('alice');
insert into chat.messages (chat_id, id, text) values (pg_temp.id('talk'), pg_temp.id('d1'), 'draft'), (pg_temp.id('talk'), pg_temp.id('d2'), 'draft');
update chat.messages set text = 'final' where id in (pg_temp.id('d1'), pg_temp.id('d2'));
update chat.messages set text = 'final 2' where id in (pg_temp.id('d1'), pg_temp.id('d2'));
select pg_temp.become('chat_owner');
select pg_temp.sees($$select chat_private.strike_from_audit(pg_temp.id('talk'), array[pg_temp.id('d1'), pg_temp.id('x')], 1)$$, '1', 'audit.4', 'texts of messages are struck, so many lines at a time');
select pg_temp.sees($$select chat_private.strike_from_audit(pg_temp.id('talk'), array[pg_temp.id('d1')], 2)$$, '1', 'audit.4', '… until there are no more');
select pg_temp.sees($$select concat_ws(' ', l.message_id = pg_temp.id('d1'), l.changed -> 'text', l.struck_at is not null, l.changed ? 'edited_at') from chat.audit_log l where l.chat_id = pg_temp.id('talk') and l.message_id in (pg_temp.id('d1'), pg_temp.id('d2'))$$,
  'f ["draft", "final"] f t, f ["final", "final 2"] f t, t ["[erased]", "[erased]"] t t, t ["[erased]", "[erased]"] t t', 'audit.4', 'those of these messages, of others not; the lines stay');
select is(pg_temp.last_line($$concat_ws(' ', l.operation, l.table_name, l.chat_id = pg_temp.id('talk'), l.changed)$$), 'strike audit_log t {"lines": 1}', 'audit.4: … and one says that it was done');
select pg_temp.sees($$select count(*) = 5 from chat.audit_log l where l::text like '%secret%'$$, 'true', 'audit.4', 'bob''s words are in the audit');
select pg_temp.become('bob');
select pg_temp.left_behind();
select pg_temp.sees('select chat.erase_me()', 'true', 'users.10', 'bob erases himself');
select is(pg_temp.left_behind(), 'erase users erased_at', 'audit.2: which leaves a line without what he was called');
select pg_temp.sees('select chat.erase_me()', 'true', 'users.10', '…');
select is(pg_temp.left_behind(), 'update participants role, update participants left_at+role, erase users edits+messages+reactions', 'audit.2: then one for all of his words');
select is(pg_temp.last_line('l.changed'), '{"edits": 1, "messages": 2, "reactions": 1}', 'audit.2: … how many they were');
select pg_temp.sees('select chat.erase_me()', 'false', 'users.10', '…');
select is(pg_temp.left_behind(), 'strike audit_log lines', 'audit.2: and one for what was struck here');
select pg_temp.become('chat_owner');
select pg_temp.sees($$select l.operation || ' ' || l.table_name from chat.audit_log l where l::text like '%secret%'$$, 'nothing', 'audit.4', 'his words are nowhere in the audit');
select pg_temp.sees($$select count(*) from chat.audit_log l where l.user_id = pg_temp.id('bob') and l.has_words$$, '0', 'audit.4', '… and it knows');
select pg_temp.sees($$select count(*) from chat.audit_log l where l::text like '%final 2%'$$, '1', 'audit.4', 'those of others are');

select * from finish();
rollback;

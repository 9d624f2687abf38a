-- Earlier texts: who sees what a message said before it was edited, and what it means that there are none.
begin isolation level read committed;
select plan(16);
set local client_min_messages = warning;

-- Helpers, gone with the rollback. Every id is the md5 of a word: pg_temp.id('alice').
do $$
declare
  part name;
begin
  -- a login that is no superuser is given the roles it plays, until the rollback
  foreach part in array array['anon', 'authenticated', 'service_role', 'chat_auditor', 'chat_relay', 'chat_api', 'chat_owner']::name[] loop
    perform set_config('role', 'none', true);
    begin
      perform set_config('role', part, true);
    exception when insufficient_privilege then
      execute format('grant %I to %I', part, session_user);
    end;
  end loop;
  perform set_config('role', 'none', true);
end
$$;
create function pg_temp.id(_word text) returns uuid language sql immutable as 'select md5(_word)::uuid';
create function pg_temp.become(_who text) returns void language sql as $$
  -- a role speaks for itself; any other word is a person, and adam is an admin
  select set_config('role', case when r.is_role then _who else 'authenticated' end, true),
         set_config('request.jwt.claims', case
           when r.is_role then json_build_object('role', _who)
           when _who = 'adam' then json_build_object('sub', pg_temp.id(_who), 'name', initcap(_who), 'app_metadata', json_build_object('role', 'admin'))
           else json_build_object('sub', pg_temp.id(_who), 'name', initcap(_who)) end::text, true)
  from (select _who in ('anon', 'service_role', 'chat_auditor', 'chat_relay', 'chat_api', 'chat_owner')) r (is_role)
$$;
create function pg_temp.outcome(_sql text, _keep boolean) returns text language plpgsql as $$
declare
  n bigint;
  broken text;
begin
  execute _sql;
  get diagnostics n = row_count;
  if not _keep then
    raise exception using errcode = 'TT000';
  end if;
  return n || ' rows';
exception when others then
  get stacked diagnostics broken = constraint_name;
  return case when sqlstate = 'TT000' then n || ' rows' else concat_ws(' ', sqlstate, nullif(broken, '')) end;
end
$$;
create function pg_temp.refused(_sql text, _state text, _rule text, _says text) returns text language sql as $$
  -- refused with this state and in the name of this rule; 42501 is Postgres' own and names none
  select is(pg_temp.outcome(_sql, false),
            case when _state = '42501' then _state
                 else _state || ' ' || coalesce((select r.name from chat.rules r where r.number = _rule), 'a rule that does not exist') end,
            _rule || ': ' || _says)
$$;
create function pg_temp.does(_sql text, _rows integer, _rule text, _says text) returns text language sql as
  $$ select is(pg_temp.outcome(_sql, true), _rows || ' rows', _rule || ': ' || _says) $$;
create function pg_temp.sees(_sql text, _what text, _rule text, _says text) returns text language plpgsql as $$
declare
  seen text;
begin
  execute format('select coalesce(string_agg(t.x::text, '', '' order by t.x::text collate "C"), ''nothing'') from (%s) t (x)', _sql) into seen;
  return is(seen, _what, _rule || ': ' || _says);
exception when others then
  return is(sqlstate || ' ' || sqlerrm, _what, _rule || ': ' || _says);
end
$$;

-- people and chats -------------------------------------------------------------------------------------------

insert into chat.users (id, display_name)
select pg_temp.id(w), w from unnest(array['alice', 'bob', 'carol', 'dave', 'mallory', 'adam']) w;
select pg_temp.become('alice');
select chat.create_group('walk', array[pg_temp.id('bob'), pg_temp.id('carol'), pg_temp.id('dave')], pg_temp.id('walk'));
update chat.participants set role = 'moderator' where chat_id = pg_temp.id('walk') and user_id = pg_temp.id('dave');
select pg_temp.become('adam');
select chat.create_room('square', 'public', null, pg_temp.id('square'));
select pg_temp.become('bob');
select chat.join_room(pg_temp.id('square')::text);
insert into chat.messages (chat_id, id, text) values
  (pg_temp.id('walk'), pg_temp.id('b1'), 'first'), (pg_temp.id('walk'), pg_temp.id('b2'), 'untouched'), (pg_temp.id('square'), pg_temp.id('s1'), 'shouted');

-- what no earlier texts means ----------------------------------------------------------------------------------

select pg_temp.does($$select chat.expect_edits(pg_temp.id('walk'), pg_temp.id('b2'))$$, 1, 'edits.1', 'who sent a message that was never edited is refused nothing');
select pg_temp.refused($$select chat.expect_edits(pg_temp.id('walk'), pg_temp.id('nothing'))$$, 'PT404', 'messages.12', 'nobody finds the earlier texts of no message');
select pg_temp.refused($$select chat.expect_edits(pg_temp.id('square'), pg_temp.id('b2'))$$, 'PT404', 'messages.12', 'nor of one of another chat');
select pg_temp.refused($$select chat.expect_edits(pg_temp.id('nothing'), pg_temp.id('b2'))$$, 'PT404', 'chats.2', 'nor where there is no chat');
select pg_temp.become('alice');
select pg_temp.does($$select chat.expect_edits(pg_temp.id('walk'), pg_temp.id('b2'))$$, 1, 'edits.1', 'nor is the owner refused');
select pg_temp.become('dave');
select pg_temp.does($$select chat.expect_edits(pg_temp.id('walk'), pg_temp.id('b2'))$$, 1, 'edits.1', 'nor a moderator');
select pg_temp.become('service_role');
select pg_temp.does($$select chat.expect_edits(pg_temp.id('walk'), pg_temp.id('b2'))$$, 1, 'edits.1', 'nor the host');
select pg_temp.refused($$select chat.expect_edits(pg_temp.id('walk'), pg_temp.id('nothing'))$$, 'PT404', 'messages.12', '… where there is a message');
select pg_temp.become('carol');
select pg_temp.refused($$select chat.expect_edits(pg_temp.id('walk'), pg_temp.id('b2'))$$, 'PT403', 'edits.1', 'another member is, edited or not');
select pg_temp.refused($$select chat.expect_edits(pg_temp.id('square'), pg_temp.id('s1'))$$, 'PT403', 'edits.1', 'and who reads a public room');
select pg_temp.become('mallory');
select pg_temp.refused($$select chat.expect_edits(pg_temp.id('walk'), pg_temp.id('b2'))$$, 'PT403', 'chats.1', 'a stranger is told that the chat is not hers');
select pg_temp.refused($$select chat.expect_edits(pg_temp.id('walk'), pg_temp.id('nothing'))$$, 'PT403', 'chats.1', '… and nothing about messages');
select pg_temp.become('anon');
select pg_temp.refused($$select chat.expect_edits(pg_temp.id('square'), pg_temp.id('s1'))$$, '42501', 'edits.1', 'anon has no such question');

-- deleted
select pg_temp.become('bob');
select chat.delete_message(pg_temp.id('walk'), pg_temp.id('b2'));
select pg_temp.refused($$select chat.expect_edits(pg_temp.id('walk'), pg_temp.id('b2'))$$, 'PT404', 'messages.12', 'who sent a message that is deleted finds it no more');
select pg_temp.become('dave');
select pg_temp.does($$select chat.expect_edits(pg_temp.id('walk'), pg_temp.id('b2'))$$, 1, 'edits.1', 'a moderator does');

-- who is out of the room and reads it still
select pg_temp.become('bob');
update chat.participants set left_at = now() where chat_id = pg_temp.id('square') and user_id = pg_temp.id('bob');
select pg_temp.does($$select chat.expect_edits(pg_temp.id('square'), pg_temp.id('s1'))$$, 1, 'edits.1', 'who sent it and reads it still is refused nothing');

select * from finish();
rollback;

-- Revisions: the isolation they need. In a file of its own, since isolation is a transaction's, not a statement's.
begin isolation level repeatable read;
select plan(5);
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

select pg_temp.become('chat_owner');
insert into chat.users (id, display_name) values (pg_temp.id('alice'), 'Alice'), (pg_temp.id('bob'), 'Bob');
select pg_temp.become('alice');
select pg_temp.refused($$select chat.create_group('walk', array[pg_temp.id('bob')])$$, 'PT409', 'revs.1', 'no chat is founded under repeatable read');
select pg_temp.refused($$insert into chat.chats (type) values ('group')$$, 'PT409', 'revs.1', 'by hand neither');
select pg_temp.become('chat_owner');
select pg_temp.refused($$insert into chat.participants (chat_id, user_id) values (pg_temp.id('walk'), pg_temp.id('alice'))$$, 'PT409', 'revs.1', 'nobody comes');
select pg_temp.refused($$insert into chat.messages (chat_id, sender_id, text) values (pg_temp.id('walk'), pg_temp.id('alice'), 'x')$$, 'PT409', 'revs.1', 'and nothing is said, whoever asks');
select pg_temp.become('alice');
select pg_temp.sees('select display_name from chat.users', 'Alice', 'revs.1', 'reading is as ever');

select * from finish();
rollback;

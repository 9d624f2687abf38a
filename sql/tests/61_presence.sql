-- Presence: who is here under a lease, seen by who shares a chat, hidden by a block; what is told beside the chats' logs.
begin isolation level read committed;
select plan(55);
set local client_min_messages = warning;

\ir people.psql

select pg_temp.become(w.who), chat.introduce_me() from unnest(array['alice', 'bob', 'carol', 'dora', 'mallory', 'adam']) w (who);
select pg_temp.become('adam');
select chat.create_room('square', 'public', null, pg_temp.id('square'));
select pg_temp.become('alice');
select chat.create_group('walk', array[pg_temp.id('bob'), pg_temp.id('carol'), pg_temp.id('dora')], pg_temp.id('walk'));
insert into chat.messages (chat_id, text) values (pg_temp.id('walk'), 'off we go');
select pg_temp.become('carol');
insert into chat.blocks (blocked_id) values (pg_temp.id('alice'));

create function pg_temp.gathered(_sql text) returns text language plpgsql as $$
-- the hints that a statement gathers for the server, with people and chats by name
declare
  names jsonb := (select jsonb_object_agg(pg_temp.id(w), w) from unnest(array['alice', 'bob', 'carol', 'dora', 'mallory', 'adam', 'walk', 'square']) w);
  said text;
  one record;
begin
  perform set_config('chat.hints_to', 'server', true), set_config('chat.hints', '', true);
  execute _sql;
  said := current_setting('chat.hints');
  perform set_config('chat.hints_to', 'nobody', true), set_config('chat.hints', '', true);
  for one in select k.key, k.value from jsonb_each_text(names) k loop
    said := replace(said, one.key, one.value);
  end loop;
  return (select coalesce(string_agg(s.one, ' ' order by s.one collate "C"), '') from string_to_table(said, ',') s (one));
end
$$;
create function pg_temp.keep(_process text, _people text[], _states text[], _is_all boolean default false) returns text language sql as $$
  select format('select chat.keep_presence(%L, %L, %L, %L)', pg_temp.id(_process), array(select pg_temp.id(p) from unnest(_people) p), _states, _is_all)
$$;
create function pg_temp.of_walk() returns setof text language sql as $$
  select u.display_name || ' ' || p.status || case when p.last_active_at is not null then ' since' else '' end
  from chat.presence_of(pg_temp.id('walk')) p
  join (values ('Alice', pg_temp.id('alice')), ('Bob', pg_temp.id('bob')), ('Carol', pg_temp.id('carol')), ('Dora', pg_temp.id('dora'))) u (display_name, id)
    on u.id = p.user_id
$$;
-- a rule of Postgres' own: nothing here notifies
select set_config('chat.hints_to', 'nobody', true);

-- kept

select pg_temp.become('chat_relay');
select pg_temp.sees(pg_temp.keep('one', '{}', '{}'), 'false', 'presence.3', 'a process without a lease is told so');
select is(pg_temp.gathered(pg_temp.keep('one', '{alice,bob,carol}', '{online,away,online}', true)), 'palice pbob pcarol', 'presence.3: who came is hinted at');
select pg_temp.sees(pg_temp.keep('one', '{}', '{}'), 'true', 'presence.3', 'then it has one');
select is(pg_temp.gathered(pg_temp.keep('one', '{alice,bob}', '{online,online}')), 'pbob', 'presence.3: who is as before is not');
select is(pg_temp.gathered(pg_temp.keep('one', '{bob}', '{away}')), 'pbob', 'presence.3: nor is anybody else');
select pg_temp.sees(pg_temp.keep('two', '{bob}', '{online}', true), 'true', 'presence.3', 'another process has people of its own');
select pg_temp.sees('select t.status from chat.present() t where t.user_id = pg_temp.id(''bob'')', 'online', 'presence.1', 'who is online anywhere is online');
select pg_temp.refused('select 1 from chat.presence', '42501', 'presence.1', 'the relay reads no rows of it');
select pg_temp.refused(format('select chat_private.keep_presence(%L, ''{}'', ''{}'', true)', pg_temp.id('one')), '42501', 'presence.3', 'and goes through the door alone');
select pg_temp.refused(pg_temp.keep('one', '{bob}', '{busy}'), '23514', 'presence.2', 'who is here is online or away');

-- seen

select pg_temp.become('bob');
select pg_temp.sees('select pg_temp.of_walk()', 'Alice online, Bob online, Carol online, Dora offline since', 'presence.1', 'who is in a chat sees who of it is here');
select pg_temp.sees('select state from chat.presence', 'away, online, online, online', 'presence.1', 'in plain SQL as well');
select pg_temp.refused('select process_id from chat.presence', '42501', 'presence.1', 'but not through which process');
select pg_temp.refused(format('insert into chat.presence (process_id, user_id, state) values (%L, %L, ''online'')', pg_temp.id('one'), pg_temp.id('bob')), '42501', 'presence.3', 'nobody says that they are here');
select pg_temp.refused('update chat.presence set state = ''away''', '42501', 'presence.3', 'nor how');
select pg_temp.refused('delete from chat.presence', '42501', 'presence.3', 'nor that they are not');
select pg_temp.refused(pg_temp.keep('one', '{bob}', '{online}'), '42501', 'presence.3', 'nor through the relay''s door');
select pg_temp.refused('select chat.sealing_key()', '42501', 'presence.3', 'whose key is the relay''s alone');
select pg_temp.refused('select 1 from chat_private.seals', '42501', 'presence.3', 'and in no table that people read');
select pg_temp.refused(format('select 1 from chat.presence_told(array[%L::uuid])', pg_temp.id('alice')), '42501', 'presence.1', 'what the relay is told is for the relay');
select pg_temp.refused('select 1 from chat.present()', '42501', 'presence.1', 'and so is who is here at all');
select pg_temp.become('alice');
select pg_temp.sees('select pg_temp.of_walk()', 'Alice online, Bob online, Carol offline, Dora offline since', 'presence.1', 'a block hides who blocked');
select pg_temp.sees($$select 1 from chat.presence where user_id = pg_temp.id('carol')$$, 'nothing', 'presence.1', 'in plain SQL as well');
select pg_temp.become('carol');
select pg_temp.sees('select pg_temp.of_walk()', 'Alice offline, Bob online, Carol online, Dora offline since', 'presence.1', 'and who is blocked');
select pg_temp.sees($$select 1 from chat.presence where user_id = pg_temp.id('alice')$$, 'nothing', 'presence.1', 'in plain SQL as well');
select pg_temp.become('mallory');
select pg_temp.sees('select pg_temp.of_walk()', 'nothing', 'presence.1', 'a stranger sees nothing');
select pg_temp.sees('select 1 from chat.presence', 'nothing', 'presence.1', 'of nobody');
select pg_temp.refused($$select chat.expect_companion(pg_temp.id('walk'))$$, 'PT403', 'presence.1', 'and is told why');
select pg_temp.refused($$select chat.expect_companion(pg_temp.id('nowhere'))$$, 'PT404', 'chats.2', 'or that there is no such chat');
select pg_temp.sees($$select 1 from chat.presence_of(pg_temp.id('square'))$$, 'nothing', 'presence.1', 'who visits a public room does not see who is here');
select pg_temp.refused($$select chat.expect_companion(pg_temp.id('square'))$$, 'PT403', 'presence.1', 'and is told why');
select pg_temp.become('anon');
select pg_temp.sees('select pg_temp.of_walk()', 'nothing', 'presence.1', 'nor does anon');
select pg_temp.become('service_role');
select pg_temp.sees('select pg_temp.of_walk()', 'Alice online, Bob online, Carol online, Dora offline since', 'staff.2', 'the service role sees everybody');
select pg_temp.become('chat_auditor');
select pg_temp.sees('select count(*) from chat.presence', '4', 'staff.2', 'auditors see the rows');
select pg_temp.refused('delete from chat.presence', '42501', 'staff.2', 'and write none');

-- told

select pg_temp.become('chat_relay');
select pg_temp.sees($$select t.status || ' ' || (t.chat_ids = array[pg_temp.id('walk')]) || ' ' || (t.hidden_from = array[pg_temp.id('carol')]) || ' ' || (t.standing_revs = array(select max(p.rev) from chat.participants p where p.chat_id = pg_temp.id('walk')))
    from chat.presence_told(array[pg_temp.id('alice')]) t$$,
  'online true true true', 'presence.1', 'the relay is told in which chats, and from whom it is hidden');
select pg_temp.sees($$select t.hidden_from = array[pg_temp.id('alice')] from chat.presence_told(array[pg_temp.id('carol')]) t$$, 'true', 'presence.1', 'both ways');

-- going, and being gone

select is(pg_temp.gathered(pg_temp.keep('one', '{alice}', array[null]::text[])), 'palice', 'presence.3: who went is hinted at');
select is(pg_temp.gathered(pg_temp.keep('one', '{bob}', '{away}', true)), 'pcarol', 'presence.3: a process that says all has nobody else');
select pg_temp.become('chat_owner');
update chat_private.leases set renewed_at = clock_timestamp() - interval '11 seconds' where process_id = pg_temp.id('two');
update chat.users set last_active_at = '2020-02-02' where id = pg_temp.id('bob');
select pg_temp.become('bob');
select pg_temp.sees('select state from chat.presence', 'away', 'presence.1', 'a lease that nobody renewed counts for nothing');
select pg_temp.become('chat_relay');
select is(pg_temp.gathered(pg_temp.keep('one', '{}', '{}')), 'pbob', 'presence.3: whoever renews next sweeps it away, and hints at whom it held');
select pg_temp.sees(pg_temp.keep('two', '{}', '{}'), 'false', 'presence.3', 'who had it is told to begin anew');
select pg_temp.become('chat_owner');
select pg_temp.sees('select process_id = pg_temp.id(''one'') from chat.presence', 'true', 'presence.3', 'of it nothing stays');
select pg_temp.sees($$select last_active_at = '2020-02-02' from chat.users where id = pg_temp.id('bob')$$, 'true', 'presence.1', 'who is still here elsewhere was not last active now');
select pg_temp.become('chat_relay');
select is(pg_temp.gathered(pg_temp.keep('one', '{bob}', array[null]::text[])), 'pbob', 'presence.3: the last connection of somebody');
select pg_temp.become('alice');
select pg_temp.sees($$select p.status || ' ' || (p.last_active_at > now() - interval '1 minute') from chat.presence_of(pg_temp.id('walk'), array[pg_temp.id('bob')]) p$$, 'offline true', 'presence.1', 'who has just gone was active until now');

-- typing and reading: hints, and nothing else

select is(pg_temp.gathered($$select chat.set_typing(pg_temp.id('walk'))$$), 'twalk.alice', 'messages.2: who writes there may be typing');
select is(pg_temp.gathered($$select chat.set_typing(pg_temp.id('walk'), false)$$), 'uwalk.alice', 'messages.2: or no more');
select is(pg_temp.gathered($$insert into chat.read_markers (chat_id, seq) select pg_temp.id('walk'), max(m.seq) from chat.messages m$$), 'rwalk.alice', 'reads.1: who read further is hinted at');
select is(pg_temp.gathered($$update chat.read_markers set seq = 1$$), '', 'reads.3: who did not is not');
select pg_temp.become('mallory');
select pg_temp.refused($$select chat.set_typing(pg_temp.id('walk'))$$, 'PT403', 'messages.2', 'a stranger does not type');
select pg_temp.refused($$select chat.set_typing(pg_temp.id('square'))$$, 'PT403', 'messages.2', 'nor does a visitor of a public room');
select pg_temp.refused($$select chat.set_typing(pg_temp.id('nowhere'))$$, 'PT404', 'chats.2', 'nobody types where there is no chat');
select pg_temp.become('alice');
update chat.chats set read_only = true where id = pg_temp.id('walk');
select pg_temp.become('bob');
select pg_temp.refused($$select chat.set_typing(pg_temp.id('walk'))$$, 'PT403', 'messages.18', 'nor a member in a read-only chat');
select pg_temp.become('service_role');
select pg_temp.refused($$select chat.set_typing(pg_temp.id('walk'))$$, '42501', 'messages.2', 'the host application has no fingers');

select * from finish();
rollback;

-- Read markers: how far who has read; marked for oneself, seen by the others, never going back.
begin isolation level read committed;
select plan(29);
set local client_min_messages = warning;

\ir people.psql

select pg_temp.become(w.who), chat.introduce_me() from unnest(array['alice', 'bob', 'mallory', 'adam']) w (who);
select pg_temp.become('adam');
select chat.create_room('square', 'public', null, pg_temp.id('square'));
select pg_temp.become('alice');
select chat.create_group('walk', array[pg_temp.id('bob')], pg_temp.id('walk'));
insert into chat.messages (chat_id, text) select pg_temp.id('walk'), 'message ' || i from generate_series(1, 5) i;
create function pg_temp.seq(_text text) returns bigint language sql stable as $$ select m.seq from chat.messages m where m.text = _text $$;

select pg_temp.become('bob');
select pg_temp.does($$insert into chat.read_markers (chat_id, seq) values (pg_temp.id('walk'), pg_temp.seq('message 3'))$$, 1, 'reads.2', 'bob marks how far he has read');
select pg_temp.does($$insert into chat.read_markers (chat_id, seq) values (pg_temp.id('walk'), pg_temp.seq('message 4')) on conflict (chat_id, user_id) do update set seq = excluded.seq$$, 1, 'reads.2', 'and further on');
select pg_temp.sees($$select seq = pg_temp.seq('message 4') from chat.read_markers$$, 'true', 'reads.2', '… as far as he says');
select pg_temp.does($$update chat.read_markers set seq = pg_temp.seq('message 1')$$, 1, 'reads.3', 'back');
select pg_temp.sees($$select seq = pg_temp.seq('message 4') from chat.read_markers$$, 'true', 'reads.3', '… it does not go');
select pg_temp.does($$update chat.read_markers set seq = -1$$, 1, 'reads.3', 'nor below everything');
select pg_temp.does($$insert into chat.read_markers (chat_id, seq) values (pg_temp.id('walk'), 1) on conflict (chat_id, user_id) do update set seq = excluded.seq$$, 1, 'reads.3', 'nor by upsert');
select pg_temp.sees($$select seq = pg_temp.seq('message 4') from chat.read_markers$$, 'true', 'reads.3', '… it stays where it was');
select pg_temp.does($$update chat.read_markers set seq = 1000000$$, 1, 'reads.3', 'past the last message');
select pg_temp.sees($$select seq = pg_temp.seq('message 5') from chat.read_markers$$, 'true', 'reads.3', '… it does not go either');
select pg_temp.refused($$insert into chat.read_markers (chat_id, user_id, seq) values (pg_temp.id('walk'), pg_temp.id('alice'), 1)$$, '42501', 'reads.2', 'bob does not read for alice');
select pg_temp.refused($$update chat.read_markers set user_id = pg_temp.id('alice')$$, '42501', 'reads.2', 'nor gives his marker away');
select pg_temp.refused($$delete from chat.read_markers$$, '42501', 'reads.3', 'nor forgets that he read');
select pg_temp.become('alice');
select pg_temp.sees($$select user_id = pg_temp.id('bob') from chat.read_markers$$, 'true', 'reads.1', 'alice sees how far bob has read');
select pg_temp.does($$update chat.read_markers set seq = 1$$, 0, 'reads.2', 'and does not move his marker');
select pg_temp.refused($$insert into chat.read_markers (chat_id, seq) values (pg_temp.id('walk'), -1)$$, '23514', 'reads.4', 'nobody has read less than nothing');
select pg_temp.become('mallory');
select pg_temp.sees('select 1 from chat.read_markers', 'nothing', 'reads.1', 'a stranger sees no markers');
select pg_temp.refused($$insert into chat.read_markers (chat_id, seq) values (pg_temp.id('walk'), 1)$$, 'PT403', 'reads.2', 'and makes none');
select pg_temp.refused($$insert into chat.read_markers (chat_id, seq) values (pg_temp.id('square'), 1)$$, 'PT403', 'reads.2', 'nor in a public room she is not in');
select pg_temp.become('adam');
insert into chat.messages (chat_id, text) values (pg_temp.id('square'), 'welcome');
insert into chat.read_markers (chat_id, seq) values (pg_temp.id('square'), 100);
select pg_temp.become('mallory');
select pg_temp.sees('select 1 from chat.read_markers', 'nothing', 'reads.1', 'who visits a public room does not see who reads it');
select pg_temp.become('anon');
select pg_temp.sees('select 1 from chat.read_markers', 'nothing', 'reads.1', 'nor does anon');
select pg_temp.become('chat_auditor');
select pg_temp.sees('select count(*) from chat.read_markers', '2', 'staff.2', 'auditors see read markers');
select pg_temp.refused('update chat.read_markers set seq = 1', '42501', 'staff.2', 'and move none');
select pg_temp.become('service_role');
select pg_temp.sees('select count(*) from chat.read_markers', '2', 'staff.2', 'the service role sees them');
select pg_temp.refused('update chat.read_markers set seq = 1', '42501', 'staff.1', 'and reads for nobody');
select pg_temp.become('chat_owner');
update chat.read_markers set seq = 0 where user_id = pg_temp.id('bob');
select pg_temp.sees($$select seq > 0 from chat.read_markers where user_id = pg_temp.id('bob')$$, 'true', 'reads.3', 'a marker goes back for nobody');
select pg_temp.become('alice');
select chat.create_group('empty', array[pg_temp.id('bob')], pg_temp.id('empty'));
insert into chat.read_markers (chat_id, seq) values (pg_temp.id('empty'), 7);
select pg_temp.sees($$select seq from chat.read_markers where chat_id = pg_temp.id('empty')$$, '0', 'reads.3', 'where nothing was said nothing is read');
select pg_temp.become('bob');
insert into chat.participants (chat_id) values (pg_temp.id('square'));
insert into chat.read_markers (chat_id, seq) values (pg_temp.id('square'), 1);
update chat.participants set left_at = now() where chat_id = pg_temp.id('square') and user_id = pg_temp.id('bob');
select pg_temp.does($$update chat.read_markers set seq = 100 where chat_id = pg_temp.id('square')$$, 0, 'reads.2', 'who left marks nothing any more');
select pg_temp.sees($$select 1 from chat.read_markers where chat_id = pg_temp.id('square')$$, 'nothing', 'reads.1', 'nor sees the others''');

select * from finish();
rollback;

-- Revisions and tombstones: every change gets the chat's next rev, once; what is removed leaves an id.
begin isolation level read committed;
select plan(55);
set local client_min_messages = warning;

\ir people.psql

select pg_temp.become(w.who), chat.introduce_me() from unnest(array['alice', 'bob', 'carol', 'mallory', 'adam']) w (who);
select pg_temp.become('alice');
select chat.create_group('walk', array[pg_temp.id('bob')], pg_temp.id('walk'));

-- every change, one after the other --------------------------------------------------------------------------

select pg_temp.become('chat_owner');
create function pg_temp.head() returns text language sql stable security definer as $$
  -- the highest rev of the chat, whoever asks
  select max(x.rev)::text
  from (select m.rev from chat.messages m where m.chat_id = md5('walk')::uuid
        union all select p.rev from chat.participants p where p.chat_id = md5('walk')::uuid
        union all select t.rev from chat.tombstones t where t.chat_id = md5('walk')::uuid
        union all select c.rev from chat.chats c where c.id = md5('walk')::uuid) x
$$;
grant execute on function pg_temp.head() to public;
select pg_temp.become('alice');
select is(pg_temp.head(), '3', 'revs.2: the chat is rev 1, its owner 2, bob 3');
insert into chat.messages (chat_id, id, text) values (pg_temp.id('walk'), pg_temp.id('a1'), 'one'), (pg_temp.id('walk'), pg_temp.id('a2'), 'two');
select pg_temp.sees('select text || '' '' || seq || '' '' || rev from chat.messages', 'one 4 4, two 5 5', 'revs.2', 'two messages of one statement get a rev each, which is their seq');
update chat.messages set text = 'One' where id = pg_temp.id('a1');
select pg_temp.sees('select text || '' '' || seq || '' '' || rev from chat.messages', 'One 4 6, two 5 5', 'revs.2', 'an edit gets the next rev and keeps the seq');
update chat.messages set pinned_at = now() where id = pg_temp.id('a2');
select is(pg_temp.head(), '7', 'revs.2: a pin gets one');
update chat.participants set role = 'moderator' where chat_id = pg_temp.id('walk') and user_id = pg_temp.id('bob');
select is(pg_temp.head(), '8', 'revs.2: a change of role gets one');
update chat.participants set role = 'moderator' where chat_id = pg_temp.id('walk') and user_id = pg_temp.id('bob');
update chat.messages set text = 'One' where id = pg_temp.id('a1');
update chat.chats set name = 'walk' where id = pg_temp.id('walk');
select is(pg_temp.head(), '8', 'revs.2: what changes nothing gets none');
update chat.chats set topic = 't' where id = pg_temp.id('walk');
select is(pg_temp.head(), '9', 'revs.2: a change of the chat gets one');
select chat.delete_message(pg_temp.id('walk'), pg_temp.id('a1'));
select is(pg_temp.head(), '10', 'revs.2: a deletion gets one');
insert into chat.read_markers (chat_id, seq) values (pg_temp.id('walk'), 5);
select is(pg_temp.head(), '10', 'revs.2: a glance gets none');
select pg_temp.become('bob');
insert into chat.participants (chat_id, user_id) values (pg_temp.id('walk'), pg_temp.id('carol'));
update chat.participants set left_at = now() where chat_id = pg_temp.id('walk') and user_id = pg_temp.id('carol');
select is(pg_temp.head(), '12', 'revs.2: coming and going get one each');
select pg_temp.sees($$select head_rev from chat.overviews(array[pg_temp.id('walk')], array[null::uuid])$$, '12', 'revs.2', 'the highest is the head, which readers are told');
select pg_temp.become('carol');
select pg_temp.sees($$select head_rev from chat.overviews(array[pg_temp.id('walk')], array[null::uuid])$$, 'nothing', 'chats.1', 'and who left is not');
select pg_temp.become('chat_owner');
select pg_temp.sees($$select count(*) - count(distinct r) from (select rev from chat.messages union all select rev from chat.participants union all select rev from chat.chats) x (r)$$, '0', 'revs.3', 'no rev stands twice');
select pg_temp.sees($$select bool_and(x = pg_current_xact_id()) from (select xid from chat.messages union all select xid from chat.participants union all select xid from chat.chats) x (x)$$, 'true', 'revs.2', 'every row knows the transaction that changed it');
select pg_temp.refused($$insert into chat.messages (chat_id, sender_id, text, seq) values (pg_temp.id('walk'), pg_temp.id('bob'), 'x', 100)$$, 'PT409', 'revs.2', 'nobody brings a seq along, the owner of the tables neither');
select pg_temp.refused($$insert into chat.messages (chat_id, sender_id, text, rev) values (pg_temp.id('walk'), pg_temp.id('bob'), 'x', 100)$$, 'PT409', 'revs.2', 'nor a rev');
insert into chat.messages (chat_id, id, sender_id, text, created_at) values (pg_temp.id('walk'), pg_temp.id('old'), pg_temp.id('bob'), 'old', '2001-01-01');
select pg_temp.sees($$select created_at > now() - interval '1 hour' from chat.messages where text = 'old'$$, 'true', 'messages.10', 'or the time of a message');
delete from chat.messages where text = 'old';
update chat.messages set rev = 1000 where id = pg_temp.id('a2');
insert into chat.participants (chat_id, user_id, rev) values (pg_temp.id('walk'), pg_temp.id('mallory'), 2000);
select is(pg_temp.head(), '16', 'revs.2: what they write there is not what is stored');

-- the hint, and durability -----------------------------------------------------------------------------------

select set_config('chat.hints_to', 'server', true);
insert into chat.messages (chat_id, sender_id, text) values (pg_temp.id('walk'), pg_temp.id('bob'), 'x'), (pg_temp.id('walk'), pg_temp.id('bob'), 'y');
select is(current_setting('chat.hints'), pg_temp.id('walk')::text, 'revs.2: whatever gets a rev leaves a hint for the server, once');
select set_config('chat.hints_to', 'nobody', true), set_config('chat.hints', '', true), set_config('synchronous_commit', 'off', true);
insert into chat.messages (chat_id, sender_id, text) values (pg_temp.id('walk'), pg_temp.id('bob'), 'z');
select is(current_setting('chat.hints'), '', 'revs.2: or none, for bulk work');
select is(current_setting('synchronous_commit'), 'on', 'revs.3: a rev that is delivered is not lost in a crash: synchronous_commit is on');

savepoint swap;
with gone as (
  delete from chat.messages m where m.chat_id = pg_temp.id('walk') and m.text = 'z' returning m.chat_id, m.rev
), said as (
  insert into chat.messages (chat_id, sender_id, text) select g.chat_id, pg_temp.id('bob'), 'instead' from gone g returning rev
)
select is((select said.rev > gone.rev from gone, said), true, 'revs.3: a statement that removes the last message and says another uses no rev twice');
rollback to swap;

savepoint purge;
delete from chat.messages where chat_id = pg_temp.id('walk') and text = 'z';
create temporary table height on commit drop as select max(t.rev) as rev from chat.tombstones t where t.chat_id = pg_temp.id('walk');
delete from chat.tombstones where chat_id = pg_temp.id('walk');
select results_eq(
  $$select t.kind, t.rev from chat.tombstones t where t.chat_id = pg_temp.id('walk')$$,
  $$select 'reset', h.rev from height h$$,
  'revs.3: purged tombstones leave a reset at their height');
rollback to purge;

-- removed for good -------------------------------------------------------------------------------------------

select pg_temp.refused('truncate chat.messages cascade', 'PT409', 'revs.3', 'messages are not truncated');
select pg_temp.refused('truncate chat.participants cascade', 'PT409', 'revs.3', 'nor participants');
select pg_temp.refused('truncate chat.chats cascade', 'PT409', 'revs.3', 'nor chats');
select pg_temp.refused('truncate chat.tombstones', 'PT409', 'revs.3', 'nor tombstones');
select pg_temp.refused('truncate chat.users cascade', 'PT409', 'revs.3', 'nor by way of the users');
select is(pg_temp.head(), '19', 'revs.2: the head is 19');
delete from chat.messages where text in ('y', 'z');
select pg_temp.sees($$select rev || ' ' || kind from chat.tombstones$$, '14 message, 20 message, 21 message', 'revs.3', 'removed messages leave a tombstone each, above every rev that was given');
select pg_temp.sees($$select count(*) from chat.tombstones t where t.row_id in (select id from chat.messages)$$, '0', 'tombstones.1', 'which bears the id of what was removed');
insert into chat.messages (chat_id, id, sender_id, text) values (pg_temp.id('walk'), pg_temp.id('last'), pg_temp.id('bob'), 'last');
select is(pg_temp.head(), '22', 'revs.3: the next one goes on from there');
delete from chat.messages where id = pg_temp.id('last');
select is(pg_temp.head(), '23', 'revs.3: the newest leaves one too');
delete from chat.participants where chat_id = pg_temp.id('walk') and user_id = pg_temp.id('mallory');
select pg_temp.sees($$select kind || ' ' || (row_id = pg_temp.id('mallory')) from chat.tombstones where rev = 24$$, 'participant true', 'revs.3', 'and so does a participation');
select pg_temp.become('bob');
select pg_temp.refused($$insert into chat.messages (chat_id, id, text) values (pg_temp.id('walk'), pg_temp.id('last'), 'x')$$, 'PT409', 'messages.14', 'the id of a removed message is not used again');
select pg_temp.refused($$select chat.expect_free_id(pg_temp.id('walk'), pg_temp.id('last'))$$, 'PT409', 'messages.14', '… and one is told why');

-- replies to what is removed for good
insert into chat.messages (chat_id, id, text, reply_to_id) values (pg_temp.id('walk'), pg_temp.id('r1'), 'reply', pg_temp.id('a2')), (pg_temp.id('walk'), pg_temp.id('r2'), 'reply', pg_temp.id('a2'));
select chat.delete_message(pg_temp.id('walk'), pg_temp.id('r1'));
select pg_temp.become('chat_owner');
select pg_temp.does($$delete from chat.messages where id = pg_temp.id('a2')$$, 1, 'messages.11', 'a deleted reply stays as it was, and stops nobody from removing what it answered');
select pg_temp.sees($$select count(*) from chat.messages where reply_to_id = pg_temp.id('a2') and rev = seq and deleted_at is null$$, '1', 'messages.10', 'a reply keeps what it answers, though it is removed');
select is(pg_temp.outcome($$update chat.messages set reply_to_id = null where id = pg_temp.id('r2')$$, false), 'PT409 messages_keep_their_identity', 'messages.10: … for good');
select is(pg_temp.outcome($$update chat.messages set text = 'x' where id = pg_temp.id('r1')$$, false), 'PT409 messages_stay_deleted', 'messages.11: a deleted reply is not changed');

-- who sees tombstones ----------------------------------------------------------------------------------------

select pg_temp.become('bob');
select pg_temp.sees('select count(*) > 3 from chat.tombstones', 'true', 'tombstones.1', 'bob learns the ids of what was removed');
select pg_temp.become('mallory');
select pg_temp.sees('select count(*) from chat.tombstones', '0', 'tombstones.1', 'a stranger learns none');
select pg_temp.become('carol');
select pg_temp.sees('select count(*) from chat.tombstones', '0', 'tombstones.1', 'nor does who left');
select pg_temp.become('anon');
select pg_temp.sees('select count(*) from chat.tombstones', '0', 'tombstones.1', 'nor anon');
select pg_temp.become('chat_auditor');
select pg_temp.sees('select count(*) > 3 from chat.tombstones', 'true', 'staff.2', 'auditors see tombstones');
select pg_temp.become('service_role');
select pg_temp.sees('select count(*) > 3 from chat.tombstones', 'true', 'staff.2', 'the service role sees them');
select pg_temp.refused('delete from chat.tombstones', '42501', 'tombstones.1', 'and removes none');
select pg_temp.become('bob');
select pg_temp.refused($$insert into chat.tombstones (chat_id, rev, kind) values (pg_temp.id('walk'), 1000, 'reset')$$, '42501', 'tombstones.1', 'nobody sets a tombstone by hand');
select pg_temp.become('chat_owner');
select pg_temp.refused($$insert into chat.tombstones (chat_id, rev, kind) values (pg_temp.id('walk'), 1000, 'user')$$, '23514', 'tombstones.2', 'there are none for users');
update chat.settings set history = 'since_join';
select pg_temp.become('bob');
insert into chat.participants (chat_id, user_id) values (pg_temp.id('walk'), pg_temp.id('mallory'));
select pg_temp.become('mallory');
select pg_temp.sees('select count(*) from chat.tombstones', '0', 'participants.11', 'since_join: nor what was removed before one came');
select pg_temp.become('chat_owner');
update chat.settings set history = 'all', anon_reads_public_rooms = true;
select pg_temp.become('adam');
select chat.create_room('square', 'public', null, pg_temp.id('square'));
insert into chat.messages (chat_id, text) select pg_temp.id('square'), 'spam ' || i from generate_series(1, 1001) i;
select pg_temp.become('chat_owner');
delete from chat.messages where chat_id = pg_temp.id('square');
select pg_temp.become('anon');
select pg_temp.sees($$select kind || ' ' || rev || ' ' || (row_id is null) from chat.tombstones$$, 'reset 2004 true', 'tombstones.1', 'more than 1,000 at once leave one reset, which the readers of a public room see');

-- a chat removed for good ------------------------------------------------------------------------------------

select pg_temp.become('chat_owner');
create temp table were_in as select p.user_id from chat.participants p where p.chat_id = pg_temp.id('walk');
create temp table height as select max(t.rev) as rev from chat.tombstones t where t.chat_id = pg_temp.id('walk');
select pg_temp.does($$delete from chat.chats where id = pg_temp.id('walk')$$, 1, 'tombstones.1', 'a chat is removed for good');
select pg_temp.sees($$select kind || ' ' || (t.rev > h.rev) from chat.tombstones t, height h where t.chat_id = pg_temp.id('walk') and t.kind = 'chat'$$, 'chat true', 'revs.3', '… and leaves a tombstone, above all that it had');
select set_eq($$select t.row_id from chat.tombstones t, height h where t.chat_id = pg_temp.id('walk') and t.kind = 'participant' and t.rev > h.rev$$, 'select user_id from were_in', 'tombstones.1: … and one for each who was ever in it');
insert into chat.chats (id, type) values (pg_temp.id('walk'), 'group');
select pg_temp.sees($$select c.rev > t.rev from chat.chats c join chat.tombstones t on t.chat_id = c.id and t.kind = 'chat'$$, 'true', 'revs.3', 'a chat with the same id goes on above it');

select * from finish();
rollback;

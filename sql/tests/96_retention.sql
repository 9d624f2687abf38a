-- Upkeep: what the settings keep no longer goes, what they keep stays, and erasures come to their end.
begin isolation level read committed;
select plan(61);
set local client_min_messages = warning;

\ir people.psql

create function pg_temp.upkeep() returns text language plpgsql as $$
-- until nothing is left; what it came to
declare
  slice record;
  total text;
  removed integer := 0;
  ended integer := 0;
  skipped integer := 0;
begin
  loop
    select u.removed, u.ended, u.skipped, u.more into slice from chat.upkeep() u;
    removed := removed + slice.removed;
    ended := ended + slice.ended;
    skipped := skipped + slice.skipped;
    exit when slice.more is not true;
  end loop;
  return concat_ws(' ', removed, ended, skipped, case when slice.more is null then 'elsewhere' end);
end
$$;
create function pg_temp.said(_chat text) returns text language sql as $$
  select coalesce(string_agg(m.text, ' ' order by m.seq), 'nothing') from chat.messages m where m.chat_id = pg_temp.id(_chat)
$$;

select pg_temp.become(w.who), chat.introduce_me() from unnest(array['alice', 'bob', 'carol', 'mallory', 'adam']) w (who);
select pg_temp.become('alice');
insert into chat.friendships (requester_id, addressee_id) values (pg_temp.id('alice'), pg_temp.id('bob'));
select pg_temp.become('bob');
update chat.friendships set accepted_at = now() where requester_id = pg_temp.id('alice');
select set_config('test.direct', d.chat_id::text, true) from chat.open_direct(pg_temp.id('alice')) d;
select pg_temp.become('adam');
select chat.create_room('square', 'public', null, pg_temp.id('square'));
select chat.create_room('other', 'public', null, pg_temp.id('other'));
select chat.create_room('gone', 'public', null, pg_temp.id('gone'));
select chat.create_room('yard', 'unlisted', null, pg_temp.id('yard'));
select chat.create_room('cellar', 'private', null, pg_temp.id('cellar'));
select pg_temp.become('alice');
select chat.join_room(r.room) from unnest(array[pg_temp.id('square'), pg_temp.id('other'), pg_temp.id('gone')]::text[]) r (room);
select chat.create_group('walk', array[pg_temp.id('bob')], pg_temp.id('walk'));
select pg_temp.become('bob');
select chat.join_room(pg_temp.id('square')::text);

-- who does it ------------------------------------------------------------------------------------------------

select pg_temp.become('alice');
select pg_temp.refused('select chat.upkeep()', '42501', 'retention.4', 'people do no upkeep');
select pg_temp.become('adam');
select pg_temp.refused('select chat.upkeep()', '42501', 'retention.4', 'nor does an admin');
select pg_temp.become('anon');
select pg_temp.refused('select chat.upkeep()', '42501', 'retention.4', 'nor anon');
select pg_temp.become('chat_auditor');
select pg_temp.refused('select chat.upkeep()', '42501', 'staff.2', 'nor an auditor');
select pg_temp.become('chat_relay');
select pg_temp.refused('select chat.upkeep()', '42501', 'retention.4', 'nor the relay');
select pg_temp.become('service_role');
select is(pg_temp.upkeep(), '0 0 0', 'retention.4: the host application does');
select pg_temp.refused('update chat_private.upkeep_place set step = step', '42501', 'retention.4', '… and says not where it goes on');
select pg_temp.become('chat_api');
select is(pg_temp.upkeep(), '0 0 0', 'retention.4: and the login of the server, which may do nothing else');
select pg_temp.become('chat_owner');
select is(pg_temp.upkeep(), '0 0 0', 'retention.4: and the DBA');

-- public rooms keep their last messages ----------------------------------------------------------------------

select pg_temp.become('alice');
insert into chat.messages (chat_id, id, text) select pg_temp.id('square'), pg_temp.id('s' || n), 's' || n from generate_series(1, 10) n;
insert into chat.messages (chat_id, text) select pg_temp.id(w.chat), left(w.chat, 1) || n
from unnest(array['other', 'gone', 'walk']) w (chat), generate_series(1, 6) n;
insert into chat.messages (chat_id, text) select current_setting('test.direct')::uuid, 'd' || n from generate_series(1, 6) n;
select pg_temp.become('adam');
insert into chat.messages (chat_id, text) select pg_temp.id(w.chat), left(w.chat, 1) || n
from unnest(array['yard', 'cellar']) w (chat), generate_series(1, 6) n;
select chat.delete_chat(pg_temp.id('gone'));
select pg_temp.become('bob');
insert into chat.messages (chat_id, id, text, reply_to_id) values (pg_temp.id('square'), pg_temp.id('reply'), 'reply', pg_temp.id('s2'));
insert into chat.reactions (chat_id, message_id, emoji) values (pg_temp.id('square'), pg_temp.id('s1'), '👍'), (pg_temp.id('square'), pg_temp.id('s10'), '👍');
insert into chat.read_markers (chat_id, seq) select m.chat_id, m.seq from chat.messages m where m.id = pg_temp.id('s3');
select pg_temp.become('alice');
update chat.messages set text = 's1 edited' where id = pg_temp.id('s1');
update chat.messages set text = 's9 edited' where id = pg_temp.id('s9');
select chat.delete_message(pg_temp.id('square'), pg_temp.id('s8'));
select pg_temp.become('adam');
update chat.messages set pinned_at = now() where id = pg_temp.id('s2');

select pg_temp.become('chat_owner');
select is(pg_temp.upkeep(), '0 0 0', 'retention.1: without a number, rooms keep all');
update chat.settings set keep_messages = 4;
create temp table head on commit drop as select chat_private.head_rev(pg_temp.id('square')) as rev;
grant select on head to authenticated;
select is(pg_temp.upkeep(), '8 0 0', 'retention.1: with one, what is older is removed');
select is(pg_temp.said('square'), 's7 s8 s9 edited s10 reply', 'retention.1: a public room keeps its last messages, those apart that are deleted; a pin keeps none');
select is(pg_temp.said('other'), 'o3 o4 o5 o6', 'retention.1: and so does the next');
select is(pg_temp.said('walk'), 'w1 w2 w3 w4 w5 w6', 'retention.1: a group is not cut');
select is(pg_temp.said('yard'), 'y1 y2 y3 y4 y5 y6', 'retention.1: nor an unlisted room');
select is(pg_temp.said('cellar'), 'c1 c2 c3 c4 c5 c6', 'retention.1: nor a private one');
select is(pg_temp.said('gone'), 'g1 g2 g3 g4 g5 g6', 'retention.1: nor one that is deleted');
select pg_temp.sees($$select count(*) from chat.messages where chat_id = current_setting('test.direct')::uuid$$, '6', 'retention.1', 'nor a direct chat');
select is(pg_temp.upkeep(), '0 0 0', 'retention.1: a second pass finds nothing');
update chat.settings set keep_messages = 5;
select is(pg_temp.upkeep(), '0 0 0', 'retention.1: nor does one that keeps more');

select pg_temp.sees($$select count(*) from chat.message_edits where message_id = pg_temp.id('s1')$$, '0', 'retention.1', 'earlier texts go with a message');
select pg_temp.sees($$select text from chat.message_edits where message_id = pg_temp.id('s9')$$, 's9', 'retention.1', '… and stay with one that stays');
select pg_temp.sees($$select message_id = pg_temp.id('s10') from chat.reactions$$, 'true', 'retention.1', 'reactions go with a message, and stay with one that stays');
select set_eq($$select t.row_id from chat.tombstones t where t.chat_id = pg_temp.id('square') and t.kind = 'message'$$,
  $$select pg_temp.id('s' || n) from generate_series(1, 6) n$$, 'retention.3: what is removed leaves its id');
select pg_temp.sees($$select count(distinct t.rev) || ' ' || bool_and(t.rev > h.rev) from chat.tombstones t, head h where t.chat_id = pg_temp.id('square')$$, '6 true', 'revs.3', '… each with a rev above all that were given');
select pg_temp.become('bob');
select pg_temp.sees($$select text from chat.messages where id = pg_temp.id('reply') and reply_to_id = pg_temp.id('s2')$$, 'reply', 'retention.1', 'a reply to what is removed stays, and keeps what it answers');
select pg_temp.does($$update chat.read_markers set seq = (select min(m.seq) from chat.messages m where m.chat_id = pg_temp.id('square')) where chat_id = pg_temp.id('square')$$, 1, 'reads.3', 'a marker on what is removed goes on');
select pg_temp.sees($$select what || ' ' || count(*) from chat.changes(pg_temp.id('square'), (select h.rev from head h)) group by what$$, 'head 1, removed message 6', 'changes.1', 'who was there is told each id');
select pg_temp.become('alice');
select pg_temp.refused($$insert into chat.messages (chat_id, id, text) values (pg_temp.id('square'), pg_temp.id('s1'), 's1 again')$$, 'PT409', 'messages.14', 'what was removed is not sent again by its id');
select pg_temp.become('service_role');
select pg_temp.sees($$select imported || ' ' || already_there from chat.import_messages(pg_temp.id('square'), jsonb_build_array(jsonb_build_object('id', pg_temp.id('s2'), 'text', 'x', 'createdAt', '2020-01-01T00:00:00Z')))$$, '0 1', 'imports.3', 'nor imported');

-- under the lock a room may be another, and newer messages may be deleted
select pg_temp.become('chat_owner');
update chat.settings set keep_messages = 2;
update chat.chats set visibility = 'private' where id = pg_temp.id('square');
select pg_temp.sees($$select removed from chat_private.cut_room(pg_temp.id('square'), 0, 10)$$, '0', 'retention.1', 'a room that was closed meanwhile is not cut');
update chat.chats set visibility = 'public' where id = pg_temp.id('square');
select pg_temp.sees($$select removed || ' ' || (upto is not null) from chat_private.cut_room(pg_temp.id('square'), 0, 1)$$, '1 true', 'retention.1', 'what is too much for a slice is gone on with');
select is(pg_temp.said('square'), 's8 s9 edited s10 reply', 'retention.1: … the oldest first');
select is(pg_temp.upkeep(), '4 0 0', 'retention.1: … to the end');

-- many --------------------------------------------------------------------------------------------------------

select pg_temp.become('alice');
insert into chat.messages (chat_id, text) select pg_temp.id('square'), 'flood ' || n from generate_series(1, 2500) n;
select pg_temp.become('chat_owner');
update chat.settings set keep_messages = 10;
select is((select count(*) from chat.messages m where m.chat_id = pg_temp.id('square'))::text, '2502', 'retention.1: there are many');
select pg_temp.sees('select removed || '' '' || more from chat.upkeep()', '999 true', 'retention.1', 'a slice takes 1,000 rows, an earlier text among them');
select is(pg_temp.upkeep(), '1493 0 0', 'retention.1: the others the rest');
select is(pg_temp.said('square'), 'flood 2491 flood 2492 flood 2493 flood 2494 flood 2495 flood 2496 flood 2497 flood 2498 flood 2499 flood 2500', 'retention.1: the newest are kept');
select pg_temp.sees($$select kind || ' ' || count(*) from chat.tombstones where chat_id = pg_temp.id('square') group by kind$$, 'message 1000, reset 1', 'retention.3', 'a room keeps 1,000 ids, and one reset below them');
select pg_temp.sees($$select t.rev < (select min(o.rev) from chat.tombstones o where o.chat_id = t.chat_id and o.kind = 'message') from chat.tombstones t where t.kind = 'reset'$$, 'true', 'retention.3', '… at the height of what is forgotten');
select pg_temp.sees($$select count(*) from chat_private.search_pages p where p.chat_id = pg_temp.id('square') and not exists (select from chat.messages m where m.chat_id = p.chat_id and m.seq between p.first_seq and p.last_seq)$$, '0', 'retention.1', 'no page of search is without messages');
select pg_temp.sees($$select count(*) > 0 from chat_private.search_pages p where p.chat_id = pg_temp.id('square')$$, 'true', 'retention.1', '… those with some are still there');
select pg_temp.become('bob');
select pg_temp.sees($$select text from chat.search('flood 2495')$$, 'flood 2495', 'search.1', 'what is kept is found');
select pg_temp.sees($$select count(*) from chat.search('"flood 3"')$$, '0', 'search.1', 'what is removed is not');
select pg_temp.sees($$select what from chat.changes(pg_temp.id('square'), 5)$$, 'reset', 'changes.1', 'who was away while all went that they had lists the room anew');

-- deleted messages ----------------------------------------------------------------------------------------------

select pg_temp.become('alice');
insert into chat.messages (chat_id, id, text) select pg_temp.id('walk'), pg_temp.id('x' || n), 'x' || n from generate_series(1, 5) n;
update chat.messages set text = 'secret' where id = pg_temp.id('x5');
update chat.messages set text = 'x5' where id = pg_temp.id('x5');
select chat.delete_message(pg_temp.id('walk'), pg_temp.id('x' || n)) from generate_series(3, 5) n;
select pg_temp.become('chat_owner');
select is(pg_temp.upkeep(), '0 0 0', 'retention.2: without a time, deleted messages are kept');
update chat.settings set keep_deleted = '1 hour';
select is(pg_temp.upkeep(), '0 0 0', 'retention.2: those deleted just now are kept for the hour');
-- an hour passes for x3 and x4, past the rule that a deleted message stays as it was
alter table chat.messages disable trigger _900_rev;
update chat.messages set deleted_at = clock_timestamp() - interval '61 minutes' where id in (pg_temp.id('x3'), pg_temp.id('x4'));
alter table chat.messages enable trigger _900_rev;
select is(pg_temp.upkeep(), '2 0 0', 'retention.2: after it they are removed for good');
select is(pg_temp.said('walk'), 'w1 w2 w3 w4 w5 w6 x1 x2 x5', 'retention.2: … and no other');
update chat.settings set keep_deleted = '0';
select is(pg_temp.upkeep(), '1 0 0', 'retention.2: zero keeps none');
select set_eq($$select t.row_id from chat.tombstones t where t.chat_id = pg_temp.id('walk') and t.kind = 'message'$$,
  $$select pg_temp.id('x' || n) from generate_series(3, 5) n$$, 'retention.3: they leave their ids');
select pg_temp.sees($$select count(*) from chat.message_edits where text = 'secret'$$, '0', 'retention.2', 'and no earlier text');
select pg_temp.become('alice');
select pg_temp.refused($$insert into chat.messages (chat_id, id, text) values (pg_temp.id('walk'), pg_temp.id('x5'), 'x')$$, 'PT409', 'messages.14', 'which are not used again');
select pg_temp.does($$insert into chat.messages (chat_id, id, text) values (pg_temp.id('walk'), pg_temp.id('x6'), 'x6')$$, 1, 'revs.3', 'and the chat goes on');

-- one by one, in as few chats as may be held
select pg_temp.become('chat_owner');
insert into chat.chats (id, type, name) select pg_temp.id('many' || n), 'room', 'many' from generate_series(1, 60) n;
insert into chat.messages (chat_id, sender_id, kind, text) select pg_temp.id('many' || n), pg_temp.id('alice'), 'user', 'x' from generate_series(1, 60) n, generate_series(1, 3);
update chat.messages set deleted_at = clock_timestamp() where text = 'x' and chat_id in (select pg_temp.id('many' || n) from generate_series(1, 60) n);
select pg_temp.sees('select more from chat.upkeep()', 'true', 'retention.2', 'when there are many,');
select pg_temp.sees($$select count(distinct t.chat_id) from chat.tombstones t where t.chat_id in (select pg_temp.id('many' || n) from generate_series(1, 60) n)$$, '50', 'retention.2', '… a slice holds at most 50 chats');
select isnt(pg_temp.upkeep(), '0 0 0', 'retention.2: … the others the rest');
select pg_temp.sees('select count(*) from chat.messages m where m.deleted_at is not null', '0', 'retention.2', '… to the end');

-- erasures ------------------------------------------------------------------------------------------------------

select pg_temp.become('bob');
insert into chat.messages (chat_id, id, text) values (pg_temp.id('walk'), pg_temp.id('b1'), 'secret');
select chat.erase_me();
select pg_temp.become('chat_owner');
select pg_temp.sees($$select text from chat.messages where id = pg_temp.id('b1')$$, 'secret', 'users.10', 'an erasure that was begun');
select is(pg_temp.upkeep(), '0 1 0', 'users.10: … comes to its end though nobody asks again');
select pg_temp.sees($$select text || ' ' || (select count(*) from chat_private.erasures) from chat.messages where id = pg_temp.id('b1')$$, '[erased] 0', 'users.10', '… whole');

select * from finish();
rollback;

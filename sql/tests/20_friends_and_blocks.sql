-- Friendships and blocks: made for oneself, accepted by the other, seen by nobody else.
begin isolation level read committed;
select plan(50);
set local client_min_messages = warning;

\ir people.psql

select pg_temp.become(w.who), chat.introduce_me() from unnest(array['alice', 'bob', 'carol', 'mallory']) w (who);

-- friendships ------------------------------------------------------------------------------------------------

select pg_temp.become('alice');
select pg_temp.does($$insert into chat.friendships (addressee_id) values (pg_temp.id('bob'))$$, 1, 'friends.2', 'alice asks bob');
select pg_temp.refused($$insert into chat.friendships (requester_id, addressee_id) values (pg_temp.id('carol'), pg_temp.id('bob'))$$, '42501', 'friends.2', 'she does not ask him for carol');
select pg_temp.refused($$insert into chat.friendships (requester_id, addressee_id) values (pg_temp.id('carol'), pg_temp.id('alice'))$$, '42501', 'friends.2', 'nor herself for carol');
select pg_temp.refused($$insert into chat.friendships (addressee_id, accepted_at) values (pg_temp.id('carol'), now())$$, '42501', 'friends.3', 'she does not accept while asking');
select pg_temp.refused($$insert into chat.friendships (addressee_id) values (pg_temp.id('nobody'))$$, 'PT404', 'users.8', 'she does not ask who does not exist');
select pg_temp.refused('update chat.friendships set accepted_at = now()', 'PT403', 'friends.3', 'who asked does not accept');
select pg_temp.refused($$insert into chat.friendships (addressee_id) values (pg_temp.id('bob')) on conflict (requester_id, addressee_id) do update set accepted_at = now()$$, 'PT403', 'friends.3', 'nor by upsert');
select pg_temp.refused($$insert into chat.friendships (addressee_id) values (pg_temp.id('alice'))$$, '23514', 'friends.5', 'alice is not her own friend');
select pg_temp.refused($$update chat.friendships set addressee_id = pg_temp.id('alice')$$, '42501', 'friends.3', 'nobody rewrites who asked whom');
select pg_temp.sees('select accepted_at is not null from chat.friendships', 'false', 'friends.1', 'alice sees what she asked for');
select pg_temp.become('mallory');
select pg_temp.sees('select 1 from chat.friendships', 'nothing', 'friends.1', 'mallory does not see that alice asked bob');
select pg_temp.does('update chat.friendships set accepted_at = now()', 0, 'friends.3', 'nor accepts for him');
select pg_temp.does('delete from chat.friendships', 0, 'friends.4', 'nor ends what is not hers');
select pg_temp.become('anon');
select pg_temp.refused('select 1 from chat.friendships', '42501', 'friends.1', 'anon sees no friendships');
select pg_temp.become('bob');
select pg_temp.sees('select accepted_at is not null from chat.friendships', 'false', 'friends.1', 'bob sees that he is asked');
select pg_temp.refused($$insert into chat.friendships (addressee_id) values (pg_temp.id('alice'))$$, '23505', 'friends.7', 'bob asking back makes no second friendship');
select pg_temp.does($$update chat.friendships set accepted_at = '2001-01-01'$$, 1, 'friends.3', 'bob, who was asked, accepts');
select pg_temp.sees($$select accepted_at > now() - interval '1 hour' from chat.friendships$$, 'true', 'friends.3', '… at the time that it is');
select pg_temp.does($$update chat.friendships set accepted_at = null$$, 1, 'friends.3', 'what is accepted');
select pg_temp.sees('select accepted_at is not null from chat.friendships', 'true', 'friends.3', '… stays accepted until it is ended');
select pg_temp.become('alice');
select pg_temp.does('delete from chat.friendships', 1, 'friends.4', 'alice ends it');
insert into chat.friendships (addressee_id) values (pg_temp.id('bob'));
select pg_temp.become('bob');
select pg_temp.does('delete from chat.friendships', 1, 'friends.4', 'and bob as well could, who was asked');
insert into chat.friendships (addressee_id) values (pg_temp.id('alice'));
select pg_temp.does('delete from chat.friendships', 1, 'friends.4', 'who asked takes the request back');
select pg_temp.become('service_role');
select pg_temp.does($$insert into chat.friendships (requester_id, addressee_id, accepted_at) values (pg_temp.id('carol'), pg_temp.id('bob'), now())$$, 1, 'staff.1', 'the host brings friendships along');
select pg_temp.become('chat_auditor');
select pg_temp.sees('select count(*) from chat.friendships', '1', 'staff.2', 'auditors see friendships');
select pg_temp.refused('delete from chat.friendships', '42501', 'staff.2', 'and end none');
select pg_temp.become('service_role');
select pg_temp.does('delete from chat.friendships', 1, 'staff.1', 'the host ends friendships');

-- blocks -----------------------------------------------------------------------------------------------------

select pg_temp.become('alice');
insert into chat.friendships (addressee_id) values (pg_temp.id('bob'));
insert into chat.friendships (addressee_id) values (pg_temp.id('carol'));
select pg_temp.become('bob');
update chat.friendships set accepted_at = now();
select pg_temp.refused($$insert into chat.blocks (blocker_id, blocked_id) values (pg_temp.id('alice'), pg_temp.id('carol'))$$, '42501', 'blocks.2', 'bob does not block for alice');
select pg_temp.sees('select 1 from chat.friendships', '1', 'blocks.4', '… which would have ended her friendship');
select pg_temp.refused($$insert into chat.blocks (blocked_id) values (pg_temp.id('bob'))$$, '23514', 'blocks.3', 'bob does not block himself');
select pg_temp.refused($$insert into chat.blocks (blocked_id) values (pg_temp.id('nobody'))$$, 'PT404', 'users.8', 'nor who does not exist');
select pg_temp.become('alice');
select pg_temp.does($$insert into chat.blocks (blocked_id) values (pg_temp.id('bob'))$$, 1, 'blocks.2', 'alice blocks bob');
select pg_temp.sees('select addressee_id = pg_temp.id(''carol'') from chat.friendships', 'true', 'blocks.4', 'that ends their friendship, and no other');
select pg_temp.sees('select blocked_id = pg_temp.id(''bob'') from chat.blocks', 'true', 'blocks.1', 'alice sees whom she blocks');
select pg_temp.refused($$update chat.blocks set blocked_id = pg_temp.id('carol')$$, '42501', 'blocks.2', 'a block is made or lifted, never changed');
select pg_temp.refused($$insert into chat.friendships (addressee_id) values (pg_temp.id('bob'))$$, 'PT403', 'friends.6', 'who blocks does not ask the blocked');
select pg_temp.become('bob');
select pg_temp.sees('select 1 from chat.blocks', 'nothing', 'blocks.1', 'bob does not see that he is blocked');
select pg_temp.does('delete from chat.blocks', 0, 'blocks.2', 'nor lifts it');
select pg_temp.refused($$insert into chat.friendships (addressee_id) values (pg_temp.id('alice'))$$, 'PT403', 'friends.6', 'nor asks alice again');
select pg_temp.refused($$insert into chat.friendships (addressee_id) values (pg_temp.id('alice')) on conflict do nothing$$, 'PT403', 'friends.6', 'nor by upsert');
select pg_temp.does($$insert into chat.friendships (addressee_id) values (pg_temp.id('carol'))$$, 1, 'friends.6', 'he asks others as before');
select pg_temp.become('mallory');
select pg_temp.sees('select 1 from chat.blocks', 'nothing', 'blocks.1', 'a third person sees no block');
select pg_temp.become('anon');
select pg_temp.refused('select 1 from chat.blocks', '42501', 'blocks.1', 'nor does anon');
select pg_temp.become('chat_auditor');
select pg_temp.sees('select count(*) from chat.blocks', '1', 'staff.2', 'auditors see blocks');
select pg_temp.refused('delete from chat.blocks', '42501', 'staff.2', 'and lift none');

-- a request that was open when the block came: it is gone, so there is nothing to accept
select pg_temp.become('mallory');
insert into chat.friendships (addressee_id) values (pg_temp.id('alice'));
insert into chat.blocks (blocked_id) values (pg_temp.id('alice'));
select pg_temp.become('alice');
select pg_temp.does('update chat.friendships set accepted_at = now() where requester_id = pg_temp.id(''mallory'')', 0, 'blocks.4', 'a block takes a request with it');
select pg_temp.become('chat_owner');
insert into chat.friendships (requester_id, addressee_id) values (pg_temp.id('mallory'), pg_temp.id('alice'));
select pg_temp.become('alice');
select pg_temp.refused('update chat.friendships set accepted_at = now() where requester_id = pg_temp.id(''mallory'')', 'PT403', 'friends.6', 'a request over a block is not accepted');
select pg_temp.does('delete from chat.blocks', 1, 'blocks.2', 'alice lifts her block, and no other');
select pg_temp.become('bob');
select pg_temp.does($$insert into chat.friendships (addressee_id) values (pg_temp.id('alice'))$$, 1, 'friends.6', 'then bob may ask again');
select pg_temp.become('service_role');
select pg_temp.does('delete from chat.blocks', 1, 'staff.1', 'the host lifts blocks');

select * from finish();
rollback;

-- Participants: who is in a chat, who comes, who goes, and what each may do to the others.
begin isolation level read committed;
select plan(119);
set local client_min_messages = warning;

\ir people.psql

select pg_temp.become(w.who), chat.introduce_me() from unnest(array['alice', 'bob', 'carol', 'dave', 'erin', 'mallory', 'adam']) w (who);
select pg_temp.become('adam');
select chat.create_room('square', 'public', null, pg_temp.id('square'));
select pg_temp.become('alice');
select chat.create_group('walk', array[pg_temp.id('bob'), pg_temp.id('carol'), pg_temp.id('dave')], pg_temp.id('walk'));
select chat.create_room('den', 'unlisted', null, pg_temp.id('den'));
select chat.create_room('cell', 'private', null, pg_temp.id('cell'));
select set_config('test.den', c.uid, true) from chat.chats c where c.id = pg_temp.id('den');
select set_config('test.cell', c.uid, true) from chat.chats c where c.id = pg_temp.id('cell');

-- who is seen ------------------------------------------------------------------------------------------------

select pg_temp.become('bob');
select pg_temp.sees($$select display_name || ' ' || role from chat.people(pg_temp.id('walk'))$$, 'Alice owner, Bob member, Carol member, Dave member', 'participants.1', 'bob sees who is in the group and what they are called');
select pg_temp.sees($$select display_name from chat.people(pg_temp.id('square'))$$, 'Adam', 'participants.1', 'and who is in a public room');
select pg_temp.become('mallory');
select pg_temp.sees($$select display_name from chat.people(pg_temp.id('square'))$$, 'Adam', 'participants.1', 'a stranger learns the names of a public room');
select pg_temp.sees($$select c.word || ' ' || p.display_name from unnest(array['walk', 'den', 'cell']) c (word), chat.people(pg_temp.id(c.word)) p$$, 'nothing', 'participants.1', 'and of no other chat');
select pg_temp.sees($$select display_name from chat.people(pg_temp.id('walk'), array[pg_temp.id('alice'), pg_temp.id('mallory')])$$, 'nothing', 'participants.1', '… by asking for people either');
select pg_temp.sees($$select display_name from chat.people(pg_temp.id('square'), array[pg_temp.id('alice'), pg_temp.id('adam'), pg_temp.id('adam'), null])$$, 'Adam', 'participants.1', 'nor of who is not in the public room');
select pg_temp.sees($$select user_id from chat.participants where chat_id in (pg_temp.id('walk'), pg_temp.id('den'), pg_temp.id('cell'))$$, 'nothing', 'participants.1', 'she does not see who is in what she does not read');
select pg_temp.refused($$select 1 from chat_private.people(pg_temp.id('walk'), null)$$, '42501', 'participants.1', 'she cannot call the function behind the names');
select pg_temp.refused('select 1 from chat_private.my_memberships', '42501', 'participants.1', 'nor name the views behind the policies');
create function pg_temp.leak(_what text) returns boolean language plpgsql cost 0.0001 as $$
begin
  perform set_config('test.leaked', concat_ws(', ', nullif(current_setting('test.leaked', true), ''), _what), true);
  return true;
end
$$;
select pg_temp.sees($$select user_id = pg_temp.id('adam') from chat.participants where pg_temp.leak(user_id::text)$$, 'true', 'participants.1', 'a function of hers in WHERE');
select is(current_setting('test.leaked'), pg_temp.id('adam')::text, 'participants.1: … is not shown the others');
select pg_temp.become('anon');
select pg_temp.sees($$select display_name from chat.people(pg_temp.id('square')) union all select user_id::text from chat.participants$$, 'nothing', 'participants.1', 'anon sees nobody while the settings don''t open public rooms');
select pg_temp.become('chat_owner');
update chat.settings set anon_reads_public_rooms = true;
select pg_temp.become('anon');
select pg_temp.sees($$select display_name from chat.people(pg_temp.id('square')) union all select display_name from chat.people(pg_temp.id('walk'))$$, 'Adam', 'participants.1', 'and the people of public rooms when they do');
select pg_temp.become('chat_auditor');
select pg_temp.sees('select count(*) from chat.participants p join chat.users u on u.id = p.user_id', '7', 'staff.2', 'auditors see all participants, and what they are called');
select pg_temp.refused('update chat.participants set role = ''owner''', '42501', 'staff.2', 'and change none');

-- a token without a sub is nobody, also where everyone may look
select set_config('role', 'authenticated', true), set_config('request.jwt.claims', '{"role": "authenticated"}', true);
select pg_temp.refused($$update chat.participants set left_at = now() where chat_id = pg_temp.id('square')$$, 'PT403', 'participants.5', 'a token without a sub puts nobody out');
select pg_temp.refused($$update chat.participants set role = 'member' where chat_id = pg_temp.id('square')$$, 'PT403', 'participants.4', 'takes no role');
select pg_temp.refused($$insert into chat.participants (chat_id, user_id) values (pg_temp.id('square'), pg_temp.id('mallory'))$$, 'PT403', 'participants.3', 'adds nobody');
select pg_temp.become('chat_owner');
update chat.settings set anon_reads_public_rooms = false;

-- joining ----------------------------------------------------------------------------------------------------

select pg_temp.become('mallory');
select pg_temp.refused($$insert into chat.participants (chat_id) values (pg_temp.id('walk'))$$, 'PT403', 'participants.2', 'mallory does not invite herself into a group');
select pg_temp.refused($$insert into chat.participants (chat_id) values (pg_temp.id('cell'))$$, 'PT403', 'participants.2', 'nor a private room');
select pg_temp.refused($$insert into chat.participants (chat_id) values (pg_temp.id('den'))$$, 'PT403', 'participants.2', 'nor an unlisted one by its id');
select pg_temp.refused($$select chat.join_room(pg_temp.id('den')::text)$$, 'PT403', 'participants.2', '… through the door either');
select pg_temp.refused($$select chat.join_room(upper(pg_temp.id('den')::text))$$, 'PT403', 'participants.2', '… however it is written');
select pg_temp.refused($$select chat.join_room(current_setting('test.cell'))$$, 'PT403', 'participants.2', 'the uid of a private room opens nothing');
select pg_temp.refused($$select chat.join_room('nowhere')$$, 'PT404', 'chats.2', 'nor does one that leads nowhere');
select pg_temp.refused($$select chat.join_room(null)$$, 'PT404', 'chats.2', 'nor null');
select pg_temp.refused($$insert into chat.participants (chat_id, role) values (pg_temp.id('square'), 'owner')$$, 'PT403', 'participants.4', 'nobody joins as an owner');
select pg_temp.refused($$insert into chat.participants (chat_id) values (pg_temp.id('square')), (pg_temp.id('walk'))$$, 'PT403', 'participants.2', 'a public room takes no private one along');
select pg_temp.does($$insert into chat.participants (chat_id) values (pg_temp.id('square'))$$, 1, 'participants.2', 'she joins a public room');
select pg_temp.refused($$insert into chat.participants (chat_id) values (pg_temp.id('square')) on conflict (chat_id, user_id) do update set role = 'owner'$$, 'PT403', 'participants.4', 'an upsert makes her no owner of it');
select pg_temp.refused($$update chat.participants set role = 'owner' where user_id = pg_temp.id('mallory')$$, 'PT403', 'participants.4', 'nor an update');
select pg_temp.refused($$merge into chat.participants p using (values (1)) v on p.user_id = pg_temp.id('mallory') when matched then update set role = 'moderator'$$, 'PT403', 'participants.4', 'nor a merge');
select pg_temp.refused($$update chat.participants set sees_after = 0$$, '42501', 'participants.11', 'from where she reads is not hers to say');
select pg_temp.refused($$update chat.participants set chat_id = pg_temp.id('walk') where user_id = pg_temp.id('mallory')$$, '42501', 'participants.9', 'she does not move into another chat');
select pg_temp.refused($$update chat.participants set user_id = pg_temp.id('mallory') where user_id = pg_temp.id('adam')$$, '42501', 'participants.9', 'nor into another''s place');
select pg_temp.refused($$insert into chat.participants (chat_id, user_id, rev) values (pg_temp.id('square'), pg_temp.id('mallory'), 1)$$, '42501', 'revs.2', 'nor chooses a rev');
select pg_temp.refused($$insert into chat.participants (chat_id, user_id) values (pg_temp.id('square'), pg_temp.id('bob'))$$, 'PT403', 'participants.3', 'a member adds nobody, also to a public room');
select pg_temp.does($$update chat.participants set left_at = now(), role = 'member' where user_id = pg_temp.id('mallory')$$, 1, 'participants.5', 'she leaves');
select pg_temp.does($$update chat.participants set left_at = null, role = 'owner' where user_id = pg_temp.id('mallory') and chat_id = pg_temp.id('square')$$, 1, 'participants.2', 'and comes back by herself, the room being public');
select pg_temp.sees($$select role from chat.participants where user_id = pg_temp.id('mallory')$$, 'member', 'participants.2', '… always as a member');
select pg_temp.does($$select chat.join_room(pg_temp.id('square')::text)$$, 1, 'participants.2', 'a public room is joined by its id as well; twice is once');
select pg_temp.become('bob');
select pg_temp.does($$select chat.join_room(current_setting('test.den'))$$, 1, 'participants.2', 'who knows the uid joins an unlisted room');
select pg_temp.sees($$select display_name || ' ' || role from chat.people(pg_temp.id('den'))$$, 'Alice owner, Bob member', 'participants.2', '… as a member');
update chat.participants set left_at = now() where chat_id = pg_temp.id('den') and user_id = pg_temp.id('bob');
select pg_temp.refused($$update chat.participants set left_at = null where chat_id = pg_temp.id('den') and user_id = pg_temp.id('bob')$$, 'PT403', 'participants.2', 'who left it comes back by the uid alone');
select pg_temp.sees($$select role || ' ' || (left_at is not null) from chat.participants where user_id = pg_temp.id('bob') and chat_id = pg_temp.id('den')$$, 'member true', 'participants.1', 'everyone sees their own participations, ended ones too');
select pg_temp.sees($$select display_name from chat.people(pg_temp.id('den')) union all select user_id::text from chat.participants where chat_id = pg_temp.id('den') and user_id <> pg_temp.id('bob')$$, 'nothing', 'participants.1', '… but not the others of a chat they left');
select pg_temp.does($$select chat.join_room(current_setting('test.den'))$$, 1, 'participants.2', 'by the uid he is back');
select pg_temp.become('anon');
select pg_temp.refused($$insert into chat.participants (chat_id, user_id) values (pg_temp.id('square'), pg_temp.id('bob'))$$, '42501', 'participants.2', 'anon joins nothing');
select pg_temp.refused($$select chat.join_room(pg_temp.id('square')::text)$$, '42501', 'participants.2', 'through no door');

-- adding -----------------------------------------------------------------------------------------------------

select pg_temp.become('bob');
select pg_temp.refused($$insert into chat.participants (chat_id, user_id) values (pg_temp.id('walk'), pg_temp.id('erin'))$$, 'PT403', 'participants.3', 'a member adds nobody');
select pg_temp.refused($$insert into chat.participants (chat_id, user_id) values (pg_temp.id('cell'), pg_temp.id('erin'))$$, 'PT403', 'participants.3', 'nor does a stranger');
select pg_temp.refused($$insert into chat.participants (chat_id, user_id) values (pg_temp.id('cell'), pg_temp.id('alice'))$$, 'PT403', 'participants.3', '… who does not learn by it who is in a chat');
select pg_temp.become('alice');
select pg_temp.does($$update chat.participants set role = 'moderator' where chat_id = pg_temp.id('walk') and user_id = pg_temp.id('bob')$$, 1, 'participants.4', 'the owner makes bob a moderator');
select pg_temp.become('bob');
select pg_temp.does($$insert into chat.participants (chat_id, user_id) values (pg_temp.id('walk'), pg_temp.id('erin'))$$, 1, 'participants.3', 'a moderator adds people');
select pg_temp.refused($$insert into chat.participants (chat_id, user_id, role) values (pg_temp.id('walk'), pg_temp.id('mallory'), 'moderator')$$, 'PT403', 'participants.4', 'but no moderators');
select pg_temp.refused($$insert into chat.participants (chat_id, user_id) values (pg_temp.id('walk'), pg_temp.id('nobody'))$$, 'PT404', 'users.8', 'nor who does not exist');
select pg_temp.refused($$update chat.participants set role = 'moderator' where chat_id = pg_temp.id('walk') and user_id = pg_temp.id('carol')$$, 'PT403', 'participants.4', 'nor gives roles');
select pg_temp.refused($$update chat.participants set role = 'owner' where chat_id = pg_temp.id('walk') and user_id = pg_temp.id('bob')$$, 'PT403', 'participants.4', 'not to himself either');
select pg_temp.refused($$update chat.participants set role = 'member' where chat_id = pg_temp.id('walk') and user_id = pg_temp.id('alice')$$, 'PT403', 'participants.4', 'nor takes them');
select pg_temp.refused($$update chat.participants set role = 'owner' where chat_id = pg_temp.id('walk')$$, 'PT403', 'participants.4', 'nor blindly');
select pg_temp.become('alice');
select pg_temp.refused($$update chat.participants set role = 'king' where chat_id = pg_temp.id('walk') and user_id = pg_temp.id('bob')$$, '23514', 'participants.8', 'there are no kings');
select pg_temp.become('mallory');
insert into chat.blocks (blocked_id) values (pg_temp.id('alice'));
select pg_temp.become('alice');
select pg_temp.refused($$insert into chat.participants (chat_id, user_id) values (pg_temp.id('walk'), pg_temp.id('mallory'))$$, 'PT403', 'participants.7', 'alice does not add who blocks her');
select pg_temp.refused($$select chat.create_group('trap', array[pg_temp.id('mallory')])$$, 'PT403', 'participants.7', 'nor founds a group with them');
select pg_temp.become('mallory');
delete from chat.blocks;
select pg_temp.become('alice');
insert into chat.blocks (blocked_id) values (pg_temp.id('mallory'));
select pg_temp.refused($$insert into chat.participants (chat_id, user_id) values (pg_temp.id('walk'), pg_temp.id('mallory'))$$, 'PT403', 'participants.7', 'nor whom she blocks');
select pg_temp.become('bob');
select pg_temp.does($$insert into chat.participants (chat_id, user_id) values (pg_temp.id('walk'), pg_temp.id('mallory'))$$, 1, 'participants.7', 'others may');
select pg_temp.does($$update chat.participants set left_at = now() where chat_id = pg_temp.id('walk') and user_id = pg_temp.id('mallory')$$, 1, 'participants.5', 'a moderator removes a member');
select pg_temp.become('alice');
select pg_temp.refused($$update chat.participants set left_at = null where chat_id = pg_temp.id('walk') and user_id = pg_temp.id('mallory')$$, 'PT403', 'participants.7', 'nor does she bring mallory back over the block');
select pg_temp.become('mallory');
select pg_temp.sees($$select text from chat.messages where chat_id = pg_temp.id('walk') union all select name from chat.chats where id = pg_temp.id('walk')$$, 'nothing', 'participants.5', 'the removed reads nothing');
select pg_temp.refused($$update chat.participants set left_at = null where chat_id = pg_temp.id('walk') and user_id = pg_temp.id('mallory')$$, 'PT403', 'participants.2', 'and does not come back');
select pg_temp.refused($$insert into chat.participants (chat_id) values (pg_temp.id('walk')) on conflict (chat_id, user_id) do update set left_at = null$$, 'PT403', 'participants.2', 'by upsert either');
select pg_temp.refused($$update chat.participants set role = 'owner' where chat_id = pg_temp.id('walk')$$, 'PT403', 'participants.4', 'nor takes a role in her absence');

-- removing and leaving ---------------------------------------------------------------------------------------

select pg_temp.become('carol');
select pg_temp.refused($$update chat.participants set left_at = now() where chat_id = pg_temp.id('walk') and user_id = pg_temp.id('dave')$$, 'PT403', 'participants.5', 'a member removes nobody');
select pg_temp.become('dave');
select pg_temp.refused($$update chat.participants set left_at = now() where chat_id = pg_temp.id('square') and user_id = pg_temp.id('adam')$$, 'PT403', 'participants.5', 'nor a visitor of a public room');
select pg_temp.refused($$update chat.participants set role = role where chat_id = pg_temp.id('square')$$, 'PT403', 'participants.5', 'who does not even write rows anew without a change');
select pg_temp.does($$update chat.participants set left_at = now() where chat_id = pg_temp.id('cell')$$, 0, 'participants.5', 'a stranger reaches nobody of a private room');
select pg_temp.become('alice');
update chat.participants set role = 'moderator' where chat_id = pg_temp.id('walk') and user_id = pg_temp.id('dave');
select pg_temp.become('bob');
select pg_temp.refused($$update chat.participants set left_at = now() where chat_id = pg_temp.id('walk') and user_id = pg_temp.id('dave')$$, 'PT403', 'participants.5', 'a moderator removes no moderator');
select pg_temp.refused($$update chat.participants set left_at = now() where chat_id = pg_temp.id('walk') and user_id = pg_temp.id('alice')$$, 'PT403', 'participants.5', 'and no owner');
select pg_temp.refused($$update chat.participants set left_at = now() where chat_id = pg_temp.id('walk')$$, 'PT403', 'participants.5', 'nor all at once');
select pg_temp.refused('delete from chat.participants', '42501', 'participants.5', 'nobody deletes a participation');
select pg_temp.become('adam');
select pg_temp.does($$update chat.participants set left_at = now() where chat_id = pg_temp.id('walk')$$, 0, 'participants.5', 'being an admin removes nobody from a group');
select pg_temp.become('alice');
select pg_temp.does($$update chat.participants set left_at = '2001-01-01' where chat_id = pg_temp.id('walk') and user_id = pg_temp.id('dave')$$, 1, 'participants.5', 'the owner removes a moderator');
select pg_temp.sees($$select role || ' ' || (left_at > now() - interval '1 hour') from chat.participants where chat_id = pg_temp.id('walk') and user_id = pg_temp.id('dave')$$, 'member true', 'participants.5', '… at the time that it is, and with the role gone');
select pg_temp.sees($$select display_name from chat.people(pg_temp.id('walk')) where left_at is not null$$, 'Dave, Mallory', 'participants.1', 'who reads a chat sees who was in it');
update chat.participants set role = 'owner' where chat_id = pg_temp.id('walk') and user_id = pg_temp.id('dave');
select pg_temp.sees($$select role from chat.participants where chat_id = pg_temp.id('walk') and user_id = pg_temp.id('dave')$$, 'member', 'participants.4', 'who left gets no role');
select pg_temp.become('bob');
select pg_temp.does($$update chat.participants set left_at = null where chat_id = pg_temp.id('walk') and user_id = pg_temp.id('dave')$$, 1, 'participants.3', 'a moderator brings back who left');
select pg_temp.refused($$update chat.participants set left_at = null, role = 'owner' where chat_id = pg_temp.id('walk') and user_id = pg_temp.id('mallory')$$, 'PT403', 'participants.4', '… as a member, not as an owner');
select pg_temp.become('erin');
select pg_temp.does($$update chat.participants set left_at = now() where chat_id = pg_temp.id('walk') and user_id = pg_temp.id('erin')$$, 1, 'participants.5', 'everyone leaves by themselves');
select pg_temp.does($$update chat.participants set left_at = '2001-01-01' where chat_id = pg_temp.id('walk') and user_id = pg_temp.id('erin')$$, 1, 'participants.5', 'who left has left');
select pg_temp.sees($$select left_at > now() - interval '1 hour' from chat.participants where chat_id = pg_temp.id('walk')$$, 'true', 'participants.5', '… and does not say when');

-- an owner remains -------------------------------------------------------------------------------------------

select pg_temp.become('alice');
select pg_temp.refused($$update chat.participants set left_at = now() where chat_id = pg_temp.id('walk') and user_id = pg_temp.id('alice')$$, 'PT409', 'participants.6', 'the last owner does not leave');
select pg_temp.refused($$update chat.participants set role = 'member' where chat_id = pg_temp.id('walk') and user_id = pg_temp.id('alice')$$, 'PT409', 'participants.6', 'nor step down');
select pg_temp.refused($$update chat.participants set left_at = now() where chat_id = pg_temp.id('den') and user_id = pg_temp.id('alice')$$, 'PT409', 'participants.6', 'nor leave a room of two');
select pg_temp.does($$update chat.participants set role = 'owner' where chat_id = pg_temp.id('walk') and user_id = pg_temp.id('bob')$$, 1, 'participants.4', 'she makes bob an owner too');
select pg_temp.refused($$update chat.participants set left_at = now() where chat_id = pg_temp.id('walk') and role = 'owner'$$, 'PT403', 'participants.5', 'two owners do not go in one statement');
select pg_temp.refused($$update chat.participants set role = 'member' where chat_id = pg_temp.id('walk')$$, 'PT403', 'participants.4', 'nor step down in one');
select pg_temp.refused($$with b as (update chat.participants set role = 'member' where chat_id = pg_temp.id('walk') and user_id = pg_temp.id('bob') returning 1) update chat.participants set left_at = now() where chat_id = pg_temp.id('walk') and user_id = pg_temp.id('alice')$$, 'PT403', 'participants.4', 'nor in two statements that are one');
select pg_temp.does($$update chat.participants set left_at = now() where chat_id = pg_temp.id('walk') and user_id = pg_temp.id('alice')$$, 1, 'participants.6', 'having passed it on, alice leaves');
select pg_temp.become('bob');
select pg_temp.refused($$update chat.participants set role = 'moderator' where chat_id = pg_temp.id('walk') and user_id = pg_temp.id('bob')$$, 'PT409', 'participants.6', 'now bob is the last');

-- the end of a group -----------------------------------------------------------------------------------------

update chat.participants set left_at = now() where chat_id = pg_temp.id('walk') and user_id = pg_temp.id('dave');
select pg_temp.sees($$select name from chat.chats where id = pg_temp.id('walk')$$, 'walk', 'participants.10', 'a group of two goes on');
select pg_temp.does($$update chat.participants set left_at = now() where chat_id = pg_temp.id('walk') and user_id = pg_temp.id('bob')$$, 1, 'participants.10', 'when one of two leaves, the last owner even');
select pg_temp.become('carol');
select pg_temp.sees($$select name from chat.chats where id = pg_temp.id('walk')$$, 'nothing', 'participants.10', '… the group ends for the other as well');
select pg_temp.become('service_role');
select pg_temp.sees($$select (c.deleted_at is not null) || ' ' || count(*) filter (where p.left_at is null) from chat.chats c join chat.participants p on p.chat_id = c.id where c.id = pg_temp.id('walk') group by c.deleted_at$$, 'true 0', 'participants.10', 'it is deleted and nobody is in it');
select pg_temp.become('bob');
update chat.participants set left_at = now() where chat_id = pg_temp.id('den') and user_id = pg_temp.id('bob');
select pg_temp.become('alice');
select pg_temp.sees($$select name from chat.chats where id = pg_temp.id('den')$$, 'den', 'participants.10', 'a room of one goes on');

-- from where one reads ---------------------------------------------------------------------------------------

select chat.create_group('talk', array[pg_temp.id('bob')], pg_temp.id('talk'));
insert into chat.messages (chat_id, id, text) values (pg_temp.id('talk'), pg_temp.id('m1'), 'before');
insert into chat.participants (chat_id, user_id) values (pg_temp.id('talk'), pg_temp.id('carol'));
select pg_temp.become('carol');
select pg_temp.sees($$select text from chat.messages where chat_id = pg_temp.id('talk')$$, 'before', 'participants.11', 'who is new reads what was said before');
select pg_temp.become('chat_owner');
update chat.settings set history = 'since_join';
select pg_temp.become('alice');
insert into chat.participants (chat_id, user_id) values (pg_temp.id('talk'), pg_temp.id('dave'));
insert into chat.messages (chat_id, id, text) values (pg_temp.id('talk'), pg_temp.id('m2'), 'after');
update chat.messages set text = 'before, edited' where id = pg_temp.id('m1');
select pg_temp.become('dave');
select pg_temp.sees($$select text from chat.messages where chat_id = pg_temp.id('talk')$$, 'after', 'participants.11', 'since_join: only what comes after them, however often the rest is edited');
select pg_temp.does($$update chat.messages set text = 'x' where id = pg_temp.id('m1')$$, 0, 'participants.11', '… they do not reach the rest');
select pg_temp.does($$delete from chat.messages where id = pg_temp.id('m1')$$, 0, 'participants.11', '… in any way');
select pg_temp.does($$insert into chat.messages (chat_id, text) values (pg_temp.id('talk'), 'mine')$$, 1, 'participants.11', 'they read what they write');
select pg_temp.become('bob');
select pg_temp.sees($$select text from chat.messages where chat_id = pg_temp.id('talk')$$, 'after, before, edited, mine', 'participants.11', 'who was there before reads on');
select pg_temp.become('alice');
update chat.participants set role = 'moderator' where chat_id = pg_temp.id('talk') and user_id = pg_temp.id('dave');
select pg_temp.become('dave');
select pg_temp.sees($$select text from chat.messages where chat_id = pg_temp.id('talk') union all select text from chat.message_edits where chat_id = pg_temp.id('talk')$$, 'after, mine', 'participants.11', 'being a moderator shows no more, nor do the earlier texts');
update chat.participants set left_at = now() where chat_id = pg_temp.id('talk') and user_id = pg_temp.id('dave');
select pg_temp.become('alice');
update chat.participants set left_at = null where chat_id = pg_temp.id('talk') and user_id = pg_temp.id('dave');
select pg_temp.become('dave');
select pg_temp.sees($$select text from chat.messages where chat_id = pg_temp.id('talk')$$, 'nothing', 'participants.11', 'who comes back joins anew');
select pg_temp.become('chat_owner');
update chat.settings set history = 'all', direct = 'anyone';

-- the host, and identity -------------------------------------------------------------------------------------

select pg_temp.become('service_role');
select pg_temp.does($$insert into chat.participants (chat_id, user_id, role) values (pg_temp.id('cell'), pg_temp.id('erin'), 'owner')$$, 1, 'staff.1', 'the host puts people into chats');
select pg_temp.does($$update chat.participants set left_at = now() where chat_id = pg_temp.id('cell') and user_id = pg_temp.id('erin')$$, 1, 'staff.1', 'and out of them');
select pg_temp.refused('delete from chat.participants', '42501', 'staff.1', 'but deletes no participation');
select pg_temp.refused($$insert into chat.participants (chat_id, user_id) select c.id, pg_temp.id('nobody') from chat.chats c where c.id = pg_temp.id('cell')$$, '23503', 'users.8', 'it puts nobody there who does not exist');
select pg_temp.become('alice');
select chat.open_direct(pg_temp.id('bob'));
select pg_temp.become('service_role');
select pg_temp.refused($$insert into chat.participants (chat_id, user_id) select c.id, pg_temp.id('erin') from chat.chats c where c.type = 'direct' limit 1$$, 'PT422', 'chats.12', 'and no third one into a direct chat');
select pg_temp.refused($$update chat.participants p set role = 'owner' from chat.chats c where c.id = p.chat_id and c.type = 'direct'$$, 'PT422', 'chats.12', 'which nobody owns, whoever asks');
select pg_temp.become('chat_owner');
select pg_temp.refused($$update chat.participants set user_id = pg_temp.id('mallory') where user_id = pg_temp.id('erin')$$, 'PT409', 'participants.9', 'a participation keeps its user, whoever asks');
select pg_temp.refused($$update chat.participants set chat_id = pg_temp.id('talk') where user_id = pg_temp.id('erin') and chat_id = pg_temp.id('cell')$$, 'PT409', 'participants.9', 'and its chat');

select * from finish();
rollback;

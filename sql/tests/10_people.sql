-- People: who finds whom, and what each writes of themselves.
begin isolation level read committed;
select plan(57);
set local client_min_messages = warning;

\ir people.psql

-- first sight ------------------------------------------------------------------------------------------------

select pg_temp.become('alice');
select pg_temp.does('select chat.introduce_me()', 1, 'users.8', 'alice comes with a valid token');
select pg_temp.sees('select display_name from chat.users', 'Alice', 'users.8', 'from then on there is a user with the name in her token');
select pg_temp.does('select chat.introduce_me()', 1, 'users.8', 'she may come again');
select pg_temp.become('bob'); select chat.introduce_me();
select pg_temp.become('carol'); select chat.introduce_me();
select pg_temp.become('mallory'); select chat.introduce_me();
select set_config('request.jwt.claims', json_build_object('sub', pg_temp.id('tab'), 'name', E'\t\n')::text, true);
select pg_temp.does('select chat.introduce_me()', 1, 'users.8', 'a token whose name is white space makes a user all the same');
select set_config('request.jwt.claims', json_build_object('sub', pg_temp.id('long'), 'user_metadata', json_build_object('full_name', repeat('x', 300)))::text, true);
select pg_temp.does('select chat.introduce_me()', 1, 'users.8', 'and so does one with an endless name');
select pg_temp.sees('select char_length(display_name) from chat.users', '100', 'users.8', '… of which 100 characters are kept');
select set_config('request.jwt.claims', json_build_object('sub', pg_temp.id('nameless'), 'email', 'secret@example.com')::text, true);
select chat.introduce_me();
select pg_temp.sees('select display_name from chat.users', 'user ' || left(pg_temp.id('nameless')::text, 8), 'users.8', 'nothing of an e-mail address becomes a name');
select set_config('request.jwt.claims', '{"role": "authenticated"}', true);
select pg_temp.does('select chat.introduce_me()', 1, 'users.8', 'a token without a sub makes nobody');
select pg_temp.sees('select display_name from chat.users', 'nothing', 'users.8', '… and is nobody');
select pg_temp.become('bob');
select pg_temp.refused($$insert into chat.users (id, display_name) values (pg_temp.id('eve'), 'Eve')$$, '42501', 'users.8', 'people make no users');
select pg_temp.become('anon');
select pg_temp.refused('select chat.introduce_me()', '42501', 'users.8', 'anon has no account to make');
select pg_temp.become('service_role');
select pg_temp.does($$insert into chat.users (id, display_name, kind) values (pg_temp.id('hal'), 'Hal', 'assistant')$$, 1, 'users.8', 'the host application names people before they come');
select pg_temp.does($$select chat.put_event_chat('expo', 'approved_group', 'Expo', array[pg_temp.id('dave')])$$, 1, 'users.8', 'also by putting them into a chat');
select pg_temp.sees($$select display_name from chat.users where id = pg_temp.id('dave')$$, 'user ' || left(pg_temp.id('dave')::text, 8), 'users.8', 'dave, who never came, has a stand-in for a name');
select pg_temp.become('dave'); select chat.introduce_me();
select pg_temp.sees('select display_name from chat.users', 'Dave', 'users.8', '… until he comes with his own');
update chat.users set display_name = 'David';
select set_config('request.jwt.claims', json_build_object('sub', pg_temp.id('dave'), 'name', 'Dave')::text, true);
select chat.introduce_me();
select pg_temp.sees('select display_name from chat.users', 'David', 'users.2', 'the name dave chose outlives the one in his token');

-- who sees whom ----------------------------------------------------------------------------------------------

select pg_temp.become('mallory');
select pg_temp.sees('select display_name from chat.users', 'Mallory', 'users.1', 'a stranger sees herself alone');
insert into chat.friendships (addressee_id) values (pg_temp.id('alice'));
select pg_temp.sees('select display_name from chat.users', 'Mallory', 'users.1', 'asking for friendship opens nobody''s profile');
select pg_temp.become('alice');
select pg_temp.sees('select display_name from chat.users', 'Alice, Mallory', 'users.1', 'who is asked sees who asks');
delete from chat.friendships;
select pg_temp.become('mallory');
select pg_temp.refused($$select chat.expect_user(pg_temp.id('alice'))$$, 'PT404', 'users.1', 'who exists and is not known');
select pg_temp.refused($$select chat.expect_user(pg_temp.id('nobody'))$$, 'PT404', 'users.1', '… looks like who does not exist');
select pg_temp.become('bob');
insert into chat.friendships (addressee_id) values (pg_temp.id('alice'));
select pg_temp.become('alice');
update chat.friendships set accepted_at = now();
select pg_temp.sees('select display_name from chat.users', 'Alice, Bob', 'users.1', 'alice sees her friend bob');
select pg_temp.become('bob');
select pg_temp.sees('select display_name from chat.users', 'Alice, Bob', 'users.1', 'and he her');
select chat.create_group('walk', array[pg_temp.id('carol'), pg_temp.id('dave')], pg_temp.id('walk'));
select pg_temp.become('carol');
select pg_temp.sees('select display_name from chat.users', 'Bob, Carol, David', 'users.1', 'carol sees who shares a chat with her');
select pg_temp.become('alice');
select pg_temp.sees('select display_name from chat.users', 'Alice, Bob', 'users.1', 'a friend''s companions are strangers');
select pg_temp.become('carol');
update chat.participants set left_at = now() where user_id = pg_temp.id('carol');
select pg_temp.sees('select display_name from chat.users', 'Carol', 'users.1', 'who left the chat no longer sees who is in it');
select pg_temp.become('bob');
select pg_temp.sees('select display_name from chat.users', 'Alice, Bob, David', 'users.1', 'nor is she seen by who stays');
select pg_temp.become('alice');
delete from chat.friendships;
select pg_temp.sees('select display_name from chat.users', 'Alice', 'users.1', 'nor does who is no friend any more');
select pg_temp.become('anon');
select pg_temp.refused('select display_name from chat.users', '42501', 'users.1', 'anon sees no users');
select pg_temp.become('chat_owner');
update chat.settings set directory = 'everyone';
select pg_temp.become('mallory');
select pg_temp.sees('select count(*) from chat.users', '9', 'users.1', 'everyone sees everyone when the directory is open');
select pg_temp.become('chat_owner');
update chat.settings set directory = 'known';
select pg_temp.become('service_role');
select pg_temp.sees('select count(*) from chat.users', '9', 'staff.2', 'the service role sees all users');
select pg_temp.become('chat_auditor');
select pg_temp.sees('select count(*) from chat.users', '9', 'staff.2', 'auditors see all users');
select pg_temp.refused($$update chat.users set display_name = 'x'$$, '42501', 'staff.2', 'and change none');

-- profiles ---------------------------------------------------------------------------------------------------

select pg_temp.become('bob');
select pg_temp.does($$update chat.users set display_name = 'Robert', username = 'bob_1.x-y', avatar_url = 'https://example.com/b.png'$$, 1, 'users.2', 'bob writes his own profile, and only his, whatever he aims at');
select pg_temp.does($$update chat.users set display_name = 'x' where id = pg_temp.id('alice')$$, 0, 'users.2', 'he does not reach alice''s');
select pg_temp.refused($$update chat.users set kind = 'assistant'$$, '42501', 'users.2', 'what kind of user he is is not his to say');
select pg_temp.refused($$update chat.users set last_active_at = now()$$, '42501', 'users.2', 'nor when he was active');
select pg_temp.refused($$update chat.users set id = pg_temp.id('alice')$$, '42501', 'users.2', 'nor who he is');
select pg_temp.refused($$insert into chat.users (id, display_name) values (pg_temp.id('alice'), 'x') on conflict (id) do update set display_name = 'x'$$, '42501', 'users.2', 'nor by upsert');
select pg_temp.refused('delete from chat.users', '42501', 'users.2', 'people delete no users');
select pg_temp.become('chat_owner');
select pg_temp.sees($$select display_name from chat.users where id = pg_temp.id('alice')$$, 'Alice', 'users.2', 'alice is still called Alice');
select pg_temp.become('service_role');
select pg_temp.does($$update chat.users set kind = 'guest', display_name = 'Guest' where id = pg_temp.id('carol')$$, 1, 'staff.1', 'the host renames people and says of what kind they are');
select pg_temp.refused('delete from chat.users', '42501', 'staff.1', 'but deletes none');

select pg_temp.become('alice');
select pg_temp.refused($$update chat.users set username = 'ab'$$, '23514', 'users.3', 'two characters are too few');
select pg_temp.refused($$update chat.users set username = repeat('a', 33)$$, '23514', 'users.3', '33 are too many');
select pg_temp.refused($$update chat.users set username = 'Alice'$$, '23514', 'users.3', 'capitals are not plain');
select pg_temp.refused($$update chat.users set username = 'al ice'$$, '23514', 'users.3', 'nor are spaces');
select pg_temp.refused($$update chat.users set username = E'alice\n'$$, '23514', 'users.3', 'nor is an end of line');
select pg_temp.does($$update chat.users set username = repeat('a', 32)$$, 1, 'users.3', '32 are not');
select pg_temp.refused($$update chat.users set username = 'bob_1.x-y'$$, '23505', 'users.4', 'bob''s username is his');
select pg_temp.refused($$update chat.users set display_name = E' \t '$$, '23514', 'users.5', 'white space is no name');
select pg_temp.refused($$update chat.users set display_name = repeat('a', 101)$$, '23514', 'users.5', 'a display name has at most 100 characters');
select pg_temp.does($$update chat.users set display_name = repeat('ä', 100)$$, 1, 'users.5', '… characters, not bytes');
select pg_temp.refused($$update chat.users set avatar_url = 'javascript:alert(1)'$$, '23514', 'users.7', 'a script is no picture');
select pg_temp.refused($$update chat.users set avatar_url = 'https://x/' || repeat('a', 2000)$$, '23514', 'users.7', 'a link has at most 2,000 characters');
select pg_temp.refused($$update chat.users set avatar_url = E'https://x/ onload=1'$$, '23514', 'users.7', 'a link has no spaces');
select pg_temp.become('service_role');
select pg_temp.refused($$update chat.users set kind = 'robot'$$, '23514', 'users.6', 'a robot is no kind of user');

select * from finish();
rollback;

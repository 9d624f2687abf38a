-- Settings and rules: read by everyone, set by the DBA, in force from the next statement.
begin isolation level read committed;
select plan(46);
set local client_min_messages = warning;

\ir people.psql

select pg_temp.become(w.who), chat.introduce_me() from unnest(array['alice', 'bob', 'mallory', 'adam']) w (who);
select pg_temp.become('alice');
select chat.create_group('walk', array[pg_temp.id('bob')], pg_temp.id('walk'));
insert into chat.messages (chat_id, id, text) values (pg_temp.id('walk'), pg_temp.id('a1'), 'hello');

-- who reads, who writes --------------------------------------------------------------------------------------

create function pg_temp.defaults() returns text language sql stable as $$
  select concat_ws(' ', extract(epoch from s.edit_window)::integer, s.text_max, s.history, s.direct, s.directory, s.public_rooms, s.anon_reads_public_rooms) from chat.settings s
$$;
select pg_temp.become('chat_owner');
select is(pg_temp.defaults(), '900 10000 all friends known admins f', 'settings.1: the settings that a new database has');
select pg_temp.become('alice');
select is(pg_temp.defaults(), '900 10000 all friends known admins f', 'settings.1: people read the settings');
select pg_temp.sees($$select sentence from chat.rules where number = 'rules.1'$$, 'everyone reads the rules; they change with the migrations alone', 'rules.1', 'people read the rules');
select pg_temp.refused($$update chat.settings set edit_window = '1 year'$$, '42501', 'settings.1', 'and set nothing');
select pg_temp.refused('insert into chat.settings default values', '42501', 'settings.1', 'add nothing');
select pg_temp.refused('delete from chat.settings', '42501', 'settings.1', 'remove nothing');
select pg_temp.refused($$update chat.rules set sentence = 'x'$$, '42501', 'rules.1', 'and change no rule');
select pg_temp.refused($$insert into chat.rules values ('x.1', 'xxx', 400, 'x')$$, '42501', 'rules.1', 'add none');
select pg_temp.refused('delete from chat.rules', '42501', 'rules.1', 'remove none');
select pg_temp.become('adam');
select pg_temp.refused($$update chat.settings set edit_window = '1 year'$$, '42501', 'settings.1', 'an admin is no DBA');
select pg_temp.become('anon');
select is(pg_temp.defaults(), '900 10000 all friends known admins f', 'settings.1: anon reads the settings');
select pg_temp.sees('select count(*) > 50 from chat.rules', 'true', 'rules.1', 'and the rules');
select pg_temp.refused($$update chat.settings set anon_reads_public_rooms = true$$, '42501', 'settings.1', 'and sets nothing');
select pg_temp.become('service_role');
select is(pg_temp.defaults(), '900 10000 all friends known admins f', 'settings.1: the host reads the settings');
select pg_temp.refused($$update chat.settings set edit_window = '1 year'$$, '42501', 'settings.1', 'and sets nothing');
select pg_temp.refused($$update chat.rules set sentence = 'x'$$, '42501', 'rules.1', 'and changes no rule');
select pg_temp.become('chat_auditor');
select is(pg_temp.defaults(), '900 10000 all friends known admins f', 'settings.1: auditors read the settings');
select pg_temp.sees('select count(*) > 50 from chat.rules', 'true', 'rules.1', 'and the rules');
select pg_temp.refused($$update chat.settings set edit_window = '1 year'$$, '42501', 'staff.2', 'and set nothing');
select pg_temp.become('chat_relay');
select is(pg_temp.defaults(), '900 10000 all friends known admins f', 'settings.1: the relay reads the settings');

-- what may be set --------------------------------------------------------------------------------------------

select pg_temp.become('chat_owner');
select is(pg_temp.outcome('insert into chat.settings default values', false), '23505 settings_pkey', 'settings.1: there is one row');
select is(pg_temp.outcome('insert into chat.settings (only_row) values (false)', false), '23514 settings_are_one_row', 'settings.1: … and no other');
select is(pg_temp.outcome($$update chat.settings set edit_window = '-1 second'$$, false), '23514 settings_edit_window_is_not_negative', 'settings.1: a window is not negative');
select is(pg_temp.outcome('update chat.settings set text_max = 0', false), '23514 settings_text_max_is_positive', 'settings.1: a text has at least a character');
select is(pg_temp.outcome('update chat.settings set text_max = 65537', false), '23514 settings_text_max_is_positive', 'settings.1: and at most 65,536');
select is(pg_temp.outcome($$update chat.settings set history = 'some'$$, false), '23514 settings_history_is_known', 'settings.1: history is all or since_join');
select is(pg_temp.outcome($$update chat.settings set direct = 'enemies'$$, false), '23514 settings_direct_is_known', 'settings.1: direct is friends or anyone');
select is(pg_temp.outcome($$update chat.settings set directory = 'none'$$, false), '23514 settings_directory_is_known', 'settings.1: the directory is known or everyone');
select is(pg_temp.outcome($$update chat.settings set public_rooms = 'nobody'$$, false), '23514 settings_public_rooms_is_known', 'settings.1: public rooms are made by admins or everyone');
select is(pg_temp.outcome('update chat.settings set keep_messages = 0', false), '23514 settings_keep_messages_is_positive', 'settings.1: rooms keep at least a message');
select is(pg_temp.outcome($$update chat.settings set keep_deleted = '-1 second'$$, false), '23514 settings_keep_deleted_is_a_while', 'settings.1: deleted messages are kept for no negative time');
select is(pg_temp.outcome($$update chat.settings set keep_deleted = '101 years'$$, false), '23514 settings_keep_deleted_is_a_while', 'settings.1: nor for longer than a century, if not for ever');
select pg_temp.sees('select count(*) from chat.settings where keep_messages is null and keep_deleted is null', '1', 'settings.1', 'unless it is said, all is kept');
select is(pg_temp.outcome($$insert into chat.rules values ('x', 'xxx', 400, 'x')$$, false), '23514 rules_number_is_topic_dot_number', 'rules.1: a rule has a number');
select is(pg_temp.outcome($$insert into chat.rules values ('x.1', 'X x', 400, 'x')$$, false), '23514 rules_name_is_snake_case', 'rules.1: a name');
select is(pg_temp.outcome($$insert into chat.rules values ('x.1', 'xxx', 200, 'xx')$$, false), '23514 rules_status_is_a_refusal', 'rules.1: the status of a refusal');
select is(pg_temp.outcome($$insert into chat.rules values ('x.1', 'xxx', 400, 'x.')$$, false), '23514 rules_sentence_is_a_sentence', 'rules.1: and a sentence without its full stop');
select is(pg_temp.outcome($$insert into chat.rules select 'x.1', r.name, 400, 'xx' from chat.rules r limit 1$$, false), '23505 rules_have_one_name', 'rules.1: two rules have two names');
select is(pg_temp.outcome($$call chat_private.cite('table chat.rules', 'x.1')$$, false), 'P0001', 'rules.1: only a rule that exists is cited');

-- in force from the next statement ---------------------------------------------------------------------------

update chat.settings set text_max = 5;
select pg_temp.become('alice');
select pg_temp.refused($$insert into chat.messages (chat_id, text) values (pg_temp.id('walk'), '123456')$$, 'PT422', 'messages.8', 'text_max = 5: six characters are too many');
select pg_temp.does($$insert into chat.messages (chat_id, text) values (pg_temp.id('walk'), '12345')$$, 1, 'messages.8', '… five are not');
select pg_temp.does($$update chat.messages set pinned_at = now() where text = '12345'$$, 1, 'messages.8', '… and what is there already may still be pinned');
select pg_temp.become('chat_owner');
update chat.settings set text_max = 10000, edit_window = '0';
select pg_temp.become('alice');
select pg_temp.refused($$update chat.messages set text = 'x' where id = pg_temp.id('a1')$$, 'PT403', 'messages.4', 'edit_window = 0: nothing is edited');
select pg_temp.does($$update chat.messages set pinned_at = now() where id = pg_temp.id('a1')$$, 1, 'messages.4', '… but pinned');
select pg_temp.does($$select chat.delete_message(pg_temp.id('walk'), pg_temp.id('a1'))$$, 1, 'messages.4', '… and deleted');

-- an error says which rule it was ------------------------------------------------------------------------------

create function pg_temp.refusal(_sql text) returns text language plpgsql as $$
declare
  broken text;
  said text;
  hinted text;
begin
  execute _sql;
  return 'nothing';
exception when others then
  get stacked diagnostics broken = constraint_name, said = message_text, hinted = pg_exception_hint;
  return concat_ws(' | ', sqlstate, broken, said, hinted);
end
$$;
select is(
  pg_temp.refusal($$update chat.messages set text = 'x' where text = '12345'$$),
  'PT403 | messages_are_edited_within_the_window | a message is edited within 15 minutes of its sending, or what the settings say | rule messages.4',
  'rules.1: a refusal has the status, the name, the sentence and the number of its rule');

select * from finish();
rollback;

-- Marks to resume from: kept by the relay alone, bounded, forgotten after a day.
begin isolation level read committed;
select plan(30);
set local client_min_messages = warning;

\ir people.psql

create function pg_temp.keeps(_who text, _resume text, _topic text, _mark text) returns text language sql as $$
  select format('select chat.keep_resumes(array[%L::uuid], array[%L], array[%L], array[%L])', pg_temp.id(_who), _resume, _topic, _mark)
$$;
create function pg_temp.found(_who text, _resume text, _topic text) returns text language sql as
  $$ select format('select chat.find_resume(%L, %L, %L)', pg_temp.id(_who), _resume, _topic) $$;
create function pg_temp.nobody() returns uuid language sql immutable as $$ select '00000000-0000-0000-0000-000000000000'::uuid $$;
create function pg_temp.host() returns uuid language sql immutable as $$ select 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid $$;

select pg_temp.become('chat_relay');
select pg_temp.sees(pg_temp.found('alice', 'tab', 'walk'), 'nothing', 'resumes.1', 'nobody knows from where on who was never here goes on');
select pg_temp.does(pg_temp.keeps('alice', 'tab', 'walk', '7'), 1, 'resumes.1', 'the relay keeps a mark');
select pg_temp.sees(pg_temp.found('alice', 'tab', 'walk'), '7', 'resumes.1', 'and finds it');
select pg_temp.sees(pg_temp.found('alice', 'tab', 'square'), 'nothing', 'resumes.1', 'for this topic');
select pg_temp.sees(pg_temp.found('alice', 'phone', 'walk'), 'nothing', 'resumes.1', 'of this client');
select pg_temp.sees(pg_temp.found('bob', 'tab', 'walk'), 'nothing', 'resumes.1', 'of this person');
select pg_temp.does(pg_temp.keeps('alice', 'tab', 'walk', '8'), 1, 'resumes.1', 'a later one');
select pg_temp.sees(pg_temp.found('alice', 'tab', 'walk'), '8', 'resumes.1', '… replaces it');
select pg_temp.does('select chat.keep_resumes(array[pg_temp.nobody(), pg_temp.nobody()], array[''tab'', ''tab''], array[''walk'', ''walk''], array[''1'', ''2''])', 1, 'resumes.1', 'of two at once');
select pg_temp.sees('select chat.find_resume(pg_temp.nobody(), ''tab'', ''walk'')', '2', 'resumes.1', '… the last counts; who has no account has some as well');
select is(current_setting('synchronous_commit'), 'off', 'resumes.1: and waits for no disk');
select pg_temp.refused('select 1 from chat_private.resumes', '42501', 'resumes.1', 'the relay reads no rows of it');

select pg_temp.does($$select chat.keep_resumes(array_fill(pg_temp.nobody(), array[6]), array['', repeat('x', 129), 'r', 'r', 'r', 'good'], array['t', 't', '', repeat('x', 256), 't', 't'], array['1', '1', '1', '1', repeat('x', 65537), '1'])$$,
  1, 'resumes.2', 'what is too long keeps nothing else from being kept');
select pg_temp.become('chat_owner');
select pg_temp.sees($$select resume_id from chat_private.resumes where topic <> 'walk'$$, 'good', 'resumes.2', 'but is not kept');
select pg_temp.refused(format('insert into chat_private.resumes (user_id, resume_id, topic, mark) values (%L, '''', ''t'', ''1'')', pg_temp.id('alice')), '23514', 'resumes.2', 'by whomever');

-- bounds: somebody's oldest go

update chat_private.resumes set kept_at = clock_timestamp() - interval '1 hour' where user_id = pg_temp.id('alice');
select pg_temp.become('chat_relay');
select pg_temp.does($$select chat.keep_resumes(array_agg(pg_temp.id('alice')), array_agg('r' || n), array_agg('walk'::text), array_agg('1'::text)) from generate_series(1, 1000) n$$, 1, 'resumes.1', 'of more than a thousand');
select pg_temp.sees(pg_temp.found('alice', 'tab', 'walk'), 'nothing', 'resumes.1', '… the oldest is gone');
select pg_temp.sees(pg_temp.found('alice', 'r500', 'walk'), '1', 'resumes.1', '… and no other');
select pg_temp.does($$select chat.keep_resumes(array_agg(pg_temp.id('bob')), array_agg('r' || n), array_agg('walk'::text), array_agg(repeat('x', 65536))) from generate_series(1, 70) n$$, 1, 'resumes.1', 'of more than four megabytes');
select pg_temp.become('chat_owner');
select pg_temp.sees($$select count(*) from chat_private.resumes where user_id = pg_temp.id('bob')$$, '64', 'resumes.1', '… the rest is gone');
update chat_private.resumes set kept_at = clock_timestamp() - interval '25 hours', kept_on = (clock_timestamp() - interval '25 hours')::date where user_id = pg_temp.id('bob');
select pg_temp.become('chat_relay');
select pg_temp.sees(pg_temp.found('bob', 'r1', 'walk'), 'nothing', 'resumes.1', 'what nobody renewed for a day is not found');
select pg_temp.sees('select chat.forget_resumes()', 'false', 'resumes.1', 'and forgotten');
select pg_temp.become('chat_owner');
select pg_temp.sees('select count(distinct user_id) from chat_private.resumes', '2', 'resumes.1', 'and nothing else is');

-- those without an account: theirs are short, and many, and fill nobody else's

select pg_temp.become('chat_relay');
select pg_temp.does($$select chat.keep_resumes(array[pg_temp.host(), pg_temp.nobody()], array['tab', 'long'], array['all', 'all'], array[repeat('x', 4097), repeat('x', 4097)])$$, 1, 'resumes.1', 'the host application has marks of its own');
select pg_temp.sees($$select length(m) from unnest(array[chat.find_resume(pg_temp.host(), 'tab', 'all'), chat.find_resume(pg_temp.nobody(), 'tab', 'all'), chat.find_resume(pg_temp.nobody(), 'long', 'all')]) m where m is not null$$, '4097', 'resumes.1', '… which strangers with the same id do not find, and which may be longer than theirs');
select pg_temp.become('chat_owner');
insert into chat_private.resumes (user_id, resume_id, topic, mark) select pg_temp.nobody(), 'flood' || n, 'all', '1' from generate_series(1, 20000) n;
select pg_temp.become('chat_relay');
select pg_temp.sees('select chat.forget_resumes()', 'false', 'resumes.1', 'of more than twenty thousand of strangers');
select pg_temp.sees($$select chat.find_resume(pg_temp.nobody(), 'tab', 'walk')$$, 'nothing', 'resumes.1', '… the oldest are gone');
select pg_temp.sees($$select length(chat.find_resume(pg_temp.host(), 'tab', 'all'))$$, '4097', 'resumes.1', '… and nobody else''s');

select pg_temp.become('alice');
select pg_temp.refused(pg_temp.found('alice', 'r1', 'walk'), '42501', 'resumes.1', 'nobody else finds marks');
select pg_temp.refused(pg_temp.keeps('alice', 'r1', 'walk', '0'), '42501', 'resumes.1', 'nor keeps them');

select * from finish();
rollback;

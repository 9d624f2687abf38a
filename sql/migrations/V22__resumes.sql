-- Marks: from where on a client of a protocol without one of its own goes on, when it comes back to any server process.
--
-- Whoever comes back names the same resume id; what they were told of each topic stands here. A mark says where to begin to read and lets
-- nobody read anything. It is written often, so its commits wait for no disk: an older mark is as good, and tells some of it twice.

insert into chat.rules (number, name, status, sentence) values
  ('resumes.1', 'resumes_are_kept_by_the_relay', 403, 'the server''s relay keeps from where on clients resume, and nobody else does'),
  ('resumes.2', 'resume_is_short', 422, 'a resume id has 1 to 128 characters, a topic 1 to 255, and a mark at most 65,536 bytes');

-- tables -----------------------------------------------------------------------------------------------------

-- the day and not the moment is in an index: a mark that is renewed has no new entry in any
create table chat_private.resumes (
  user_id uuid not null,
  resume_id text not null,
  topic text not null,
  mark text not null,
  kept_at timestamptz not null default clock_timestamp(),
  kept_on date not null default (clock_timestamp() at time zone 'UTC')::date,
  primary key (user_id, resume_id, topic),
  constraint resume_is_short check (
    length(resume_id) between 1 and 128 and length(topic) between 1 and 255 and octet_length(mark) <= 65536)
) with (fillfactor = 70);
create index resumes_by_day on chat_private.resumes (kept_on);
alter table chat_private.resumes enable row level security;  -- and no policy: the owner's functions alone read it

-- doors ------------------------------------------------------------------------------------------------------

create function chat_private.find_resume(_user uuid, _resume text, _topic text) returns text
language sql
stable
security definer
set search_path = pg_catalog, pg_temp
as $$
  select r.mark
  from chat_private.resumes r
  where r.user_id = _user
    and r.resume_id = _resume
    and r.topic = _topic
    and r.kept_at > clock_timestamp() - interval '1 day'
$$;

create function chat.find_resume(_user uuid, _resume text, _topic text) returns text
language sql
stable
begin atomic
  select chat_private.find_resume(_user, _resume, _topic);
end;

create function chat_private.keep_resumes(_users uuid[], _resumes text[], _topics text[], _marks text[]) returns void
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
-- What resumes.2 does not allow is passed over. Of more than they may have the oldest go of somebody, and of the host application; those without
-- an account share theirs, which are short and cut later, since there may be many.
declare
  nobody constant uuid := '00000000-0000-0000-0000-000000000000';
  rows_of_one constant integer := 1000;
  bytes_of_one constant bigint := 4194304;
  grown uuid[];
begin
  perform set_config('synchronous_commit', 'off', true);
  with said as (
    -- the last of each counts, and in one order, so that two processes do not wait for each other
    select distinct on (k.user_id, k.resume_id, k.topic) k.user_id, k.resume_id, k.topic, k.mark
    from unnest(_users, _resumes, _topics, _marks) with ordinality k (user_id, resume_id, topic, mark, nth)
    where length(k.resume_id) between 1 and 128 and length(k.topic) between 1 and 255 and octet_length(k.mark) <= case k.user_id when nobody then 4096 else 65536 end
    order by k.user_id, k.resume_id, k.topic, k.nth desc
  ), kept as (
    insert into chat_private.resumes as r (user_id, resume_id, topic, mark)
    select s.user_id, s.resume_id, s.topic, s.mark from said s
    on conflict (user_id, resume_id, topic) do update set mark = excluded.mark, kept_at = excluded.kept_at, kept_on = excluded.kept_on
    returning r.user_id, r.xmax = 0 as is_new)
  select array_agg(distinct k.user_id) filter (where k.is_new and k.user_id <> nobody) into grown from kept k;
  if grown is not null then
    -- what another writes down in this moment is not the oldest any more
    delete from chat_private.resumes r
    where (r.user_id, r.resume_id, r.topic) in (
      select k.user_id, k.resume_id, k.topic
      from (select
              o.user_id,
              o.resume_id,
              o.topic,
              o.kept_at,
              row_number() over latest as nth,
              sum(octet_length(o.mark)) over latest as bytes
            from chat_private.resumes o
            where o.user_id = any (grown)
            window latest as (partition by o.user_id order by o.kept_at desc, o.resume_id, o.topic)) o
      join chat_private.resumes k
        on k.user_id = o.user_id and k.resume_id = o.resume_id and k.topic = o.topic and k.kept_at = o.kept_at
      where o.nth > rows_of_one or o.bytes > bytes_of_one
      for update of k skip locked);
  end if;
end
$$;

create function chat.keep_resumes(_users uuid[], _resumes text[], _topics text[], _marks text[]) returns void
language sql
volatile
begin atomic
  select chat_private.keep_resumes(_users, _resumes, _topics, _marks);
end;

create function chat_private.forget_resumes() returns boolean
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
-- A slice of what nobody renewed for a day, and of the oldest that those without an account have too many of; says whether there may be more.
declare
  rows_at_most constant integer := 1000;
  kept_before constant timestamptz := clock_timestamp() - interval '1 day';
  nobody constant uuid := '00000000-0000-0000-0000-000000000000';
  rows_of_nobody constant integer := 20000;
  forgotten integer;
  cut integer;
begin
  perform set_config('synchronous_commit', 'off', true);
  delete from chat_private.resumes r
  where (r.user_id, r.resume_id, r.topic) in (
    select o.user_id, o.resume_id, o.topic
    from chat_private.resumes o
    where o.kept_on <= (kept_before at time zone 'UTC')::date and o.kept_at <= kept_before
    order by o.kept_on
    limit rows_at_most
    for update skip locked);
  get diagnostics forgotten = row_count;
  delete from chat_private.resumes r
  where r.user_id = nobody
    and (r.resume_id, r.topic) in (
      select o.resume_id, o.topic
      from chat_private.resumes o
      where o.user_id = nobody
        and o.kept_at <= (select n.kept_at
                          from chat_private.resumes n
                          where n.user_id = nobody
                          order by n.kept_at desc
                          offset rows_of_nobody
                          limit 1)
      limit rows_at_most
      for update skip locked);
  get diagnostics cut = row_count;
  return greatest(forgotten, cut) = rows_at_most;
end
$$;

create function chat.forget_resumes() returns boolean
language sql
volatile
begin atomic
  select chat_private.forget_resumes();
end;

grant execute on function
  chat.find_resume(uuid, text, text),
  chat_private.find_resume(uuid, text, text),
  chat.keep_resumes(uuid[], text[], text[], text[]),
  chat_private.keep_resumes(uuid[], text[], text[], text[]),
  chat.forget_resumes(),
  chat_private.forget_resumes()
to chat_relay;

-- comments -------------------------------------------------------------------------------------------------------

comment on table chat_private.resumes is 'From where on a client goes on that comes back: kept for a day after it was renewed last.';
comment on column chat_private.resumes.user_id is 'Who; all zeros: who has no account; all ones: the host application.';
comment on column chat_private.resumes.resume_id is 'Their client: an id that it keeps.';
comment on column chat_private.resumes.topic is 'What it listened to, in the words of its protocol.';
comment on column chat_private.resumes.mark is 'From where on, as the adapter of its protocol says it.';
comment on column chat_private.resumes.kept_at is 'When it was renewed last.';
comment on column chat_private.resumes.kept_on is 'The day of it, in UTC.';
comment on index chat_private.resumes_by_day is 'Which were not renewed for long?';
comment on function chat_private.find_resume(uuid, text, text) is 'resumes.1.';
comment on function chat.find_resume(uuid, text, text) is 'From where on a client goes on; null: nobody knows.';
comment on function chat_private.keep_resumes(uuid[], text[], text[], text[]) is 'resumes.1, resumes.2.';
comment on function chat.keep_resumes(uuid[], text[], text[], text[]) is 'Writes down from where on clients go on.';
comment on function chat_private.forget_resumes() is 'resumes.1: for a day.';
comment on function chat.forget_resumes() is 'Deletes a slice of what was not renewed for a day. True: there may be more.';
call chat_private.cite('constraint resume_is_short on chat_private.resumes', 'resumes.2');

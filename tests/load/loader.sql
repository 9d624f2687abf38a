-- Fills an empty database past the triggers, as a dump is loaded, with what they would have left behind. As a superuser, who may do that.
--
-- Everything is computed from its number, so that who sends requests computes the same: user n is 00000000-0000-4000-8000-<100000000000 + n>,
-- chat c is …-9000-<100000000000 + c>, and its participant k (0 to 9) is user 1 + (c * 7 + k * 13) mod people.
--
-- Chats 1 to lively take requests for pages and new messages. The next 200 stay as they are and have 16 watchers, who are in all of
-- them. So have the next 1,000, with 16 more, who list them. A last one, if long is not 0, has so many messages.
-- Revs are the chat's 1, its participants' 2 and up, and then the messages', without a gap.

create schema load;

create function load.number(_name text) returns bigint
language sql stable
return current_setting('load.' || _name)::bigint;

create function load.user_id(_n bigint) returns uuid
language sql immutable
return ('00000000-0000-4000-8000-' || (100000000000 + _n))::uuid;

create function load.chat_id(_c bigint) returns uuid
language sql immutable
return ('00000000-0000-4000-9000-' || (100000000000 + _c))::uuid;

create function load.participant(_c bigint, _k bigint) returns bigint
language sql stable
return 1 + (_c * 7 + _k * 13) % load.number('people');

create function load.extra(_c bigint, out first bigint, out how_many bigint)
language sql stable
as $$
  -- watchers of the 200, listers of the 1,000: users behind the people
  select
    load.number('people') + case when _c > load.number('lively') + 200 then 17 else 1 end,
    case when _c between load.number('lively') + 1 and load.number('lively') + 1200 then 16 else 0 end
$$;

create function load.text(_n bigint) returns text
language sql immutable
as $$
  -- 4 to 23 of some hundred words; 1,024 texts
  select string_agg((string_to_array('the a we you they it is was will can meet at on in about train coffee lunch tomorrow today tonight maybe yes no '
    'thanks sure great sorry late early again never always please look photo link document budget design review release deploy database index '
    'garden kitchen weather rain sun winter summer music concert ticket seat window door key phone call message answer question problem idea plan '
    'price order delivery address street city airport hotel room booking flight passport family mother brother sister friend birthday present '
    'cake dinner breakfast water wine beer bread cheese apple orange', ' '))[1 + (hashint8((_n % 1024) * 64 + i) & 127) % 110], ' ' order by i)
  from generate_series(1, 4 + (_n % 1024) * 7 % 20) i
$$;

create table load.texts as
select n, load.text(n) as text, chat_private.words(load.text(n)) as words
from generate_series(0, 1023) n;
create unique index on load.texts (n);
create unique index on load.texts (text);
analyze load.texts;

create procedure load.people()
language plpgsql
as $$
begin
  set session_replication_role = replica;
  insert into chat.users (id, display_name, created_at)
  select load.user_id(n), initcap((select split_part(t.text, ' ', 1) from load.texts t where t.n = u.n % 1024)) || ' ' || u.n, now() - interval '3 years' + u.n * interval '1 second'
  from generate_series(1, load.number('people') + 32) u (n);
  reset session_replication_role;
end
$$;

create procedure load.chats(_from bigint, _to bigint)
language plpgsql
as $$
begin
  set session_replication_role = replica;
  insert into chat.chats (id, type, name, created_by, created_at, rev)
  select load.chat_id(c), 'group', 'Chat ' || c, load.user_id(load.participant(c, 0)), now() - interval '2 years' + c * interval '1 second', 1
  from generate_series(_from, _to) c;
  insert into chat.participants (chat_id, user_id, role, joined_at, joined_rev, rev)
  select load.chat_id(p.c), load.user_id(p.n), case when p.place = 0 then 'owner' else 'member' end,
         now() - interval '2 years' + p.c * interval '1 second' + p.place * interval '1 millisecond', 2 + p.place, 2 + p.place
  from (select c, load.participant(c, k) as n, k as place
        from generate_series(_from, _to) c, generate_series(0, 9) k
        union all
        select c, e.first + i, 10 + i
        from generate_series(_from, _to) c, load.extra(c) e, generate_series(0, e.how_many - 1) i) p
  order by p.c, p.place;
  reset session_replication_role;
end
$$;

create procedure load.messages(_from bigint, _to bigint, _first bigint, _last bigint)
language plpgsql
as $$
begin
  -- messages _first to _last of each of these chats; the chat's last one is some seconds to a day old
  set session_replication_role = replica;
  insert into chat.messages (chat_id, id, seq, rev, sender_id, kind, text, created_at)
  select
    load.chat_id(s.c),
    (lpad(to_hex((extract(epoch from s.at) * 1000)::bigint), 12, '0') || '7' || lpad(to_hex(s.m & 4095), 3, '0') || '8'
     || left(md5(s.c || '.' || s.m), 15))::uuid,
    s.seq,
    s.seq,
    load.user_id(1 + (s.c * 7 + (s.c + s.m) % 10 * 13) % load.number('people')),
    'user',
    t.text,
    s.at
  from (select c, m, 11 + e.how_many + m as seq,
               now() - (1 + c % 86000) * interval '1 second' - (_last - m) * interval '20 seconds' as at
        from generate_series(_from, _to) c, load.extra(c) e, generate_series(_first, _last) m) s
  join load.texts t on t.n = (s.m * 37 + s.c) & 1023
  order by s.c, s.m;
  insert into chat.read_markers (chat_id, user_id, seq)
  select load.chat_id(c), load.user_id(load.participant(c, k)), 11 + _last - k * 3
  from generate_series(_from, _to) c, generate_series(0, 9) k
  on conflict do nothing;
  insert into chat.read_markers (chat_id, user_id, seq)
  select load.chat_id(c), load.user_id(e.first + i), 11 + e.how_many + _last - 3 - i
  from generate_series(_from, _to) c, load.extra(c) e, generate_series(0, e.how_many - 1) i
  on conflict do nothing;
  reset session_replication_role;
end
$$;

create procedure load.pages(_from bigint, _to bigint)
language plpgsql
as $$
-- The pages that search keeps, as the senders would have made them: whole ones alone. Not by chat_private.seal_pages, which would take the
-- texts apart ten thousand times each; load.check compares what comes of it.
begin
  insert into chat_private.search_pages (chat_id, last_seq, first_seq, oldest, newest, words)
  select
    g.chat_id,
    g.last_seq,
    g.first_seq,
    g.oldest,
    g.newest,
    array_to_tsvector(string_to_array(k.key || replace(g.words, ' ', ' ' || k.key), ' '))
  from (select
          n.chat_id,
          min(n.seq) as first_seq,
          max(n.seq) as last_seq,
          min(n.created_at) as oldest,
          max(n.created_at) as newest,
          string_agg(t.words, ' ') as words
        from (select m.chat_id, m.seq, m.created_at, m.text, (row_number() over (partition by m.chat_id order by m.seq) - 1) / 64 as page
              from chat.messages m
              where m.chat_id between load.chat_id(_from) and load.chat_id(_to)) n
        join load.texts t on t.text = n.text
        group by n.chat_id, n.page
        having count(*) = 64) g
  cross join lateral (select chat_private.search_key(g.chat_id) as key) k
  order by g.chat_id, g.last_seq;
end
$$;

create function load.check(_from bigint, _to bigint, _step bigint) returns text
language sql stable
as $$
  -- the first thing that the triggers would never have left behind, in every _step-th of these chats
  with picked as materialized (
    select load.chat_id(c) as id from generate_series(_from, _to, _step) c
  ), revs as materialized (
    select s.id, r.rev
    from picked s
    cross join lateral (
      select k.rev from chat.chats k where k.id = s.id
      union all
      select p.rev from chat.participants p where p.chat_id = s.id
      union all
      select m.seq from chat.messages m where m.chat_id = s.id) r
  )
  select min(w.what)
  from (
    select 'a rev is there twice in ' || id as what from revs group by id, rev having count(*) > 1
    union all
    select 'revs have a gap in ' || id from revs group by id having max(rev) <> count(*)
    union all
    select 'seq is not rev in ' || m.chat_id from picked s join chat.messages m on m.chat_id = s.id where m.seq <> m.rev
    union all
    select 'who sends is no participant of ' || m.chat_id
    from picked s join chat.messages m on m.chat_id = s.id
    where not exists (select from chat.participants p where p.chat_id = m.chat_id and p.user_id = m.sender_id)
    union all
    select 'times go back in ' || g.chat_id
    from (select m.chat_id, m.created_at < lag(m.created_at) over (partition by m.chat_id order by m.seq) as is_back
          from picked s join chat.messages m on m.chat_id = s.id) g
    where g.is_back
    union all
    select 'a page of the search is wrong in ' || p.chat_id
    from picked s join chat_private.search_pages p on p.chat_id = s.id
    where p.words <> chat_private.search_page(p.chat_id, p.first_seq, p.last_seq)
       or (select count(*) from chat.messages m where m.chat_id = p.chat_id and m.seq between p.first_seq and p.last_seq) <> 64
    union all
    select 'a page of the search is missing in ' || s.id
    from picked s
    where (select count(*) from chat_private.search_pages p where p.chat_id = s.id)
          <> (select count(*) / 64 from chat.messages m where m.chat_id = s.id)
    union all
    select 'a user is missing in ' || p.chat_id
    from picked s join chat.participants p on p.chat_id = s.id
    where not exists (select from chat.users u where u.id = p.user_id)
  ) w
$$;

-- Search: full text in what the asker may read, newest first.
--
-- A message is written without an index of words. Every 64 messages of a chat become a page: the words of all of them, in one row, put into
-- the index at once. What came after the last page is looked through as it is. A page says where to look; the messages themselves say what
-- matches, and their policy who reads it. So an edit, a deletion or an erasure is never found by what was there before.

insert into chat.rules (number, name, status, sentence) values
  ('search.1', 'searches_find_what_one_reads', 403, 'a search finds the messages that one may read and that are not deleted, and counts and shows nothing else'),
  ('search.2', 'searches_have_a_word', 422, 'a search has at least one word to look for; words may be quoted together, and a minus before one leaves out what has it'),
  ('search.3', 'searches_are_short', 422, 'a search has at most 500 characters'),
  ('search.4', 'searches_of_the_host_are_of_one_chat', 422, 'the host application searches one chat at a time'),
  ('search.5', 'searches_are_for_a_few_words', 422, 'a search is for at most 20 words and phrases');

-- words --------------------------------------------------------------------------------------------------------

create function chat_private.word_signs() returns text
language sql
immutable
parallel safe
as $$
  -- inside the brackets of a regular expression: Han, kana, emoji; each is a word by itself
  select '\u2600-\u27bf\u3041-\u3096\u30a1-\u30fa\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U0001f000-\U0001faff\U00020000-\U0003ffff'
$$;

create function chat_private.between_words() returns text
language sql
immutable
parallel safe
as $$
  -- inside the brackets of a regular expression: blanks, punctuation, what joins and varies emoji
  select '\u0001-/:-@\[-`{-\u00a9\u00ab-\u00b4\u00b6-\u00b9\u00bb-\u00bf\u00d7\u00f7\u2000-\u206f\u20a0-\u20cf\u2190-\u25ff'
         || '\u2b00-\u2bff\u2e00-\u2e7f\u3000-\u3003\u3008-\u3030\u30fb\ufe00-\ufe1f\ufe30-\ufe6f\uff01-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff65'
$$;

create function chat_private.words(_text text) returns text
language plpgsql
immutable
strict
parallel safe
set search_path = pg_catalog, pg_temp
as $$
-- Not to_tsvector: its parser takes either/or for a path, a.b for a host and <b> for nothing, and its letters differ with the locale. Here a
-- word is what stands between signs and blanks, in lower case and without accents; a sign of a script without blanks is a word, and so is an
-- emoji, and so are each 40 characters of what is longer.
declare
  t text := _text;
begin
  if octet_length(t) = length(t) then
    t := regexp_replace(lower(t collate "C"), '[^a-z0-9]+' collate "C", ' ', 'g');
  else
    t := regexp_replace(t, '([' || chat_private.word_signs() || '])', ' \1 ', 'g');
    t := regexp_replace(t, '[' || chat_private.between_words() || ']+', ' ', 'g');
    t := regexp_replace(regexp_replace(lower(normalize(t, nfkd)), '[\u0300-\u036f]+', '', 'g'), '\s+', ' ', 'g');
  end if;
  if length(t) > 40 then
    t := regexp_replace(t, '([^ ]{40})(?=[^ ])' collate "C", '\1 ', 'g');
  end if;
  return btrim(t);
end
$$;

create function chat_private.search_terms(_q text, out wanted text[], out unwanted text[])
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $$
-- Each term as it stands in chat_private.words of a text that has it: between blanks, but the last word, which may still be typed, is open.
declare
  term record;
  folded text;
begin
  wanted := '{}';
  unwanted := '{}';
  for term in
    select
      f.found[1] = '-' as is_unwanted,
      coalesce(f.found[2], f.found[3]) as said,
      f.found[3] is not null and f.place = count(*) over () and _q !~ '\s$' as is_open
    from regexp_matches(translate(_q, '“”„‟«»', '""""""'), '(-?)(?:"([^"]*)"?|([^\s"]+))', 'g') with ordinality f (found, place)
    order by f.place
  loop
    folded := chat_private.words(term.said);
    if folded = '' then
      continue;
    elsif term.is_unwanted then
      unwanted := unwanted || (' ' || folded || ' ');
    else
      wanted := wanted || (' ' || folded || case when term.is_open then '' else ' ' end);
    end if;
  end loop;
end
$$;

create function chat_private.search_key(_chat uuid) returns text
language sql
immutable
parallel safe
set search_path = pg_catalog, pg_temp
as $$
  -- before each word of a page, so that a word is looked up in one chat; two chats that share it share nothing else
  select left(encode(int8send(uuid_hash_extended(_chat, 0)), 'base64'), 7)
$$;

-- pages --------------------------------------------------------------------------------------------------------

create table chat_private.search_pages (
  chat_id uuid not null references chat.chats on delete cascade,
  last_seq bigint not null,
  first_seq bigint not null,
  oldest timestamptz not null,
  newest timestamptz not null,
  words tsvector not null,
  primary key (chat_id, last_seq)
);
create index search_pages_by_word on chat_private.search_pages using gin (words) with (fastupdate = off);
alter table chat_private.search_pages enable row level security;  -- and no policy: nobody but the owner's functions reads it

create function chat_private.search_page(_chat uuid, _first bigint, _last bigint) returns tsvector
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
  -- more of one message, and a page might not fit into a tsvector
  words_max constant integer := 4000;
  key text := chat_private.search_key(_chat);
  words text;
begin
  select string_agg(w.words, ' ')
  into words
  from (select array_to_string((string_to_array(chat_private.words(m.text), ' '))[1:words_max], ' ') as words
        from chat.messages m
        where m.chat_id = _chat and m.seq between _first and _last and m.deleted_at is null) w
  where w.words <> '';
  return array_to_tsvector(coalesce(string_to_array(key || replace(words, ' ', ' ' || key), ' '), '{}'));
end
$$;

create function chat_private.seal_pages(_chat uuid, _page_size integer default 64, _whole boolean default false) returns void
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
-- Under the chat's lock. _whole: also what would not fill a page, so that nothing is left behind the last one.
declare
  page_bytes constant integer := 65536;  -- the words of so much text, each with its key, fit into a tsvector
  -- what one sender does for those before; only after a load past the triggers is there more, and then it takes a while
  pages_at_once constant integer := 4;
  sealed bigint := coalesce((select p.last_seq from chat_private.search_pages p where p.chat_id = _chat order by p.last_seq desc limit 1), 0);
begin
  insert into chat_private.search_pages (chat_id, last_seq, first_seq, oldest, newest, words)
  select _chat, s.last_seq, s.first_seq, s.oldest, s.newest, chat_private.search_page(_chat, s.first_seq, s.last_seq)
  from (select
          min(n.seq) as first_seq,
          max(n.seq) as last_seq,
          min(n.created_at) as oldest,
          max(n.created_at) as newest,
          count(*) as n,
          max(max(n.seq)) over () as end_seq
        from (select
                m.seq,
                m.created_at,
                (row_number() over (order by m.seq) - 1) / _page_size + sum(octet_length(m.text)) over (order by m.seq) / page_bytes as page
              from chat.messages m
              where m.chat_id = _chat and m.seq > sealed
              order by m.seq
              limit case when not _whole then _page_size * pages_at_once end) n
        group by n.page) s
  where s.n = _page_size or s.last_seq < s.end_seq or _whole;
end
$$;

create function chat_private.seal() returns trigger
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform chat_private.seal_pages(new.chat_id);
  return null;
end
$$;
-- One message in 32 looks, since a look costs as much as the message. By a hash: where each message gets a reaction, every seq is odd.
create trigger _200_seal after insert on chat.messages for each row
when (new.imported_at is null and hashint8(new.seq) % 32 = 0)
execute function chat_private.seal();

create function chat_private.reseal_pages(_chat uuid, _seqs bigint[]) returns void
language sql
volatile
set search_path = pg_catalog, pg_temp
as $$
  -- each page once, however many of its messages there are
  update chat_private.search_pages p set words = chat_private.search_page(p.chat_id, p.first_seq, p.last_seq)
  where p.chat_id = _chat
    and p.last_seq in (select (select n.last_seq
                               from chat_private.search_pages n
                               where n.chat_id = _chat and n.last_seq >= s.seq
                               order by n.last_seq
                               limit 1)
                       from unnest(_seqs) s (seq))
$$;

create function chat_private.reseal() returns trigger
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
-- A word that is no longer in any of its messages is no longer in the page, and a page without messages is none. Those of a message that
-- was deleted went when it was.
begin
  with touched as (
    select distinct c.chat_id, n.last_seq
    from changed c
    cross join lateral (select p.last_seq
                        from chat_private.search_pages p
                        where p.chat_id = c.chat_id and p.last_seq >= c.seq
                        order by p.last_seq
                        limit 1) n)
  delete from chat_private.search_pages p
  using touched t
  where p.chat_id = t.chat_id
    and p.last_seq = t.last_seq
    and not exists (select
                    from chat.messages m
                    where m.chat_id = p.chat_id and m.seq between p.first_seq and p.last_seq);
  update chat_private.search_pages p set words = chat_private.search_page(p.chat_id, p.first_seq, p.last_seq)
  where (p.chat_id, p.last_seq) in (
    select c.chat_id, (select n.last_seq
                       from chat_private.search_pages n
                       where n.chat_id = c.chat_id and n.last_seq >= c.seq
                       order by n.last_seq
                       limit 1)
    from changed c
    where c.deleted_at is null);
  return null;
end
$$;
create trigger _200_reseal after delete on chat.messages
referencing old table as changed for each statement
execute function chat_private.reseal();

create function chat_private.reseal_one() returns trigger
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  update chat_private.search_pages p set words = chat_private.search_page(p.chat_id, p.first_seq, p.last_seq)
  where p.chat_id = new.chat_id
    and p.last_seq = (select n.last_seq
                      from chat_private.search_pages n
                      where n.chat_id = new.chat_id and n.last_seq >= new.seq
                      order by n.last_seq
                      limit 1);
  return null;
end
$$;
create trigger _200_reseal_one after update of text, deleted_at on chat.messages for each row
when ((old.text is distinct from new.text or (old.deleted_at is null) is distinct from (new.deleted_at is null))
      -- an erasure does so itself, once for all of a page
      and old.erased_at is not distinct from new.erased_at)
execute function chat_private.reseal_one();

-- search -------------------------------------------------------------------------------------------------------

create function chat_private.search(
  _q text, _chat uuid, _sender uuid, _after timestamptz, _before timestamptz, _from timestamptz, _from_id uuid, _newer boolean, _limit integer)
returns table (chat_id uuid, id uuid, created_at timestamptz)
language plpgsql
stable
rows 50
security definer
set search_path = pg_catalog, pg_temp
as $$
-- Gives keys, and no fewer than the policy on messages lets through: that one decides.
--
-- A span is a page, or what came after the last page of a chat. All that may have the words are gathered, newest first, and looked
-- through a few at a time, until there are enough messages newer than the spans that remain. With _newer the other way round.
declare
  q_max constant integer := 500;
  terms_max constant integer := 20;
  -- what lies after the last page has no other bound in time than its last message; times go up with seq, but for a clock that is set back
  slack constant interval := '1 minute';
  terms record;
  template text;
  needle text;
  at_once integer := 8;
  looked integer := 0;
  -- of the spans: where, and how far from the end that the walk starts at, in microseconds
  chats uuid[];
  firsts bigint[];
  lasts bigint[];
  edges bigint[];
  -- of what was found: in the order of the walk
  found_chats uuid[] := '{}';
  found_ids uuid[] := '{}';
  found_times timestamptz[] := '{}';
begin
  if length(_q) > q_max then
    perform chat_private.refuse('searches_are_short', format('this one has %s', length(_q)));
  elsif _chat is null and chat.is_service() then
    perform chat_private.refuse('searches_of_the_host_are_of_one_chat');
  end if;
  terms := chat_private.search_terms(_q);
  if coalesce(cardinality(terms.wanted), 0) = 0 then
    perform chat_private.refuse('searches_have_a_word');
  elsif cardinality(terms.wanted) + coalesce(cardinality(terms.unwanted), 0) > terms_max then
    perform chat_private.refuse('searches_are_for_a_few_words');
  end if;
  -- every word, with a place for the chat's key before it; the longest is looked for in the text itself, before that is taken apart
  select
    string_agg('''~' || replace(replace(w.word, '\', '\\'), '''', '''''') || '''' || case when w.is_open then ':*' else '' end, ' & '),
    (array_agg(w.word order by length(w.word) desc))[1]
  into template, needle
  from (select
          s.word,
          t.term !~ ' $' and s.place = count(*) over (partition by t.place) as is_open
        from unnest(terms.wanted) with ordinality t (term, place)
        cross join lateral unnest(string_to_array(btrim(t.term), ' ')) with ordinality s (word, place)) w;

  select array_agg(s.chat_id order by s.edge), array_agg(s.first_seq order by s.edge), array_agg(s.last_seq order by s.edge), array_agg(s.edge order by s.edge)
  into chats, firsts, lasts, edges
  from (
    with readable as materialized (
      select r.chat_id, min(r.sees_after) as sees_after  -- a public room is read as a whole, also by who is in it
      from (select m.chat_id, m.sees_after from chat_private.my_memberships m where _chat is null or m.chat_id = _chat
            union all
            select o.chat_id, 0 from chat_private.my_open_rooms o where _chat is null or o.chat_id = _chat
            union all
            select _chat, 0 where chat.is_service()) r
      group by r.chat_id
    ), spans as (
      select r.chat_id, greatest(p.first_seq, r.sees_after + 1) as first_seq, p.last_seq, p.oldest, p.newest
      from readable r
      cross join lateral (
        select g.chat_id, g.first_seq, g.last_seq, g.oldest, g.newest
        from chat_private.search_pages g
        where g.words @@ replace(template, '~', chat_private.search_key(r.chat_id))::tsquery
        offset 0) p  -- by the words alone: the key in each of them is as good as the chat
      where p.chat_id = r.chat_id and p.last_seq > r.sees_after
      union all
      select r.chat_id, s.seq + 1, l.seq, '-infinity', l.created_at + slack
      from readable r
      cross join lateral (
        select greatest(
          r.sees_after,
          (select g.last_seq from chat_private.search_pages g where g.chat_id = r.chat_id order by g.last_seq desc limit 1)) as seq) s
      cross join lateral (
        select m.seq, m.created_at from chat.messages m where m.chat_id = r.chat_id and m.seq > s.seq order by m.seq desc limit 1) l
    )
    select
      s.chat_id,
      s.first_seq,
      s.last_seq,
      case when _newer then case when s.oldest = '-infinity' then 0 else (extract(epoch from s.oldest) * 1000000)::bigint end
           else -(extract(epoch from s.newest) * 1000000)::bigint end as edge
    from spans s
    where (_after is null or s.newest > _after)
      and (_before is null or s.oldest < _before)
      and (_from is null or case when _newer then s.newest >= _from else s.oldest <= _from end)) s;

  while looked < coalesce(cardinality(chats), 0) loop
    select array_agg(f.chat_id order by f.place), array_agg(f.id order by f.place), array_agg(f.created_at order by f.place)
    into found_chats, found_ids, found_times
    from (
      select
        h.chat_id,
        h.id,
        h.created_at,
        row_number() over (order by case when _newer then h.created_at end, case when _newer then h.id end, h.created_at desc, h.id desc) as place
      from (
        select k.chat_id, k.id, k.created_at from unnest(found_chats, found_ids, found_times) k (chat_id, id, created_at)
        union all
        select m.chat_id, m.id, m.created_at
        from unnest(chats[looked + 1:looked + at_once], firsts[looked + 1:looked + at_once], lasts[looked + 1:looked + at_once])
             s (chat_id, first_seq, last_seq)
        join chat.messages m on m.chat_id = s.chat_id and m.seq between s.first_seq and s.last_seq
        where m.deleted_at is null
          and (_sender is null or m.sender_id = _sender)
          and (_after is null or m.created_at > _after)
          and (_before is null or m.created_at < _before)
          and (_from is null or case when _newer then (m.created_at, m.id) > (_from, _from_id) else (m.created_at, m.id) < (_from, _from_id) end)
          -- what is plain ASCII need not be taken apart to see that a word is not in it
          and (octet_length(m.text) <> length(m.text) or strpos(lower(m.text collate "C"), needle) > 0)
          and chat_private.has_terms(m.text, terms.wanted, terms.unwanted)) h
      order by place
      limit _limit) f;
    looked := looked + at_once;
    at_once := at_once * 2;
    exit when cardinality(found_times) >= _limit
      and (case when _newer then 1 else -1 end * extract(epoch from found_times[_limit]) * 1000000)::bigint < edges[looked + 1];
    found_chats := coalesce(found_chats, '{}');
    found_ids := coalesce(found_ids, '{}');
    found_times := coalesce(found_times, '{}');
  end loop;
  return query select k.chat_id, k.id, k.created_at from unnest(found_chats, found_ids, found_times) k (chat_id, id, created_at);
end
$$;

create function chat_private.has_terms(_text text, _wanted text[], _unwanted text[]) returns boolean
language plpgsql
immutable
parallel safe
set search_path = pg_catalog, pg_temp
as $$
declare
  folded text := ' ' || chat_private.words(_text) || ' ';
  term text;
begin
  foreach term in array _wanted loop
    if strpos(folded, term) = 0 then
      return false;
    end if;
  end loop;
  foreach term in array _unwanted loop
    if strpos(folded, term) > 0 then
      return false;
    end if;
  end loop;
  return true;
end
$$;

create function chat_private.highlights(_text text, _q text) returns jsonb
language plpgsql
immutable
security definer
set search_path = pg_catalog, pg_temp
as $$
-- Parts of the text one after the other, each a hit or not: nothing that a text contains can pass for a mark. Goes through the text once,
-- and no further than it shows: whoever writes long messages of one word must not make it costly to find them.
declare
  looked_through constant integer := 3000;  -- characters: where the first hit is later, the beginning is shown
  before_hit constant integer := 60;
  excerpt constant integer := 240;
  wanted text[] := array(select distinct w.term from unnest((chat_private.search_terms(_q)).wanted) w (term));
  pieces text[];
  folded text[];
  hits boolean[];
  total integer;
  term text;
  words text;
  next integer;
  i integer := 1;
  first integer;             -- the first hit
  hit_until integer := 0;    -- pieces up to this belong to a hit
  shown integer := 0;        -- characters from the first hit on
  start integer;
  room integer := before_hit;
begin
  -- a sign that is a word, a word, or what stands between words
  select array_agg(p.found[1] order by p.place) into pieces
  from regexp_matches(
    left(_text, looked_through),
    format('[%1$s]|[^%1$s%2$s]+|[%2$s]+', chat_private.word_signs(), chat_private.between_words()),
    'g') with ordinality p (found, place);
  total := coalesce(cardinality(pieces), 0);
  folded := array_fill(null::text, array[total]);
  hits := array_fill(false, array[total]);
  while i <= total and shown < excerpt loop
    folded[i] := coalesce(folded[i], chat_private.words(pieces[i]));
    if folded[i] <> '' then
      foreach term in array wanted loop
        if strpos(' ' || folded[i] || ' ', term) > 0 then
          hit_until := greatest(hit_until, i);
        elsif strpos(term, ' ' || split_part(folded[i], ' ', 1)) = 1 then
          words := ' ';
          next := i;
          while next <= total and length(words) < length(term) loop
            folded[next] := coalesce(folded[next], chat_private.words(pieces[next]));
            words := words || case when folded[next] = '' then '' else folded[next] || ' ' end;
            next := next + 1;
          end loop;
          if strpos(words, term) = 1 then
            hit_until := greatest(hit_until, next - 1);
          end if;
        end if;
      end loop;
    end if;
    hits[i] := i <= hit_until;
    if hits[i] and first is null then
      first := i;
    end if;
    if first is not null then
      shown := shown + length(pieces[i]);
    end if;
    i := i + 1;
  end loop;
  start := coalesce(first, 1);
  while start > 1 and length(pieces[start - 1]) <= room loop
    start := start - 1;
    room := room - length(pieces[start]);
  end loop;
  return coalesce((
    select jsonb_agg(jsonb_build_object('text', r.said, 'hit', r.hit) order by r.place)
    from (select string_agg(left(f.piece, excerpt), '' order by f.place) as said, f.hit, min(f.place) as place
          from (select
                  g.piece,
                  g.hit,
                  g.place,
                  sum(length(g.piece)) over (order by g.place) - length(g.piece) as before,
                  g.place - row_number() over (partition by g.hit order by g.place) as stretch
                from unnest(pieces, hits) with ordinality g (piece, hit, place)
                where g.place >= start) f
          where f.before < excerpt
          group by f.hit, f.stretch) r), '[]');
end
$$;

create function chat.search(
  _q text, _chat uuid default null, _sender uuid default null, _after timestamptz default null, _before timestamptz default null,
  _from timestamptz default null, _from_id uuid default null, _newer boolean default false, _limit integer default 50)
returns table (chat_id uuid, id uuid, created_at timestamptz, text text, highlights jsonb)
language sql
stable
rows 50
begin atomic
  -- as the asker: the messages' policy decides
  select m.chat_id, m.id, m.created_at, m.text, chat_private.highlights(m.text, _q)
  from chat_private.search(_q, _chat, _sender, _after, _before, _from, _from_id, _newer, least(greatest(coalesce(_limit, 50), 1), 501)) f
  join chat.messages m on m.chat_id = f.chat_id and m.id = f.id and m.deleted_at is null;
end;
grant execute on function
  chat.search(text, uuid, uuid, timestamptz, timestamptz, timestamptz, uuid, boolean, integer),
  chat_private.search(text, uuid, uuid, timestamptz, timestamptz, timestamptz, uuid, boolean, integer),
  chat_private.highlights(text, text)
to anon, authenticated, service_role;

-- comments -----------------------------------------------------------------------------------------------------

comment on function chat_private.word_signs() is 'The signs that are words by themselves.';
comment on function chat_private.between_words() is 'The signs that separate words.';
comment on function chat_private.words(text) is 'The words of a text, folded and separated by single blanks.';
comment on function chat_private.search_terms(text) is 'What a search looks for and what it leaves out.';
comment on function chat_private.search_key(uuid) is 'What stands before the words of a chat in the index.';
comment on table chat_private.search_pages is 'The words of 64 messages that follow each other in a chat.';
comment on column chat_private.search_pages.chat_id is 'The chat.';
comment on column chat_private.search_pages.last_seq is 'The last of its messages.';
comment on column chat_private.search_pages.first_seq is 'The first of its messages.';
comment on column chat_private.search_pages.oldest is 'When the oldest of them was sent; imported ones need not be in order.';
comment on column chat_private.search_pages.newest is 'When the newest of them was sent.';
comment on column chat_private.search_pages.words is 'Their words, each behind the chat''s key.';
comment on index chat_private.search_pages_by_word is 'Which pages of this chat have this word?';
comment on function chat_private.search_page(uuid, bigint, bigint) is 'The words of the messages from this seq to that.';
comment on function chat_private.seal_pages(uuid, integer, boolean) is 'Makes pages of what came after the last page of a chat.';
comment on function chat_private.seal() is 'Makes pages, when there is enough for one.';
comment on function chat_private.reseal_pages(uuid, bigint[]) is 'Brings the pages of these messages up to date.';
comment on function chat_private.reseal() is 'Takes the words of messages that are gone out of their pages.';
comment on function chat_private.reseal_one() is 'Brings the page of a message up to date.';
comment on function chat_private.search(text, uuid, uuid, timestamptz, timestamptz, timestamptz, uuid, boolean, integer) is 'search.1 to search.5: where to look.';
comment on function chat_private.has_terms(text, text[], text[]) is 'Whether a text has all that is looked for and nothing that is left out.';
comment on function chat_private.highlights(text, text) is 'An excerpt of a text around what a search finds in it, in parts: [{ text, hit }].';
comment on function chat.search(text, uuid, uuid, timestamptz, timestamptz, timestamptz, uuid, boolean, integer) is 'Messages that one reads and that have these words, newest first; from a moment and id on, to older or newer ones.';
comment on trigger _200_seal on chat.messages is 'Binds everyone who does not import.';
comment on trigger _200_reseal on chat.messages is 'Binds everyone.';
comment on trigger _200_reseal_one on chat.messages is 'Binds everyone but an erasure.';

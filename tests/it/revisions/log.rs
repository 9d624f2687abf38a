//! A log of every change that got a rev, written by triggers of the tests, and what must be true of it.

use tokio_postgres::Client;

use crate::support::Database;

const SETUP: &str = "
create schema race;
grant usage on schema race to public;
create table race.log (
  chat_id uuid not null,
  rev bigint not null,
  xid xid8 not null default pg_current_xact_id(),
  source text not null,
  what text not null,
  actor uuid,     -- whose claims it was done with, if RLS bound them
  who uuid,       -- the sender, or the participant
  is_in boolean,  -- of a participant
  role text
);
create index on race.log (chat_id, rev);
grant select on race.log to public;
create function race.head(_chat uuid) returns bigint language sql stable security definer as $$
  select greatest(
    (select max(greatest(m.seq, m.rev)) from chat.messages m where m.chat_id = _chat),
    (select max(p.rev) from chat.participants p where p.chat_id = _chat),
    (select max(t.rev) from chat.tombstones t where t.chat_id = _chat),
    (select c.rev from chat.chats c where c.id = _chat))
$$;
create function race.log() returns trigger language plpgsql security definer as $$
declare
  o jsonb := case when tg_op = 'UPDATE' then to_jsonb(old) end;
  n jsonb := to_jsonb(new);
begin
  if tg_op = 'UPDATE' and new.rev = old.rev then
    return null;
  end if;
  insert into race.log (chat_id, rev, source, what, actor, who, is_in, role)
  values (
    coalesce(n ->> 'chat_id', n ->> 'id')::uuid,
    new.rev,
    tg_table_name,
    case when tg_op = 'INSERT' then 'made'
         when n -> 'erased_at' is distinct from o -> 'erased_at' then 'erased'
         when n -> 'reactions' is distinct from o -> 'reactions' then 'reacted'
         when n -> 'deleted_at' is distinct from o -> 'deleted_at' then 'deleted'
         when n -> 'pinned_at' is distinct from o -> 'pinned_at' then 'pinned'
         else 'changed' end,
    case when current_setting('role') = 'authenticated' then chat.uid() end,
    coalesce(n ->> 'sender_id', n ->> 'user_id', case when n ->> 'kind' = 'participant' then n ->> 'row_id' end)::uuid,
    case when tg_table_name = 'participants' then n ->> 'left_at' is null
         when n ->> 'kind' = 'participant' then false end,
    n ->> 'role');
  return null;
end
$$;
create trigger _999_log after insert or update on chat.messages for each row execute function race.log();
create trigger _999_log after insert or update on chat.participants for each row execute function race.log();
create trigger _999_log after insert or update on chat.chats for each row execute function race.log();
create trigger _999_log after insert or update on chat.tombstones for each row execute function race.log();
";

/// In one snapshot: where the revs that one sees do not run from 1 to the highest, each once, or where the tables' head is another.
const BROKEN: &str = "
select format('chat %s: %s changes, the highest rev is %s, the head %s', l.chat_id, l.n, l.top, race.head(l.chat_id))
from (select g.chat_id, count(*) as n, max(g.rev) as top from race.log g group by g.chat_id) l
where l.n <> l.top or race.head(l.chat_id) is distinct from l.top";

/// A rev that two changes got.
const GIVEN_TWICE: &str = "
select format('chat %s, rev %s: %s', g.chat_id, g.rev, string_agg(g.source || ' ' || g.what, ', '))
from race.log g
group by g.chat_id, g.rev
having count(*) > 1";

/// A rev that two rows bear.
const BORNE_TWICE: &str = "
select format('chat %s, rev %s: %s', r.chat_id, r.rev, string_agg(r.source, ', '))
from (select chat_id, rev, 'messages' as source from chat.messages
      union all select chat_id, seq, 'seq of messages' from chat.messages where seq <> rev
      union all select chat_id, rev, 'participants' from chat.participants
      union all select id, rev, 'chats' from chat.chats
      union all select chat_id, rev, 'tombstones' from chat.tombstones) r
group by r.chat_id, r.rev
having count(*) > 1";

/// A change by somebody who, by the rev before it, was not in the chat or had not the role for it. Spared are one's own joining, the
/// founding, what a transaction sets off by its own leaving (the last one's ends the group), and an erasure: it reaches where one is no
/// longer, and takes back one's reactions there.
const BY_OUTSIDERS: &str = "
select format('chat %s, rev %s: %s %s by %s, in: %s, role: %s', l.chat_id, l.rev, l.source, l.what, l.actor, p.is_in, p.role)
from race.log l
left join lateral (
  select g.xid, g.is_in, g.role
  from race.log g
  where g.chat_id = l.chat_id and g.who = l.actor and g.is_in is not null and g.rev < l.rev
  order by g.rev desc
  limit 1) p on true
where l.actor is not null
  and not (l.source = 'participants' and l.who = l.actor)
  and l.what <> 'erased'
  and not (l.what = 'reacted' and exists (select from chat.users u where u.id = l.actor and u.erased_at is not null))
  and not exists (select
                  from race.log f
                  where f.chat_id = l.chat_id and f.xid = l.xid and f.source = 'chats' and f.what = 'made')
  and (p.xid is distinct from l.xid or l.source = 'messages')
  and (p.is_in is not true
       or p.role = 'member' and (l.source = 'chats'
                                 or l.source = 'participants'
                                 or l.what = 'pinned'
                                 or l.what = 'deleted' and l.who is distinct from l.actor))";

/// Starts the log.
pub async fn db_start(database: &Database) -> Client {
    let client = database.cluster.db_superuser(&database.name).await;
    client.batch_execute(SETUP).await.expect("the log is set up");
    client
}

/// What is broken in one snapshot of a reader.
pub async fn db_broken(reader: &Client) -> Vec<String> {
    db_texts(reader, BROKEN).await
}

/// Makes sure that everything is as it must be when all writers are done.
pub async fn db_holds(reader: &Client) {
    for (what, sql) in [
        ("the revs of each chat run from 1 to its head", BROKEN),
        ("a rev is given once", GIVEN_TWICE),
        ("a rev is borne by one row", BORNE_TWICE),
        ("nobody changes anything above the rev at which they were removed, or lost the role", BY_OUTSIDERS),
    ] {
        let found = db_texts(reader, sql).await;
        assert!(found.is_empty(), "not true that {what}: {} times, as {:#?}", found.len(), &found[..found.len().min(5)]);
    }
}

async fn db_texts(client: &Client, sql: &str) -> Vec<String> {
    client.query(sql, &[]).await.expect(sql).iter().map(|row| row.get(0)).collect()
}

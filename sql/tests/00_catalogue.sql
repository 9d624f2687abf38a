-- The catalogue: laws that hold for every object, and the exact sets of policies, grants and functions.
-- What is new breaks an exact set until it is listed here: that is what these lists are for.
begin isolation level read committed;
select plan(76);
set local client_min_messages = warning;

create view pg_temp.relations as
select c.oid, n.nspname, c.relname, c.relkind, c.relowner, c.relacl, c.relrowsecurity, c.relforcerowsecurity, c.reloptions
from pg_catalog.pg_class c
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where n.nspname in ('chat', 'chat_private');

create view pg_temp.functions as
select p.oid, n.nspname, p.proname, p.prokind, p.provolatile, p.prosecdef, p.proconfig, p.proowner, p.proacl, p.prosrc,
       replace(p.oid::pg_catalog.regprocedure::text, ' ', '') as signature
from pg_catalog.pg_proc p
join pg_catalog.pg_namespace n on n.oid = p.pronamespace
where n.nspname in ('chat', 'chat_private');

create view pg_temp.quotations as
select r.number || ': ' || r.sentence as quotation, r.number, r.name from chat.rules r;

-- row-level security -----------------------------------------------------------------------------------------

select is_empty($$
  select r.nspname || '.' || r.relname from pg_temp.relations r where r.relkind in ('r', 'p') and not r.relrowsecurity
$$, 'every table has row-level security');

select is_empty($$
  select r.nspname || '.' || r.relname from pg_temp.relations r where r.relkind in ('r', 'p') and r.relforcerowsecurity
$$, 'it is enabled, never forced: the owner''s functions must see');

select is_empty($$
  select r.relname
  from pg_temp.relations r
  where r.nspname = 'chat' and r.relkind in ('r', 'p') and not exists (select from pg_catalog.pg_policy p where p.polrelid = r.oid)
$$, 'every table of schema chat has a policy');

select is_empty($$
  select p.tablename || ' ' || p.cmd || ' ' || role
  from pg_catalog.pg_policies p, unnest(p.roles) role
  where p.schemaname in ('chat', 'chat_private') and p.permissive = 'PERMISSIVE'
  group by p.schemaname, p.tablename, p.cmd, role
  having count(*) > 1
$$, 'one permissive policy per table, role and command');

select is_empty($$
  select p.tablename || ' ' || p.policyname from pg_catalog.pg_policies p where p.schemaname in ('chat', 'chat_private') and p.cmd = 'ALL'
$$, 'no policy is for all commands');

select is_empty($$
  select p.tablename || ' ' || p.policyname
  from pg_catalog.pg_policies p
  where p.schemaname in ('chat', 'chat_private') and 'public' = any (p.roles)
$$, 'no policy is for public');

select is_empty($$
  select p.tablename || ' ' || p.policyname
  from pg_catalog.pg_policies p
  where p.schemaname = 'chat'
    and (coalesce(p.qual, 'true') = 'true' and coalesce(p.with_check, 'true') = 'true')
    and p.roles && array['anon', 'authenticated']::name[]
    and p.tablename not in ('rules', 'settings')
$$, 'to people, no policy says simply true but for rules and settings');

select is_empty($$
  select r.relname
  from pg_temp.relations r
  where r.nspname = 'chat' and r.relkind = 'v' and not coalesce(r.reloptions @> array['security_invoker=true'], false)
$$, 'every view of schema chat reads with the rights of who asks');

-- comments ---------------------------------------------------------------------------------------------------

select is_empty($$
  select r.nspname || '.' || r.relname
  from pg_temp.relations r
  where r.relkind in ('r', 'p', 'v', 'm') and pg_catalog.obj_description(r.oid, 'pg_class') is null
$$, 'every table and view has a comment');

select is_empty($$
  select r.relname || '.' || a.attname
  from pg_temp.relations r
  join pg_catalog.pg_attribute a on a.attrelid = r.oid and a.attnum > 0 and not a.attisdropped
  where r.nspname = 'chat' and r.relkind in ('r', 'p') and pg_catalog.col_description(r.oid, a.attnum) is null
$$, 'every column of schema chat has a comment');

select is_empty($$
  select f.signature from pg_temp.functions f where pg_catalog.obj_description(f.oid, 'pg_proc') is null
$$, 'every function and procedure has a comment');

select is_empty($$
  select r.relname || ' ' || t.tgname
  from pg_catalog.pg_trigger t
  join pg_temp.relations r on r.oid = t.tgrelid
  where not t.tgisinternal and pg_catalog.obj_description(t.oid, 'pg_trigger') is null
$$, 'every trigger has a comment');

select is_empty($$
  select r.relname || ' ' || t.tgname
  from pg_catalog.pg_trigger t
  join pg_temp.relations r on r.oid = t.tgrelid
  where not t.tgisinternal and t.tgname !~ '^_[0-9]{3}_[a-z_]+$'
$$, 'a trigger''s name shows when it fires: _100_what');

-- a line of the audit for each write: see V13 for what leaves none
select set_eq($$
  select c.relname || ' ' || array_to_string(array_remove(array[
    case when t.tgtype::integer & 4 > 0 then 'insert' end, case when t.tgtype::integer & 16 > 0 then 'update' end,
    case when t.tgtype::integer & 8 > 0 then 'delete' end, case when t.tgtype::integer & 32 > 0 then 'truncate' end], null), ' ')
  from pg_catalog.pg_trigger t
  join pg_temp.relations c on c.oid = t.tgrelid
  where t.tgfoid = 'chat_private.audit()'::pg_catalog.regprocedure and t.tgenabled = 'O' and t.tgqual is null
  union all
  select c.relname || ' has none'
  from pg_temp.relations c
  where c.nspname = 'chat' and c.relkind in ('r', 'p')
    and not exists (select from pg_catalog.pg_trigger t where t.tgrelid = c.oid and t.tgfoid = 'chat_private.audit()'::pg_catalog.regprocedure)
$$,
  array[
    'users insert update delete', 'users truncate', 'friendships insert update delete', 'friendships truncate',
    'blocks insert update delete', 'blocks truncate', 'settings insert update delete', 'settings truncate',
    'chats insert update delete', 'participants insert update delete', 'messages update delete', 'reactions insert update delete',
    'audit_log has none', 'message_edits has none', 'presence has none', 'presence_states has none', 'read_markers has none', 'rules has none', 'tombstones has none'],
  'audit.2: what is written leaves a line; a new table says whether it does');

select is_empty($$
  select i.relname
  from pg_temp.relations i
  where i.relkind = 'i'
    and not exists (select from pg_catalog.pg_constraint c where c.conindid = i.oid and c.contype in ('p', 'u', 'x'))
    and pg_catalog.obj_description(i.oid, 'pg_class') is null
$$, 'every index has a comment');

select is_empty($$
  select r.relname || ' ' || p.polname
  from pg_catalog.pg_policy p
  join pg_temp.relations r on r.oid = p.polrelid
  where not exists (select from pg_temp.quotations q where q.quotation = pg_catalog.obj_description(p.oid, 'pg_policy'))
$$, 'every policy quotes a rule, word by word');

select is_empty($$
  select c.conname
  from pg_catalog.pg_constraint c
  join pg_temp.relations r on r.oid = c.conrelid
  where r.nspname = 'chat'
    and r.relname <> 'rules'  -- what a rule looks like is said by a comment of its own
    and c.contype <> 'n'  -- Postgres 18 has a constraint per not null
    and (c.contype = 'c' or c.conname !~ '_(pkey|fkey|key)$')
    and not exists (select from pg_temp.quotations q where q.quotation = pg_catalog.obj_description(c.oid, 'pg_constraint'))
$$, 'every constraint quotes a rule, word by word');

select is_empty($$
  select c.conname from pg_catalog.pg_constraint c join pg_temp.relations r on r.oid = c.conrelid
  where c.contype = 'c' and pg_catalog.obj_description(c.oid, 'pg_constraint') is null
$$, 'every check has a comment');

select is_empty($$
  select x.relname
  from pg_temp.relations x
  join pg_catalog.pg_index i on i.indexrelid = x.oid
  where x.nspname = 'chat'
    and i.indisunique
    and not exists (select from pg_catalog.pg_constraint c where c.conindid = x.oid)
    and exists (select from pg_temp.quotations q where q.name = x.relname)
    and not exists (select from pg_temp.quotations q where q.name = x.relname and q.quotation = pg_catalog.obj_description(x.oid, 'pg_class'))
$$, 'a unique index that bears the name of a rule quotes it');

select is_empty($$
  select c.conname
  from pg_catalog.pg_constraint c
  join pg_temp.relations r on r.oid = c.conrelid
  join pg_temp.quotations q on q.quotation = pg_catalog.obj_description(c.oid, 'pg_constraint')
  where q.name <> c.conname and q.number <> 'settings.1'
$$, 'a constraint bears the name of the rule that it quotes: the code of an error');

select is_empty($$
  select f.signature || ' ' || m.said[1]
  from pg_temp.functions f, pg_catalog.regexp_matches(f.prosrc, '''([a-z]+_[a-z_]*_[a-z_]+)''', 'g') m (said)
  where f.prosrc ~ 'refuse\(' and f.proname <> 'refuse'
    and m.said[1] not in (select q.name from pg_temp.quotations q)
    and m.said[1] not in ('transaction_isolation', 'synchronous_commit', 'event_authors', 'approved_group', 'service_role', 'since_join', 'reply_to_id')
$$, 'a function refuses in the name of rules that exist');

-- indexes ----------------------------------------------------------------------------------------------------

select is_empty($$
  select c.conname
  from pg_catalog.pg_constraint c
  join pg_temp.relations r on r.oid = c.conrelid
  where c.contype = 'f'
    and not exists (
      select
      from pg_catalog.pg_index i
      where i.indrelid = c.conrelid
        and (i.indpred is null or pg_catalog.pg_get_expr(i.indpred, i.indrelid) ~ '^\(\w+ IS NOT NULL\)$')
        and array(select k from unnest((i.indkey::smallint[])[0:cardinality(c.conkey) - 1]) k order by k)
            = array(select k from unnest(c.conkey) k order by k))
$$, 'every foreign key is indexed by its leading columns');

-- functions --------------------------------------------------------------------------------------------------

select is_empty($$
  select f.signature
  from pg_temp.functions f
  where f.proacl is null or exists (select from pg_catalog.aclexplode(f.proacl) a where a.grantee = 0)
$$, 'nothing is executable by public');

select is_empty($$
  select r.nspname || '.' || r.relname
  from pg_temp.relations r, pg_catalog.aclexplode(r.relacl) a
  where a.grantee = 0
$$, 'nothing is readable or writable by public');

select is_empty($$
  select f.signature from pg_temp.functions f where f.prosecdef and f.nspname <> 'chat_private'
$$, 'the owner''s rights are lent in chat_private alone');

select is_empty($$
  select f.signature
  from pg_temp.functions f
  where f.prosecdef and 'search_path=pg_catalog, pg_temp' = any (f.proconfig) is not true
$$, 'what lends them searches pg_catalog first and pg_temp last: unnamed, pg_temp comes first, for types as well');

select is_empty($$
  select f.signature
  from pg_temp.functions f
  where exists (select from unnest(f.proconfig) s where s like 'search_path=%' and s <> 'search_path=pg_catalog, pg_temp')
$$, 'no function has another search_path');

select is_empty($$
  select f.signature from pg_temp.functions f where f.prosecdef and f.prosrc ~* '\mexecute\M'
$$, 'what lends the owner''s rights runs no text as SQL');

select set_eq($$
  select case f.provolatile when 'i' then 'immutable ' else 'stable ' end || f.signature
  from pg_temp.functions f
  where f.provolatile <> 'v'
$$,
  array[
    'immutable chat_private.audit_words()',
    'immutable chat_private.avatar_from_claims(jsonb)',
    'immutable chat_private.between_words()',
    'immutable chat_private.fallback_name(uuid)',
    'immutable chat_private.name_from_claims(jsonb)',
    'immutable chat_private.has_terms(text,text[],text[])',
    'immutable chat_private.highlights(text,text)',
    'immutable chat_private.search_key(uuid)',
    'immutable chat_private.struck(jsonb)',
    'immutable chat_private.search_terms(text)',
    'immutable chat_private.word_signs()',
    'immutable chat_private.words(text)',
    'stable chat.claims()',
    'stable chat.expect_edits(uuid,uuid)',
    'stable chat.expect_free_id(uuid,uuid)',
    'stable chat.expect_message(uuid,uuid)',
    'stable chat.expect_reader(uuid)',
    'stable chat.expect_user(uuid)',
    'stable chat.export_me(jsonb)',
    'stable chat.is_admin()',
    'stable chat.is_service()',
    'stable chat.changes(uuid,bigint,bigint,text)',
    'stable chat_private.changes(uuid,bigint,bigint,text)',
    'stable chat.sync(text,pg_snapshot,pg_snapshot,uuid,bigint,bigint)',
    'stable chat_private.sync(text,pg_snapshot,pg_snapshot,uuid,bigint,bigint)',
    'stable chat_private.epoch()',
    'stable chat_private.is_news(xid8,pg_snapshot)',
    'stable chat_private.head_rev(uuid)',
    'stable chat_private.rev_seen(uuid,pg_snapshot)',
    'stable chat_private.rows_with(uuid,uuid,jsonb)',
    'stable chat_private.news(uuid,pg_snapshot)',
    'stable chat_private.changed(uuid,bigint,bigint,bigint)',
    'stable chat_private.is_forgotten(uuid,bigint)',
    'stable chat_private.standings(uuid[],uuid[],text[])',
    'stable chat_private.standing_rev(uuid)',
    'stable chat.live(uuid[],bigint[],uuid[],uuid[],text[],bigint)',
    'stable chat_private.live(uuid[],bigint[],uuid[],uuid[],text[],bigint)',
    'stable chat.arrivals(pg_snapshot)',
    'stable chat_private.arrivals(pg_snapshot)',
    'stable chat.expect_companion(uuid)',
    'stable chat_private.expect_companion(uuid)',
    'stable chat.presence_of(uuid,uuid[])',
    'stable chat_private.presence_of(uuid,uuid[])',
    'stable chat.presence_told(uuid[])',
    'stable chat_private.presence_told(uuid[])',
    'stable chat.broadcasts_told(bigint[])',
    'stable chat_private.broadcasts_told(bigint[])',
    'stable chat.states_marks(uuid[])',
    'stable chat_private.states_marks(uuid[])',
    'stable chat.states_told(uuid[],uuid[],uuid[])',
    'stable chat_private.states_told(uuid[],uuid[],uuid[])',
    'stable chat.find_resume(uuid,text,text)',
    'stable chat_private.find_resume(uuid,text,text)',
    'stable chat.present()',
    'stable chat_private.present()',
    'stable chat.sealing_key()',
    'stable chat_private.sealing_key()',
    'stable chat_private.statuses(uuid[])',
    'stable chat.live_epoch()',
    'stable chat_private.live_epoch()',
    'stable chat.names(uuid[],uuid[])',
    'stable chat.overviews(uuid[],uuid[])',
    'stable chat.people(uuid,uuid[])',
    'stable chat.search(text,uuid,uuid,timestampwithtimezone,timestampwithtimezone,timestampwithtimezone,uuid,boolean,integer)',
    'stable chat.uid()',
    'stable chat_private.audit_gaps()',
    'stable chat_private.month_of_audit(timestampwithtimezone)',
    'stable chat_private.via()',
    'stable chat_private.check_direct(uuid)',
    'stable chat_private.check_writer(uuid)',
    'stable chat_private.expect_edits(uuid,uuid)',
    'stable chat_private.expect_free_id(uuid,uuid)',
    'stable chat_private.expect_message(uuid,uuid)',
    'stable chat_private.expect_reader(uuid)',
    'stable chat_private.expect_user(uuid)',
    'stable chat_private.export_edits(uuid,jsonb)',
    'stable chat_private.export_me(jsonb)',
    'stable chat_private.export_messages(uuid,jsonb)',
    'stable chat_private.export_people(uuid,text,jsonb)',
    'stable chat_private.export_places(uuid,text,jsonb)',
    'stable chat_private.is_sent(uuid,uuid)',
    'stable chat_private.may_open_to_the_public()',
    'stable chat_private.moment(timestampwithtimezone)',
    'stable chat_private.migrated()',
    'stable chat_private.names(uuid[],uuid[])',
    'stable chat_private.import_rows(jsonb)',
    'stable chat_private.next_chat_of(uuid,uuid)',
    'stable chat_private.search(text,uuid,uuid,timestampwithtimezone,timestampwithtimezone,timestampwithtimezone,uuid,boolean,integer)',
    'stable chat_private.search_page(uuid,bigint,bigint)',
    'stable chat_private.overviews(uuid[],uuid[])',
    'stable chat_private.people(uuid,uuid[])',
    'stable chat_private.called(uuid)',
    'stable chat_private.chat_with(uuid,uuid)',
    'stable chat_private.held_rules()',
    'stable chat_private.holder(text,text,text,text)',
    'stable chat_private.listed(uuid[])',
    'stable chat_private.missing_grant(text,text,text,boolean,text[],text[],boolean)',
    'stable chat_private.offending(text,jsonb)',
    'stable chat_private.other_of(uuid)',
    'stable chat_private.question(text,uuid,text,text,text,jsonb)',
    'stable chat_private.raiser(text,text,text)',
    'stable chat_private.somebody(text)',
    'stable chat_private.written(text,jsonb)'],
  'volatility is no accident: these are not volatile, every other function is');

-- owners -----------------------------------------------------------------------------------------------------

select is_empty($$
  select r.nspname || '.' || r.relname from pg_temp.relations r where r.relowner <> 'chat_owner'::pg_catalog.regrole
  union all
  select f.signature from pg_temp.functions f where f.proowner <> 'chat_owner'::pg_catalog.regrole
  union all
  select n.nspname from pg_catalog.pg_namespace n where n.nspname in ('chat', 'chat_private') and n.nspowner <> 'chat_owner'::pg_catalog.regrole
$$, 'everything is owned by chat_owner');

select is_empty($$
  select c.relname::text from pg_catalog.pg_class c where c.relnamespace = 'public'::pg_catalog.regnamespace and c.relowner = 'chat_owner'::pg_catalog.regrole
  union all
  select p.proname::text from pg_catalog.pg_proc p where p.pronamespace = 'public'::pg_catalog.regnamespace and p.proowner = 'chat_owner'::pg_catalog.regrole
  union all
  select t.typname::text from pg_catalog.pg_type t where t.typnamespace = 'public'::pg_catalog.regnamespace and t.typowner = 'chat_owner'::pg_catalog.regrole
$$, 'nothing is created in public');

select is_empty($$
  select c.relname::text from pg_catalog.pg_class c
  where c.relowner in ('chat_api'::pg_catalog.regrole, 'chat_auditor'::pg_catalog.regrole, 'chat_relay'::pg_catalog.regrole)
  union all
  select p.proname::text from pg_catalog.pg_proc p
  where p.proowner in ('chat_api'::pg_catalog.regrole, 'chat_auditor'::pg_catalog.regrole, 'chat_relay'::pg_catalog.regrole)
$$, 'chat_api, chat_auditor and chat_relay own nothing');

select is_empty($$
  select x.name
  from (select r.relname as name from pg_temp.relations r
        union all select f.proname from pg_temp.functions f
        union all select p.polname from pg_catalog.pg_policy p
        union all select c.conname from pg_catalog.pg_constraint c
        union all select t.tgname from pg_catalog.pg_trigger t where not t.tgisinternal) x (name)
  where pg_catalog.octet_length(x.name::text) >= 63
$$, 'no name was cut off at 63 bytes');

-- roles ------------------------------------------------------------------------------------------------------

select set_eq($$
  select r.rolname || case when r.rolcanlogin then ' login' else '' end
  from pg_catalog.pg_roles r
  where r.rolname in ('chat_owner', 'chat_auditor', 'chat_relay', 'chat_api')
$$, array['chat_owner', 'chat_auditor', 'chat_relay', 'chat_api login'], 'of ours, chat_api alone logs in');

select is_empty($$
  select r.rolname
  from pg_catalog.pg_roles r
  where r.rolname in ('anon', 'authenticated', 'chat_owner', 'chat_auditor', 'chat_relay', 'chat_api')
    and (r.rolsuper or r.rolbypassrls or r.rolcreaterole or r.rolcreatedb or r.rolreplication)
$$, 'none of them is more than it must be');

select ok(not r.rolinherit, 'chat_api inherits nothing') from pg_catalog.pg_roles r where r.rolname = 'chat_api';

select set_eq($$
  select m.roleid::pg_catalog.regrole::text from pg_catalog.pg_auth_members m where m.member = 'chat_api'::pg_catalog.regrole
$$, array['anon', 'authenticated', 'service_role', 'chat_relay'], 'chat_api may become whom a token names, and the relay');

select is_empty($$
  select m.roleid::pg_catalog.regrole::text from pg_catalog.pg_auth_members m where m.member = 'chat_owner'::pg_catalog.regrole
$$, 'chat_owner is a member of nothing');

select is_empty($$
  select r.rolname
  from pg_catalog.pg_roles r
  where r.rolname in ('anon', 'authenticated', 'service_role', 'chat_auditor', 'chat_relay', 'chat_api')
    and pg_catalog.pg_has_role(r.rolname, 'chat_owner', 'member')
$$, 'and none of the roles that serve is a member of it');

select set_eq($$
  select n.nspname || ' ' || r.rolname || ' ' || lower(a.privilege_type)
  from pg_catalog.pg_namespace n, pg_catalog.aclexplode(n.nspacl) a
  left join pg_catalog.pg_roles r on r.oid = a.grantee
  where n.nspname in ('chat', 'chat_private') and r.rolname is distinct from 'chat_owner'
$$, array[
    'chat anon usage',
    'chat authenticated usage',
    'chat service_role usage',
    'chat chat_auditor usage',
    'chat chat_relay usage',
    'chat chat_api usage',
    'chat_private chat_api usage'],
  'schema chat is named by every role, chat_private by the server''s login alone');

-- the rules --------------------------------------------------------------------------------------------------

select set_eq($$
  select r.number || ' ' || r.name || ' ' || r.status from chat.rules r
$$,
  array[
    'audit.1 audit_is_read_by_auditors 403',
    'audit.2 audit_is_written_by_what_happens 403',
    'audit.3 audit_lines_are_of_a_kind 422',
    'audit.4 audit_forgets_words 403',
    'imports.1 messages_are_imported_by_the_host 403',
    'imports.2 imported_messages_are_of_the_past 422',
    'imports.3 messages_are_imported_once 409',
    'search.1 searches_find_what_one_reads 403',
    'search.2 searches_have_a_word 422',
    'search.3 searches_are_short 422',
    'search.4 searches_of_the_host_are_of_one_chat 422',
    'search.5 searches_are_for_a_few_words 422',
    'blocks.1 blocks_are_seen_by_the_blocker 403',
    'blocks.2 blocks_are_made_by_the_blocker 403',
    'blocks.3 blocks_are_between_two 422',
    'blocks.4 blocks_end_friendships 403',
    'broadcasts.1 broadcasts_are_sent_by_writers 403',
    'broadcasts.2 broadcast_event_is_a_name 422',
    'broadcasts.3 broadcast_is_short 422',
    'broadcasts.4 broadcast_has_one_content 422',
    'broadcasts.5 broadcasts_are_told_by_the_relay 403',
    'changes.1 changes_are_told_to_readers 403',
    'live.1 live_is_told_by_the_relay 403',
    'chats.1 chats_are_read_by_participants 403',
    'chats.2 chats_exist 404',
    'chats.3 chats_are_founded_as_oneself 403',
    'chats.4 chats_public_ones_are_made_by_admins 403',
    'chats.5 chats_are_changed_by_moderators 403',
    'chats.6 chats_are_deleted_by_owners 403',
    'chats.7 chats_only_rooms_are_open 422',
    'chats.8 chats_type_is_known 422',
    'chats.9 chats_visibility_is_known 422',
    'chats.10 chats_name_is_a_name 422',
    'chats.11 chats_topic_is_short 422',
    'chats.12 chats_direct_ones_have_a_pair 422',
    'chats.13 chats_event_ones_have_an_event 422',
    'chats.14 chats_rooms_have_a_name 422',
    'chats.15 chats_keep_their_identity 409',
    'chats.16 chats_stay_deleted 409',
    'chats.17 chats_event_ones_are_made_by_the_host 403',
    'chats.18 chats_one_per_pair 409',
    'chats.19 chats_one_per_event 409',
    'chats.20 chats_uids_are_unique 409',
    'direct.1 direct_chats_are_between_friends 403',
    'direct.2 direct_chats_pass_no_block 403',
    'direct.3 direct_chats_are_with_somebody_else 422',
    'direct.4 direct_chats_come_back 403',
    'edits.1 edits_are_seen_by_sender_and_moderators 403',
    'friends.1 friendships_are_seen_by_the_two 403',
    'friends.2 friendships_are_asked_for_oneself 403',
    'friends.3 friendships_are_accepted_by_the_asked 403',
    'friends.4 friendships_are_ended_by_either 403',
    'friends.5 friendships_are_between_two 422',
    'friends.6 friendships_pass_no_block 403',
    'friends.7 friendships_are_one_per_pair 409',
    'messages.1 messages_are_read_by_readers 403',
    'messages.2 messages_are_sent_by_participants 403',
    'messages.3 messages_are_edited_by_their_sender 403',
    'messages.4 messages_are_edited_within_the_window 403',
    'messages.5 messages_are_deleted_by_sender_or_moderators 403',
    'messages.6 messages_are_pinned_by_moderators 403',
    'messages.7 messages_text_is_not_blank 422',
    'messages.8 messages_text_is_short_enough 422',
    'messages.9 messages_reply_within_their_chat 422',
    'messages.10 messages_keep_their_identity 409',
    'messages.11 messages_stay_deleted 409',
    'messages.12 messages_exist 404',
    'messages.13 message_id_is_taken 409',
    'messages.14 message_id_was_used 409',
    'messages.15 messages_kind_is_known 422',
    'messages.16 messages_attachment_url_is_a_link 422',
    'messages.17 messages_mention_a_few 422',
    'messages.18 messages_in_read_only_chats_are_moderators 403',
    'messages.19 messages_text_is_kept 403',
    'messages.20 messages_stay_erased 409',
    'participants.1 participants_are_seen_by_readers 403',
    'participants.2 participants_join_public_rooms 403',
    'participants.3 participants_are_added_by_moderators 403',
    'participants.4 participants_get_roles_from_owners 403',
    'participants.5 participants_are_removed_by_moderators 403',
    'participants.6 participants_keep_an_owner 409',
    'participants.7 participants_are_not_added_over_a_block 403',
    'participants.8 participants_role_is_known 422',
    'participants.9 participants_keep_their_identity 409',
    'participants.10 participants_end_their_group 403',
    'participants.11 participants_read_from_where_they_joined 403',
    'presence.1 presence_is_seen_by_participants 403',
    'presence.2 presence_state_is_known 422',
    'presence.3 presence_is_kept_by_the_relay 403',
    'presence.4 state_is_short 422',
    'presence.5 states_are_few 403',
    'reads.1 reads_are_seen_by_participants 403',
    'reads.2 reads_are_marked_for_oneself 403',
    'reads.3 reads_never_go_back 422',
    'reads.4 reads_start_at_the_beginning 422',
    'reactions.1 reactions_are_seen_by_readers 403',
    'reactions.2 reactions_are_made_by_participants 403',
    'reactions.3 reactions_are_taken_back_by_who_made_them 403',
    'reactions.4 reactions_are_an_emoji 422',
    'reactions.5 reactions_are_few 422',
    'resumes.1 resumes_are_kept_by_the_relay 403',
    'resumes.2 resume_is_short 422',
    'retention.1 rooms_keep_their_last_messages 403',
    'retention.2 deleted_messages_are_kept_for_a_while 403',
    'retention.3 removed_messages_leave_their_ids 403',
    'retention.4 upkeep_does_what_the_settings_say 403',
    'revs.1 revs_need_read_committed 409',
    'revs.2 revs_are_given_by_the_database 409',
    'revs.3 revs_are_never_used_twice 409',
    'rules.1 rules_are_read_by_everyone 403',
    'settings.1 settings_are_read_by_everyone 403',
    'staff.1 service_writes 403',
    'staff.2 staff_reads 403',
    'tombstones.1 tombstones_are_seen_by_readers 403',
    'tombstones.2 tombstones_kind_is_known 422',
    'tombstones.3 tombstones_of_participations_stay 403',
    'users.1 users_are_seen_by_who_knows_them 404',
    'users.2 users_write_their_own_profile 403',
    'users.3 users_username_is_plain 422',
    'users.4 users_username_is_taken 409',
    'users.5 users_display_name_is_a_name 422',
    'users.6 users_kind_is_known 422',
    'users.7 users_avatar_url_is_a_link 422',
    'users.8 users_exist 404',
    'users.9 users_erased_are_gone 403',
    'users.10 users_are_erased_by_themselves 403',
    'users.11 users_are_exported_by_themselves 403'],
  'these are the rules: a new one needs an assertion in these suites, then a line here');

-- exact sets -------------------------------------------------------------------------------------------------

select set_eq($$
  select p.policyname || ' for ' || lower(p.cmd) || ' to ' || array_to_string(array(select r from unnest(p.roles) r order by r), ', ')
  from pg_catalog.pg_policies p
  where p.schemaname = 'chat' and p.tablename = 'audit_log'
$$,
  array[
    'select_auditor for select to chat_auditor'],
  'the policies of audit_log');

select set_eq($$
  select p.policyname || ' for ' || lower(p.cmd) || ' to ' || array_to_string(array(select r from unnest(p.roles) r order by r), ', ')
  from pg_catalog.pg_policies p
  where p.schemaname = 'chat' and p.tablename = 'blocks'
$$,
  array[
    'delete_blocker for delete to authenticated',
    'delete_service for delete to service_role',
    'insert_blocker for insert to authenticated',
    'select_blocker for select to authenticated',
    'select_staff for select to chat_auditor, service_role'],
  'the policies of blocks');

select set_eq($$
  select p.policyname || ' for ' || lower(p.cmd) || ' to ' || array_to_string(array(select r from unnest(p.roles) r order by r), ', ')
  from pg_catalog.pg_policies p
  where p.schemaname = 'chat' and p.tablename = 'chats'
$$,
  array[
    'insert_founder for insert to authenticated',
    'select_reader for select to anon, authenticated',
    'select_relay for select to chat_relay',
    'select_staff for select to chat_auditor, service_role',
    'update_reader for update to authenticated',
    'update_service for update to service_role'],
  'the policies of chats');

select set_eq($$
  select p.policyname || ' for ' || lower(p.cmd) || ' to ' || array_to_string(array(select r from unnest(p.roles) r order by r), ', ')
  from pg_catalog.pg_policies p
  where p.schemaname = 'chat' and p.tablename = 'friendships'
$$,
  array[
    'delete_party for delete to authenticated',
    'delete_service for delete to service_role',
    'insert_requester for insert to authenticated',
    'insert_service for insert to service_role',
    'select_party for select to authenticated',
    'select_staff for select to chat_auditor, service_role',
    'update_party for update to authenticated'],
  'the policies of friendships');

select set_eq($$
  select p.policyname || ' for ' || lower(p.cmd) || ' to ' || array_to_string(array(select r from unnest(p.roles) r order by r), ', ')
  from pg_catalog.pg_policies p
  where p.schemaname = 'chat' and p.tablename = 'message_edits'
$$,
  array[
    'select_sender_or_moderator for select to authenticated',
    'select_staff for select to chat_auditor, service_role'],
  'the policies of message_edits');

select set_eq($$
  select p.policyname || ' for ' || lower(p.cmd) || ' to ' || array_to_string(array(select r from unnest(p.roles) r order by r), ', ')
  from pg_catalog.pg_policies p
  where p.schemaname = 'chat' and p.tablename = 'messages'
$$,
  array[
    'delete_reader for delete to authenticated',
    'delete_service for delete to service_role',
    'insert_participant for insert to authenticated',
    'insert_service for insert to service_role',
    'select_reader for select to anon, authenticated',
    'select_relay for select to chat_relay',
    'select_staff for select to chat_auditor, service_role',
    'update_reader for update to authenticated',
    'update_service for update to service_role'],
  'the policies of messages');

select set_eq($$
  select p.policyname || ' for ' || lower(p.cmd) || ' to ' || array_to_string(array(select r from unnest(p.roles) r order by r), ', ')
  from pg_catalog.pg_policies p
  where p.schemaname = 'chat' and p.tablename = 'participants'
$$,
  array[
    'insert_self_or_moderator for insert to authenticated',
    'insert_service for insert to service_role',
    'select_reader for select to anon, authenticated',
    'select_relay for select to chat_relay',
    'select_staff for select to chat_auditor, service_role',
    'update_reader for update to authenticated',
    'update_service for update to service_role'],
  'the policies of participants');

select set_eq($$
  select p.policyname || ' for ' || lower(p.cmd) || ' to ' || array_to_string(array(select r from unnest(p.roles) r order by r), ', ')
  from pg_catalog.pg_policies p
  where p.schemaname = 'chat' and p.tablename = 'presence'
$$,
  array[
    'select_companion for select to authenticated',
    'select_staff for select to chat_auditor, service_role'],
  'the policies of presence');

select set_eq($$
  select p.policyname || ' for ' || lower(p.cmd) || ' to ' || array_to_string(array(select r from unnest(p.roles) r order by r), ', ')
  from pg_catalog.pg_policies p
  where p.schemaname = 'chat' and p.tablename = 'presence_states'
$$,
  array[
    'select_companion for select to authenticated',
    'select_staff for select to chat_auditor, service_role'],
  'the policies of presence_states');

select set_eq($$
  select p.policyname || ' for ' || lower(p.cmd) || ' to ' || array_to_string(array(select r from unnest(p.roles) r order by r), ', ')
  from pg_catalog.pg_policies p
  where p.schemaname = 'chat' and p.tablename = 'reactions'
$$,
  array[
    'delete_reader for delete to authenticated',
    'delete_service for delete to service_role',
    'insert_participant for insert to authenticated',
    'select_reader for select to anon, authenticated',
    'select_staff for select to chat_auditor, service_role'],
  'the policies of reactions');

select set_eq($$
  select p.policyname || ' for ' || lower(p.cmd) || ' to ' || array_to_string(array(select r from unnest(p.roles) r order by r), ', ')
  from pg_catalog.pg_policies p
  where p.schemaname = 'chat' and p.tablename = 'read_markers'
$$,
  array[
    'insert_self for insert to authenticated',
    'select_participant for select to authenticated',
    'select_relay for select to chat_relay',
    'select_staff for select to chat_auditor, service_role',
    'update_self for update to authenticated'],
  'the policies of read_markers');

select set_eq($$
  select p.policyname || ' for ' || lower(p.cmd) || ' to ' || array_to_string(array(select r from unnest(p.roles) r order by r), ', ')
  from pg_catalog.pg_policies p
  where p.schemaname = 'chat' and p.tablename = 'rules'
$$,
  array[
    'select_everyone for select to anon, authenticated, chat_api, chat_auditor, chat_relay, service_role'],
  'the policies of rules');

select set_eq($$
  select p.policyname || ' for ' || lower(p.cmd) || ' to ' || array_to_string(array(select r from unnest(p.roles) r order by r), ', ')
  from pg_catalog.pg_policies p
  where p.schemaname = 'chat' and p.tablename = 'settings'
$$,
  array[
    'select_everyone for select to anon, authenticated, chat_auditor, chat_relay, service_role'],
  'the policies of settings');

select set_eq($$
  select p.policyname || ' for ' || lower(p.cmd) || ' to ' || array_to_string(array(select r from unnest(p.roles) r order by r), ', ')
  from pg_catalog.pg_policies p
  where p.schemaname = 'chat' and p.tablename = 'tombstones'
$$,
  array[
    'select_reader for select to anon, authenticated',
    'select_staff for select to chat_auditor, service_role'],
  'the policies of tombstones');

select set_eq($$
  select p.policyname || ' for ' || lower(p.cmd) || ' to ' || array_to_string(array(select r from unnest(p.roles) r order by r), ', ')
  from pg_catalog.pg_policies p
  where p.schemaname = 'chat' and p.tablename = 'users'
$$,
  array[
    'insert_service for insert to service_role',
    'select_acquaintance for select to authenticated',
    'select_staff for select to chat_auditor, service_role',
    'update_self for update to authenticated',
    'update_service for update to service_role'],
  'the policies of users');

select is_empty($$
  select p.tablename from pg_catalog.pg_policies p where p.schemaname = 'chat' and p.tablename <> all (array['audit_log', 'blocks', 'chats', 'friendships', 'message_edits', 'messages', 'participants', 'presence', 'presence_states', 'reactions', 'read_markers', 'rules', 'settings', 'tombstones', 'users'])
  union all
  select p.tablename from pg_catalog.pg_policies p where p.schemaname = 'chat_private'
$$, 'and no other table has any');

select set_eq($$
  select t.nspname || '.' || t.relname || ' ' || string_agg(lower(a.privilege_type), ', ' order by a.privilege_type)
  from pg_temp.relations t, pg_catalog.aclexplode(t.relacl) a
  where a.grantee = 'anon'::pg_catalog.regrole
  group by t.nspname, t.relname
$$,
  array[
    'chat.chats select',
    'chat.participants select',
    'chat.reactions select',
    'chat.read_markers select',
    'chat.rules select',
    'chat.settings select',
    'chat.tombstones select',
    'chat_private.my_memberships select',
    'chat_private.my_open_rooms select'],
  'the tables and views that anon may touch as a whole');

select set_eq($$
  select t.relname || ' ' || lower(a.privilege_type) || ' (' || string_agg(c.attname, ', ' order by c.attnum) || ')'
  from pg_temp.relations t
  join pg_catalog.pg_attribute c on c.attrelid = t.oid
  cross join pg_catalog.aclexplode(c.attacl) a
  where a.grantee = 'anon'::pg_catalog.regrole
  group by t.relname, a.privilege_type
$$,
  array[
    'messages select (chat_id, id, seq, rev, xid, sender_id, kind, text, mentions, reply_to_id, attachment_url, created_at, imported_at, edited_at, pinned_at, deleted_at, erased_at, reactions)',
    'presence_states select (id, chat_id, user_id, key, state, since, ended_at)'],
  'anon may write no column, and of messages not read where they came from');

select set_eq($$
  select f.signature from pg_temp.functions f, pg_catalog.aclexplode(f.proacl) a where a.grantee = 'anon'::pg_catalog.regrole
$$,
  array[
    'chat.expect_companion(uuid)',
    'chat_private.expect_companion(uuid)',
    'chat.presence_of(uuid,uuid[])',
    'chat_private.presence_of(uuid,uuid[])',
    'chat.search(text,uuid,uuid,timestampwithtimezone,timestampwithtimezone,timestampwithtimezone,uuid,boolean,integer)',
    'chat_private.highlights(text,text)',
    'chat_private.search(text,uuid,uuid,timestampwithtimezone,timestampwithtimezone,timestampwithtimezone,uuid,boolean,integer)',
    'chat.claims()',
    'chat.changes(uuid,bigint,bigint,text)',
    'chat_private.changes(uuid,bigint,bigint,text)',
    'chat.expect_message(uuid,uuid)',
    'chat.expect_reader(uuid)',
    'chat.expect_user(uuid)',
    'chat.is_admin()',
    'chat.is_service()',
    'chat.names(uuid[],uuid[])',
    'chat.overviews(uuid[],uuid[])',
    'chat.people(uuid,uuid[])',
    'chat.uid()',
    'chat_private.expect_message(uuid,uuid)',
    'chat_private.expect_reader(uuid)',
    'chat_private.expect_user(uuid)',
    'chat_private.names(uuid[],uuid[])',
    'chat_private.overviews(uuid[],uuid[])',
    'chat_private.people(uuid,uuid[])'],
  'the functions that anon may execute');

select set_eq($$
  select t.nspname || '.' || t.relname || ' ' || string_agg(lower(a.privilege_type), ', ' order by a.privilege_type)
  from pg_temp.relations t, pg_catalog.aclexplode(t.relacl) a
  where a.grantee = 'authenticated'::pg_catalog.regrole
  group by t.nspname, t.relname
$$,
  array[
    'chat.blocks delete, select',
    'chat.chats select',
    'chat.friendships delete, select',
    'chat.message_edits select',
    'chat.messages delete',
    'chat.participants select',
    'chat.reactions delete, select',
    'chat.read_markers select',
    'chat.rules select',
    'chat.settings select',
    'chat.tombstones select',
    'chat.users select',
    'chat_private.living_processes select',
    'chat_private.my_blocks select',
    'chat_private.my_companions select',
    'chat_private.my_friends select',
    'chat_private.my_memberships select',
    'chat_private.my_open_rooms select'],
  'the tables and views that authenticated may touch as a whole');

select set_eq($$
  select t.relname || ' ' || lower(a.privilege_type) || ' (' || string_agg(c.attname, ', ' order by c.attnum) || ')'
  from pg_temp.relations t
  join pg_catalog.pg_attribute c on c.attrelid = t.oid
  cross join pg_catalog.aclexplode(c.attacl) a
  where a.grantee = 'authenticated'::pg_catalog.regrole
  group by t.relname, a.privilege_type
$$,
  array[
    'blocks insert (blocker_id, blocked_id)',
    'chats insert (id, type, visibility, name, topic, read_only)',
    'chats update (visibility, name, topic, read_only)',
    'friendships insert (requester_id, addressee_id)',
    'friendships update (accepted_at)',
    'messages insert (chat_id, id, text, mentions, reply_to_id, attachment_url)',
    'messages select (chat_id, id, seq, rev, xid, sender_id, kind, text, mentions, reply_to_id, attachment_url, created_at, imported_at, edited_at, pinned_at, deleted_at, erased_at, reactions)',
    'messages update (text, mentions, pinned_at)',
    'participants insert (chat_id, user_id, role)',
    'participants update (role, left_at)',
    'presence select (user_id, state, since)',
    'presence_states select (id, chat_id, user_id, key, state, since, ended_at)',
    'reactions insert (chat_id, message_id, emoji)',
    'read_markers insert (chat_id, seq)',
    'read_markers update (seq)',
    'users update (username, display_name, avatar_url)'],
  'the columns that authenticated may write, and of messages and presence those they may read');

select set_eq($$
  select f.signature from pg_temp.functions f, pg_catalog.aclexplode(f.proacl) a where a.grantee = 'authenticated'::pg_catalog.regrole
$$,
  array[
    'chat.expect_companion(uuid)',
    'chat_private.expect_companion(uuid)',
    'chat.presence_of(uuid,uuid[])',
    'chat_private.presence_of(uuid,uuid[])',
    'chat.set_typing(uuid,boolean)',
    'chat_private.set_typing(uuid,boolean)',
    'chat.broadcast(uuid,text,json,bytea)',
    'chat_private.broadcast(uuid,text,json,bytea)',
    'chat.search(text,uuid,uuid,timestampwithtimezone,timestampwithtimezone,timestampwithtimezone,uuid,boolean,integer)',
    'chat_private.highlights(text,text)',
    'chat_private.search(text,uuid,uuid,timestampwithtimezone,timestampwithtimezone,timestampwithtimezone,uuid,boolean,integer)',
    'chat.claims()',
    'chat.changes(uuid,bigint,bigint,text)',
    'chat_private.changes(uuid,bigint,bigint,text)',
    'chat.sync(text,pg_snapshot,pg_snapshot,uuid,bigint,bigint)',
    'chat_private.sync(text,pg_snapshot,pg_snapshot,uuid,bigint,bigint)',
    'chat.create_group(text,uuid[],uuid)',
    'chat.create_room(text,text,text,uuid)',
    'chat.delete_chat(uuid)',
    'chat.delete_message(uuid,uuid)',
    'chat.erase_me()',
    'chat.expect_edits(uuid,uuid)',
    'chat.expect_free_id(uuid,uuid)',
    'chat.expect_message(uuid,uuid)',
    'chat.expect_reader(uuid)',
    'chat.expect_user(uuid)',
    'chat.export_me(jsonb)',
    'chat.introduce_me()',
    'chat.is_admin()',
    'chat.is_service()',
    'chat.join_room(text)',
    'chat.open_direct(uuid)',
    'chat.names(uuid[],uuid[])',
    'chat.overviews(uuid[],uuid[])',
    'chat.people(uuid,uuid[])',
    'chat.uid()',
    'chat_private.delete_chat(uuid)',
    'chat_private.delete_message(uuid,uuid)',
    'chat_private.erase_me()',
    'chat_private.expect_edits(uuid,uuid)',
    'chat_private.expect_free_id(uuid,uuid)',
    'chat_private.expect_message(uuid,uuid)',
    'chat_private.expect_reader(uuid)',
    'chat_private.expect_user(uuid)',
    'chat_private.export_me(jsonb)',
    'chat_private.introduce_me()',
    'chat_private.join_room(text)',
    'chat_private.may_open_to_the_public()',
    'chat_private.new_uid()',
    'chat_private.open_direct(uuid)',
    'chat_private.names(uuid[],uuid[])',
    'chat_private.overviews(uuid[],uuid[])',
    'chat_private.people(uuid,uuid[])',
    'chat_private.uuid_v7()'],
  'the functions that authenticated may execute');

select set_eq($$
  select t.nspname || '.' || t.relname || ' ' || string_agg(lower(a.privilege_type), ', ' order by a.privilege_type)
  from pg_temp.relations t, pg_catalog.aclexplode(t.relacl) a
  where a.grantee = 'service_role'::pg_catalog.regrole
  group by t.nspname, t.relname
$$,
  array[
    'chat.blocks delete, select',
    'chat.chats select',
    'chat.friendships delete, select',
    'chat.message_edits select',
    'chat.messages delete, select',
    'chat.participants select',
    'chat.presence select',
    'chat.presence_states select',
    'chat.reactions delete, select',
    'chat.read_markers select',
    'chat.rules select',
    'chat.settings select',
    'chat.tombstones select',
    'chat.users select'],
  'the tables and views that service_role may touch as a whole');

select set_eq($$
  select t.relname || ' ' || lower(a.privilege_type) || ' (' || string_agg(c.attname, ', ' order by c.attnum) || ')'
  from pg_temp.relations t
  join pg_catalog.pg_attribute c on c.attrelid = t.oid
  cross join pg_catalog.aclexplode(c.attacl) a
  where a.grantee = 'service_role'::pg_catalog.regrole
  group by t.relname, a.privilege_type
$$,
  array[
    'chats update (visibility, name, topic, read_only)',
    'friendships insert (requester_id, addressee_id, accepted_at)',
    'messages insert (chat_id, id, sender_id, kind, text, mentions, reply_to_id, attachment_url)',
    'messages update (text, mentions, pinned_at)',
    'participants insert (chat_id, user_id, role)',
    'participants update (role, left_at)',
    'users insert (id, username, display_name, kind, avatar_url)',
    'users update (username, display_name, kind, avatar_url)'],
  'the columns that service_role may write');

select set_eq($$
  select f.signature from pg_temp.functions f, pg_catalog.aclexplode(f.proacl) a where a.grantee = 'service_role'::pg_catalog.regrole
$$,
  array[
    'chat.expect_companion(uuid)',
    'chat_private.expect_companion(uuid)',
    'chat.broadcast(uuid,text,json,bytea)',
    'chat_private.broadcast(uuid,text,json,bytea)',
    'chat.presence_of(uuid,uuid[])',
    'chat_private.presence_of(uuid,uuid[])',
    'chat.search(text,uuid,uuid,timestampwithtimezone,timestampwithtimezone,timestampwithtimezone,uuid,boolean,integer)',
    'chat_private.highlights(text,text)',
    'chat_private.search(text,uuid,uuid,timestampwithtimezone,timestampwithtimezone,timestampwithtimezone,uuid,boolean,integer)',
    'chat.import_messages(uuid,jsonb,boolean)',
    'chat_private.import_messages(uuid,jsonb,boolean)',
    'chat.claims()',
    'chat.changes(uuid,bigint,bigint,text)',
    'chat_private.changes(uuid,bigint,bigint,text)',
    'chat.sync(text,pg_snapshot,pg_snapshot,uuid,bigint,bigint)',
    'chat_private.sync(text,pg_snapshot,pg_snapshot,uuid,bigint,bigint)',
    'chat.delete_chat(uuid)',
    'chat.delete_message(uuid,uuid)',
    'chat.end_event_chat(text,text)',
    'chat.erase_me()',
    'chat.erase_user(uuid)',
    'chat.expect_edits(uuid,uuid)',
    'chat.expect_free_id(uuid,uuid)',
    'chat.expect_message(uuid,uuid)',
    'chat.expect_reader(uuid)',
    'chat.expect_user(uuid)',
    'chat.export_me(jsonb)',
    'chat.is_admin()',
    'chat.is_service()',
    'chat.names(uuid[],uuid[])',
    'chat.overviews(uuid[],uuid[])',
    'chat.people(uuid,uuid[])',
    'chat.put_event_chat(text,text,text,uuid[])',
    'chat.uid()',
    'chat.upkeep()',
    'chat_private.delete_chat(uuid)',
    'chat_private.delete_message(uuid,uuid)',
    'chat_private.end_event_chat(text,text)',
    'chat_private.erase(uuid)',
    'chat_private.erase_me()',
    'chat_private.expect_edits(uuid,uuid)',
    'chat_private.expect_free_id(uuid,uuid)',
    'chat_private.expect_message(uuid,uuid)',
    'chat_private.expect_reader(uuid)',
    'chat_private.expect_user(uuid)',
    'chat_private.export_me(jsonb)',
    'chat_private.names(uuid[],uuid[])',
    'chat_private.overviews(uuid[],uuid[])',
    'chat_private.people(uuid,uuid[])',
    'chat_private.put_event_chat(text,text,text,uuid[])',
    'chat_private.upkeep()',
    'chat_private.uuid_v7()'],
  'the functions that service_role may execute');

select set_eq($$
  select t.nspname || '.' || t.relname || ' ' || string_agg(lower(a.privilege_type), ', ' order by a.privilege_type)
  from pg_temp.relations t, pg_catalog.aclexplode(t.relacl) a
  where a.grantee = 'chat_auditor'::pg_catalog.regrole
  group by t.nspname, t.relname
$$,
  array[
    'chat.audit_log select',
    'chat.blocks select',
    'chat.chats select',
    'chat.friendships select',
    'chat.message_edits select',
    'chat.messages select',
    'chat.participants select',
    'chat.presence select',
    'chat.presence_states select',
    'chat.reactions select',
    'chat.read_markers select',
    'chat.rules select',
    'chat.settings select',
    'chat.tombstones select',
    'chat.users select'],
  'the tables and views that chat_auditor may touch as a whole');

select is_empty($$
  select t.relname || ' ' || lower(a.privilege_type) || ' (' || string_agg(c.attname, ', ' order by c.attnum) || ')'
  from pg_temp.relations t
  join pg_catalog.pg_attribute c on c.attrelid = t.oid
  cross join pg_catalog.aclexplode(c.attacl) a
  where a.grantee = 'chat_auditor'::pg_catalog.regrole
  group by t.relname, a.privilege_type
$$, 'chat_auditor may write no column');

select set_eq($$
  select f.signature from pg_temp.functions f, pg_catalog.aclexplode(f.proacl) a where a.grantee = 'chat_auditor'::pg_catalog.regrole
$$,
  array[
    'chat.claims()',
    'chat.is_admin()',
    'chat.is_service()',
    'chat.uid()'],
  'the functions that chat_auditor may execute');

select set_eq($$
  select t.nspname || '.' || t.relname || ' ' || string_agg(lower(a.privilege_type), ', ' order by a.privilege_type)
  from pg_temp.relations t, pg_catalog.aclexplode(t.relacl) a
  where a.grantee = 'chat_relay'::pg_catalog.regrole
  group by t.nspname, t.relname
$$,
  array[
    'chat.chats select',
    'chat.participants select',
    'chat.read_markers select',
    'chat.rules select',
    'chat.settings select'],
  'the tables and views that chat_relay may touch as a whole');

select set_eq($$
  select t.relname || ' ' || lower(a.privilege_type) || ' (' || string_agg(c.attname, ', ' order by c.attnum) || ')'
  from pg_temp.relations t
  join pg_catalog.pg_attribute c on c.attrelid = t.oid
  cross join pg_catalog.aclexplode(c.attacl) a
  where a.grantee = 'chat_relay'::pg_catalog.regrole
  group by t.relname, a.privilege_type
$$, array['messages select (chat_id, id, seq, rev, xid, sender_id, kind, text, mentions, reply_to_id, attachment_url, created_at, imported_at, edited_at, pinned_at, deleted_at, erased_at, reactions)'], 'chat_relay may write no column, and reads of a message what a person may');

select set_eq($$
  select f.signature from pg_temp.functions f, pg_catalog.aclexplode(f.proacl) a where a.grantee = 'chat_relay'::pg_catalog.regrole
$$,
  array[
    'chat.broadcasts_told(bigint[])',
    'chat_private.broadcasts_told(bigint[])',
    'chat.forget_broadcasts()',
    'chat_private.forget_broadcasts()',
    'chat.keep_states(uuid,uuid[],uuid[],uuid[],uuid[],text[],json[])',
    'chat_private.keep_states(uuid,uuid[],uuid[],uuid[],uuid[],text[],json[])',
    'chat.forget_states()',
    'chat_private.forget_states()',
    'chat.states_marks(uuid[])',
    'chat_private.states_marks(uuid[])',
    'chat.states_told(uuid[],uuid[],uuid[])',
    'chat_private.states_told(uuid[],uuid[],uuid[])',
    'chat.find_resume(uuid,text,text)',
    'chat_private.find_resume(uuid,text,text)',
    'chat.keep_resumes(uuid[],text[],text[],text[])',
    'chat_private.keep_resumes(uuid[],text[],text[],text[])',
    'chat.forget_resumes()',
    'chat_private.forget_resumes()',
    'chat.keep_presence(uuid,uuid[],text[],boolean)',
    'chat_private.keep_presence(uuid,uuid[],text[],boolean)',
    'chat.presence_told(uuid[])',
    'chat_private.presence_told(uuid[])',
    'chat.present()',
    'chat_private.present()',
    'chat.sealing_key()',
    'chat_private.sealing_key()',
    'chat.arrivals(pg_snapshot)',
    'chat.claims()',
    'chat.is_admin()',
    'chat.is_service()',
    'chat.live(uuid[],bigint[],uuid[],uuid[],text[],bigint)',
    'chat.live_epoch()',
    'chat.names(uuid[],uuid[])',
    'chat.uid()',
    'chat_private.arrivals(pg_snapshot)',
    'chat_private.live(uuid[],bigint[],uuid[],uuid[],text[],bigint)',
    'chat_private.live_epoch()',
    'chat_private.names(uuid[],uuid[])'],
  'the functions that chat_relay may execute');

select set_eq($$
  select t.nspname || '.' || t.relname || ' ' || string_agg(lower(a.privilege_type), ', ' order by a.privilege_type)
  from pg_temp.relations t, pg_catalog.aclexplode(t.relacl) a
  where a.grantee = 'chat_api'::pg_catalog.regrole
  group by t.nspname, t.relname
$$,
  array[
    'chat.rules select'],
  'the tables and views that chat_api may touch as a whole');

select is_empty($$
  select t.relname || ' ' || lower(a.privilege_type) || ' (' || string_agg(c.attname, ', ' order by c.attnum) || ')'
  from pg_temp.relations t
  join pg_catalog.pg_attribute c on c.attrelid = t.oid
  cross join pg_catalog.aclexplode(c.attacl) a
  where a.grantee = 'chat_api'::pg_catalog.regrole
  group by t.relname, a.privilege_type
$$, 'chat_api may write no column');

select set_eq($$
  select f.signature from pg_temp.functions f, pg_catalog.aclexplode(f.proacl) a where a.grantee = 'chat_api'::pg_catalog.regrole
$$,
  array[
    'chat.upkeep()',
    'chat_private.audit_gaps()',
    'chat_private.held_rules()',
    'chat_private.lock_chat(uuid)',
    'chat_private.make_audit_months(integer)',
    'chat_private.migrated()',
    'chat_private.upkeep()'],
  'the functions that chat_api may execute');

select is_empty($$
  select a.grantee::pg_catalog.regrole::text
  from (select r.relacl from pg_temp.relations r union all select f.proacl from pg_temp.functions f) x (acl), pg_catalog.aclexplode(x.acl) a
  where a.grantee::pg_catalog.regrole::text <> all (array['chat_owner', 'anon', 'authenticated', 'service_role', 'chat_auditor', 'chat_relay', 'chat_api'])
     or a.is_grantable and a.grantee <> 'chat_owner'::pg_catalog.regrole
$$, 'nobody else has a grant, and nobody may pass one on');

select * from finish();
rollback;

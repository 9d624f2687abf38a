-- Why: the rules answer questions.
--
-- chat.why does what it is asked about, as whom it is asked about, and takes it back. So its answer is that of the policies, triggers, constraints
-- and grants themselves, and nothing here decides anything. What is added is told afterwards: which of them it was, and the fact that decided.
--
-- What is tried is what the API does. That is the statement on the table itself, but for
--
--   select presence       chat.presence_of, for which the row is chat/user
--   insert messages       sent once per id; with a created_at: chat.import_messages
--   delete messages       chat.delete_message
--   insert chats          by type: chat.create_group, chat.create_room, chat.open_direct, chat.put_event_chat
--   delete chats          chat.delete_chat; that of an event, by event_id and type: chat.end_event_chat
--   insert participants   oneself: chat.join_room; somebody else: added, or given another role
--   delete participants   left_at: who is in it is removed, or leaves
--   insert friendships    asked for, or accepted where they have asked
--   delete users          oneself: chat.erase_me; somebody else: chat.erase_user
--
-- A row is named by its key, its parts joined by slashes: message or chat/message, chat/user, message/emoji. What is left out is whom it is
-- asked about.

create function chat_private.somebody(_who text) returns uuid
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
-- by id, username, or a display name that only one person bears
declare
  found_ids uuid[];
begin
  if _who is null or _who ~ '^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$' then
    return _who::uuid;
  end if;
  found_ids := array(select u.id from chat.users u where u.username = _who);
  if found_ids = '{}' then
    found_ids := array(select u.id from chat.users u where u.display_name = _who order by u.id limit 3);
  end if;
  if cardinality(found_ids) = 1 then
    return found_ids[1];
  elsif found_ids = '{}' then
    raise exception 'nobody is called %', _who using errcode = '22023', hint = 'who was never here is asked about by their id';
  end if;
  raise exception 'several people are called %', _who using errcode = '22023', hint = 'by id: ' || array_to_string(found_ids, ', ');
end
$$;

create function chat_private.chat_with(_message uuid, _user uuid) returns uuid
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
-- Where the message is: an id is unique within its chat alone. Each chat is a look into the primary key: a join might read every message.
declare
  found_ids uuid[] := array(
    select p.chat_id
    from chat.participants p
    cross join lateral (select from chat.messages m where m.chat_id = p.chat_id and m.id = _message limit 1) m
    where p.user_id = _user
    limit 2);
begin
  if found_ids = '{}' then
    found_ids := array(
      select c.id
      from chat.chats c
      cross join lateral (select from chat.messages m where m.chat_id = c.id and m.id = _message limit 1) m
      limit 2);
  end if;
  if cardinality(found_ids) > 1 then
    raise exception 'messages of several chats have this id' using errcode = '22023', hint = format('say which: %s/%s', found_ids[1], _message);
  end if;
  return found_ids[1];
end
$$;

create function chat_private.written(
  _table text, _row jsonb, out names text[], out columns text, out literals text, out assignments text)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
-- a row to write, as the columns of a statement and what is written to them
declare
  one record;
  literal text;
begin
  names := '{}';
  for one in
    select k.name, a.attname is not null as is_column
    from jsonb_object_keys(_row) k (name)
    left join pg_attribute a on a.attrelid = format('chat.%I', _table)::regclass and a.attnum > 0 and not a.attisdropped and a.attname = k.name
    order by a.attnum
  loop
    if not one.is_column then
      raise exception 'chat.% has no column %', _table, one.name using errcode = '42703';
    end if;
    execute format('select (jsonb_populate_record(null::chat.%I, $1)).%I::text', _table, one.name) into literal using _row;
    names := names || one.name;
    columns := concat_ws(', ', columns, quote_ident(one.name));
    literals := concat_ws(', ', literals, quote_nullable(literal));
    assignments := concat_ws(', ', assignments, format('%I = %L', one.name, literal));
  end loop;
end
$$;

create function chat_private.question(
  _role text, _me uuid, _command text, _table text, _id text, _values jsonb,
  out of_chat uuid, out of_message uuid, out of_users uuid[],  -- what it is about
  out existing jsonb,       -- the row as it is
  out asked jsonb,          -- what would be written to it
  out is_nowhere boolean,   -- there is no message with this id in any chat
  out tried text,           -- what the API does
  out settled text,         -- where that found no row: finds one if nothing is refused thereby
  out expected text,        -- where it did not: refuses by name
  out door text,            -- the function that it goes through, if any
  out judged_as text,       -- the command whose policy reaches for the row
  out inserts text[], out updates text[])
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $$
declare
  an_id constant text := '^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$';
  parts text[] := coalesce(string_to_array(_id, '/'), '{}');
  n integer := cardinality(parts);
  emoji text;
  its_key text;
  key_columns jsonb;
  event_type text := _values ->> 'type';
  w record;
begin
  if _command is null or _command not in ('select', 'insert', 'update', 'delete') then
    raise exception 'a command is select, insert, update or delete' using errcode = '22023';
  end if;
  asked := coalesce(_values, '{}');
  judged_as := case when _table = 'participants' and _command = 'delete' then 'update' else _command end;

  -- the key
  if _table in ('chats', 'participants', 'read_markers', 'presence') or _table = 'messages' and (_command = 'insert' or n = 2) then
    if n > 0 and not (_table = 'chats' and _command = 'insert') then
      of_chat := case when parts[1] ~ an_id then parts[1]::uuid else (select c.id from chat.chats c where c.uid = parts[1]) end;
    else
      of_chat := (asked ->> 'chat_id')::uuid;
    end if;
  end if;
  case _table
    when 'users' then
      of_users := array[chat_private.somebody(coalesce(parts[1], asked ->> 'id'))];
      its_key := format('t.id = %L', of_users[1]);
    when 'friendships', 'blocks' then
      of_users := array_remove(array[chat_private.somebody(parts[n]), case when n = 2 then chat_private.somebody(parts[1]) end], null);
      its_key := case _table
        when 'blocks' then format('t.blocker_id = %L and t.blocked_id = %L', coalesce(of_users[2], _me), of_users[1])
        else format('least(t.requester_id, t.addressee_id) = least(%1$L::uuid, %2$L::uuid) '
                    'and greatest(t.requester_id, t.addressee_id) = greatest(%1$L::uuid, %2$L::uuid)',
                    coalesce(of_users[2], _me), of_users[1]) end;
    when 'chats' then
      its_key := format('t.id = %L', of_chat);
    when 'presence' then
      of_users := array[coalesce(chat_private.somebody(parts[2]), _me)];
      its_key := format('t.user_id = %L', of_users[1]);
    when 'participants', 'read_markers' then
      of_users := array[coalesce(chat_private.somebody(parts[2]), (asked ->> 'user_id')::uuid, _me)];
      its_key := format('t.chat_id = %L and t.user_id = %L', of_chat, of_users[1]);
      asked := asked - 'chat_id' - 'user_id';
    when 'messages', 'message_edits', 'reactions' then
      if _table = 'reactions' then
        emoji := coalesce(case when parts[n] !~ an_id then parts[n] end, asked ->> 'emoji', case when _command <> 'select' then '👍' end);
        parts := case when parts[n] !~ an_id then parts[1:n - 1] else parts end;
        n := cardinality(parts);
        of_users := array[coalesce(chat_private.somebody(parts[3]), case when _command <> 'select' then _me end)];
        asked := asked - 'emoji';
      end if;
      if _table = 'messages' and _command = 'insert' then
        of_message := coalesce(parts[2], asked ->> 'id')::uuid;
      elsif n = 1 then
        of_message := parts[1]::uuid;
        of_chat := chat_private.chat_with(of_message, _me);
      else
        of_chat := parts[1]::uuid;
        of_message := parts[2]::uuid;
      end if;
      its_key := format('t.chat_id = %L and t.%I = %L', of_chat, case _table when 'messages' then 'id' else 'message_id' end, of_message);
      if _table = 'reactions' then
        its_key := concat(its_key,
                          case when of_users[1] is not null then format(' and t.user_id = %L', of_users[1]) end,
                          case when emoji is not null then format(' and t.emoji = %L', emoji) end);
      elsif _table = 'message_edits' and n = 3 then
        its_key := its_key || format(' and t.rev = %L', parts[3]);
      end if;
    else
      -- by its primary key
      select string_agg(format('t.%I = %L', a.attname, parts[k.place]), ' and ' order by k.place), jsonb_object_agg(a.attname, parts[k.place])
      into its_key, key_columns
      from pg_index x
      cross join lateral unnest(x.indkey) with ordinality k (attnum, place)
      join pg_attribute a on a.attrelid = x.indrelid and a.attnum = k.attnum
      where x.indrelid = to_regclass(format('chat.%I', _table)) and x.indisprimary;
      if its_key is null then
        raise exception 'schema chat has no table %', _table using errcode = '42P01';
      end if;
      its_key := case _table when 'settings' then 't.only_row' else its_key end;
      of_chat := case _table when 'tombstones' then parts[1]::uuid end;
  end case;
  if n = 0 and _command <> 'insert' and _table <> 'settings' and not (_table = 'chats' and event_type is not null) then
    raise exception 'of chat.%, which row?', _table using errcode = '22023', hint = 'by its key, its parts joined by slashes';
  end if;
  execute format('select to_jsonb(t) from chat.%I t where %s limit 1', _table, its_key) into existing;

  -- what is tried
  case
    when _command = 'select' and _table = 'presence' then
      tried := format('select 1 from chat.presence_of(%L, array[%L]::uuid[])', of_chat, of_users[1]);
      expected := format('select chat.expect_companion(%L)', of_chat);
    when _command = 'select' then
      tried := format('select 1 from chat.%I t where %s', _table, its_key);
      expected := case
        when _table in ('chats', 'participants', 'read_markers', 'tombstones') then format('select chat.expect_reader(%L)', of_chat)
        when _table in ('messages', 'reactions') then format('select chat.expect_message(%L, %L)', of_chat, of_message)
        when _table = 'message_edits' and _role <> 'anon' then format('select chat.expect_edits(%L, %L)', of_chat, of_message)
        when _table = 'users' then format('select chat.expect_user(%L)', of_users[1]) end;

    when _command = 'insert' and _table = 'messages' and asked ? 'created_at' then
      door := 'import_messages';
      tried := format('select imported from chat.import_messages(%L, %L)', of_chat, jsonb_build_array(jsonb_strip_nulls(jsonb_build_object(
        'id', of_message, 'senderId', asked -> 'sender_id', 'kind', asked -> 'kind', 'text', coalesce(asked -> 'text', '"x"'),
        'mentions', asked -> 'mentions', 'replyToId', asked -> 'reply_to_id', 'attachmentUrl', asked -> 'attachment_url',
        'createdAt', asked -> 'created_at', 'editedAt', asked -> 'edited_at'))));
    when _command = 'insert' and _table = 'messages' then
      asked := jsonb_strip_nulls(jsonb_build_object('chat_id', of_chat, 'id', of_message)) || '{"text": "x"}' || asked;
      select c.names, c.columns, c.literals into w from chat_private.written(_table, asked) c;
      inserts := w.names;
      tried := format('insert into chat.messages (%s) values (%s) on conflict (chat_id, id) do nothing', w.columns, w.literals);
      settled := format('select 1 from chat.messages t '
                        'where %s and t.sender_id is not distinct from (select chat.uid()) and t.deleted_at is null', its_key);
      expected := format('select chat.expect_free_id(%L, %L)', of_chat, of_message);

    when _command = 'insert' and _table = 'chats' then
      asked := '{"type": "group"}' || asked;
      of_users := case
        when asked ->> 'type' = 'direct' then array[chat_private.somebody(coalesce(parts[1], asked #>> '{user_ids,0}'))]
        else array(select chat_private.somebody(u.who) from jsonb_array_elements_text(coalesce(asked -> 'user_ids', '[]')) u (who)) end;
      case asked ->> 'type'
        when 'direct' then
          door := 'open_direct';
          tried := format('select chat.open_direct(%L)', of_users[1]);
        when 'group' then
          door := 'create_group';
          tried := format('select chat.create_group(%L, %L)', asked ->> 'name', of_users);
        when 'room' then
          door := 'create_room';
          asked := '{"name": "x", "visibility": "private"}' || asked;
          tried := format('select chat.create_room(%L, %L, %L)', asked ->> 'name', asked ->> 'visibility', asked ->> 'topic');
        else
          door := 'put_event_chat';
          asked := '{"event_id": "x", "name": "x"}' || asked;
          tried := format('select chat.put_event_chat(%L, %L, %L, %L)', asked ->> 'event_id', asked ->> 'type', asked ->> 'name', of_users);
      end case;

    when _command = 'insert' and _table = 'participants' and of_users[1] is not distinct from _me and asked = '{}' then
      door := 'join_room';
      tried := format('select chat.join_room(%L)', coalesce(parts[1], of_chat::text));
    when _command = 'insert' and _table = 'participants' then
      asked := jsonb_build_object('chat_id', of_chat, 'user_id', of_users[1], 'role', 'member') || asked;
      select c.names, c.columns, c.literals into w from chat_private.written(_table, asked) c;
      inserts := w.names;
      updates := array['role', 'left_at'];
      tried := format('insert into chat.participants as p (%s) values (%s) on conflict (chat_id, user_id) do update set left_at = null, role = %s',
                      w.columns, w.literals, case when _values ? 'role' then format('%L', asked ->> 'role') else 'p.role' end);

    when _command = 'insert' and _table = 'read_markers' then
      asked := jsonb_build_object('chat_id', of_chat)
               || case when of_users[1] is distinct from _me then jsonb_build_object('user_id', of_users[1]) else '{}' end
               || jsonb_build_object('seq', coalesce((select m.seq from chat.messages m where m.chat_id = of_chat order by m.seq desc limit 1), 0))
               || asked;
      select c.names, c.columns, c.literals into w from chat_private.written(_table, asked) c;
      inserts := w.names;
      updates := array['seq'];
      tried := format('insert into chat.read_markers (%s) values (%s) on conflict (chat_id, user_id) do update set seq = excluded.seq',
                      w.columns, w.literals);

    when _command = 'insert' and _table = 'reactions' then
      asked := jsonb_build_object('chat_id', of_chat, 'message_id', of_message, 'emoji', emoji)
               || case when of_users[1] is distinct from _me then jsonb_build_object('user_id', of_users[1]) else '{}' end || asked;
      select c.names, c.columns, c.literals into w from chat_private.written(_table, asked) c;
      inserts := w.names;
      tried := format('insert into chat.reactions (%s) values (%s) on conflict (chat_id, message_id, user_id, emoji) do nothing',
                      w.columns, w.literals);
      settled := format('select 1 from chat.reactions t where %s', its_key);

    when _command = 'insert' and _table = 'friendships' and n = 1 and asked = '{}' then
      inserts := array['addressee_id'];
      updates := array['accepted_at'];
      tried := format('insert into chat.friendships as f (addressee_id) values (%L) '
                      'on conflict (least(requester_id, addressee_id), greatest(requester_id, addressee_id)) do update '
                      'set accepted_at = clock_timestamp() where f.addressee_id = (select chat.uid()) and f.accepted_at is null', of_users[1]);
      settled := format('select 1 from chat.friendships t where %s', its_key);
    when _command = 'insert' and _table = 'blocks' and n = 1 and asked = '{}' then
      inserts := array['blocked_id'];
      tried := format('insert into chat.blocks (blocked_id) values (%L) on conflict (blocker_id, blocked_id) do nothing', of_users[1]);
      settled := format('select 1 from chat.blocks t where %s', its_key);

    when _command = 'insert' then
      asked := case _table
        when 'users' then jsonb_build_object('id', coalesce(of_users[1], gen_random_uuid()), 'display_name', 'x')
        when 'friendships' then jsonb_build_object('requester_id', coalesce(of_users[2], _me), 'addressee_id', of_users[1])
        when 'blocks' then jsonb_build_object('blocker_id', coalesce(of_users[2], _me), 'blocked_id', of_users[1])
        when 'message_edits' then jsonb_build_object('chat_id', of_chat, 'message_id', of_message, 'text', 'x')
        when 'presence' then jsonb_build_object('process_id', gen_random_uuid(), 'user_id', of_users[1], 'state', 'online')
        else coalesce(key_columns, '{}') end || asked;
      select c.names, c.columns, c.literals into w from chat_private.written(_table, asked) c;
      inserts := w.names;
      tried := format('insert into chat.%I (%s) values (%s)', _table, w.columns, w.literals);

    when _command = 'update' then
      if asked = '{}' then
        asked := case _table
          when 'messages' then jsonb_build_object('text', case when existing ->> 'text' = 'x' then 'y' else 'x' end)
          when 'chats' then jsonb_build_object('name', case when existing ->> 'name' = 'x' then 'y' else 'x' end)
          when 'participants' then jsonb_build_object('role', case when existing ->> 'role' = 'member' then 'moderator' else 'member' end)
          when 'users' then '{"display_name": "x"}'
          when 'friendships' then jsonb_build_object('accepted_at', clock_timestamp())
          -- what nobody may change is asked for by what it is
          else coalesce((select jsonb_build_object(a.attname, existing -> a.attname)
                         from pg_attribute a
                         where a.attrelid = format('chat.%I', _table)::regclass and a.attnum > 0 and not a.attisdropped
                           and not exists (select from pg_index x where x.indrelid = a.attrelid and x.indisprimary and a.attnum = any (x.indkey))
                         order by a.attnum
                         limit 1), '{}') end;
      end if;
      select c.names, c.assignments into w from chat_private.written(_table, asked) c;
      updates := w.names;
      tried := format('update chat.%I t set %s where %s', _table, w.assignments, its_key);
      expected := case
        when _table in ('chats', 'participants', 'read_markers') then format('select chat.expect_reader(%L)', of_chat)
        when _table = 'messages' then format('select chat.expect_message(%L, %L)', of_chat, of_message)
        when _table = 'users' and existing is null then format('select chat.expect_user(%L)', of_users[1]) end;

    when _table = 'messages' then
      door := 'delete_message';
      tried := format('select chat.delete_message(%L, %L)', of_chat, of_message);
    when _table = 'chats' and n = 0 then
      door := 'end_event_chat';
      tried := format('select chat.end_event_chat(%L, %L)', asked ->> 'event_id', event_type);
    when _table = 'chats' then
      door := 'delete_chat';
      tried := format('select chat.delete_chat(%L)', of_chat);
    when _table = 'users' and of_users[1] is not distinct from _me then
      door := 'erase_me';
      tried := 'select chat.erase_me()';
    when _table = 'users' then
      door := 'erase_user';
      tried := format('select chat.erase_user(%L)', of_users[1]);
    when _table = 'participants' then
      updates := array['left_at'];
      tried := format('update chat.participants t set left_at = clock_timestamp() where %s and t.left_at is null', its_key);
      settled := format('select 1 from chat.participants t where %s and t.left_at is not null', its_key);
      expected := format('select chat.expect_reader(%L)', of_chat);
      existing := case when existing ->> 'left_at' is null then existing end;
    else
      tried := format('delete from chat.%I t where %s', _table, its_key);
      if _table = 'reactions' then
        expected := format('select chat.expect_message(%L, %L)', of_chat, of_message);
      end if;
  end case;
  if _table = 'reactions' and _command <> 'insert' then
    settled := format('select 1 from chat.messages t where t.chat_id = %L and t.id = %L', of_chat, of_message);
  end if;
  is_nowhere := of_message is not null and of_chat is null and not (_table = 'messages' and _command = 'insert');
end
$$;

create function chat.why(
  _sub text, _command text, _table text, _id text default null, _values jsonb default null, _claims jsonb default '{}')
returns table (allowed boolean, code text, rule text, sentence text, held_by text, fact text, tried text)
language plpgsql
volatile  -- with the rights of who asks, who becomes the one that it is about: inside a definer's function nobody can
set search_path = pg_catalog, pg_temp
as $$
declare
  asks_as text := case when _sub in ('anon', 'service_role') then _sub else 'authenticated' end;
  me uuid := case when _sub not in ('anon', 'service_role') then chat_private.somebody(_sub) end;
  q record;
  holder record;
  stage text := 'to become';
  n bigint := 0;
  state text;
  broken text;
  broken_table text;
  broken_column text;
  said text;
  context text;
  lacks text;
  raised_by text;
  of_the_house text;
begin
  if _sub is null then
    raise exception 'why may, or may not, who?' using errcode = '22023', hint = 'somebody''s id or name, anon or service_role';
  elsif jsonb_typeof(_claims) <> 'object' or jsonb_typeof(_values) <> 'object' then
    raise exception 'claims and values are JSON objects' using errcode = '22023';
  elsif _command <> 'select' and current_setting('transaction_read_only')::boolean then
    raise exception 'chat.why really does it and takes it back, which a read-only transaction or a standby does not let it' using errcode = '25006';
  elsif _command <> 'select' and current_setting('transaction_isolation') <> 'read committed' then
    raise exception 'chat.why is asked under read committed, since chats are written under that alone' using errcode = '25001';
  end if;
  begin
    -- local to this block: the error at its end takes them back with everything else
    perform set_config('request.jwt.claims',
                       (coalesce(_claims, '{}') - 'sub' || jsonb_strip_nulls(jsonb_build_object('sub', me, 'role', asks_as)))::text, true),
            set_config('chat.request_id', '', true),
            set_config('chat.hints_to', 'nobody', true),
            set_config('lock_timeout', '2s', true),
            set_config('row_security', 'on', true);
    select
      g.of_chat, g.of_message, g.of_users, g.existing, g.is_nowhere, g.asked, g.tried, g.settled, g.expected, g.door, g.judged_as, g.inserts,
      g.updates
    into q
    from chat_private.question(asks_as, me, _command, _table, _id, _values) g;

    begin
      begin
        perform set_config('role', asks_as, true);
      exception when insufficient_privilege then
        -- who may let themselves become it does, for as long as this takes
        perform set_config('role', 'none', true);
        execute format('grant %I to %I', asks_as, session_user);
        perform set_config('role', asks_as, true);
      end;
      stage := 'to do';
      execute q.tried;
      get diagnostics n = row_count;
      if n = 0 and q.settled is not null then
        execute q.settled;
        get diagnostics n = row_count;
        stage := case when n > 0 then 'settled' else stage end;
      end if;
      if n = 0 and q.expected is not null then
        stage := 'to expect';
        execute q.expected;
      end if;
      set constraints all immediate;  -- what a COMMIT would ask
      raise exception using errcode = 'TT000';
    exception when others then
      get stacked diagnostics
        state = returned_sqlstate, broken = constraint_name, broken_table = table_name, broken_column = column_name, said = message_text,
        context = pg_exception_context;
    end;

    if state = '55P03' then
      raise exception 'somebody else is writing there: ask again' using errcode = '55P03';
    elsif stage = 'to become' then
      raise exception 'this login may not become %, so it can''t tell why', asks_as
        using errcode = '42501', detail = said, hint = format('grant %I to %I', asks_as, session_user);
    elsif state <> 'TT000' and state !~ '^(PT4|22|23)' and state <> '42501' then
      raise exception using errcode = state, message = said;
    end if;
    if state = '42501' then
      -- the words of a message and of a context differ with the language of the server, names do not
      raised_by := substring(split_part(context, e'\n', 1) from '([[:alnum:]_"]+\.[[:alnum:]_"]+\([^)]*\))');
      raised_by := case when raised_by !~ '^chat(_private)?\.' then 'function ' || raised_by end;
      of_the_house := (select string_agg(quote_ident(p.polname), ', ' order by p.polname)
                       from pg_policy p
                       where p.polrelid = to_regclass('chat.' || _table) and not p.polpermissive and strpos(said, p.polname) > 0);
    end if;
    select h.held_by, h.rule into holder from chat_private.holder(asks_as, coalesce(q.judged_as, _command), _table, q.door) h;
    tried := q.tried;

    if state = 'TT000' and n > 0 and stage = 'to do' then
      allowed := true;
      held_by := holder.held_by;
      rule := case
        when asks_as <> 'authenticated' then holder.rule
        when _command = 'update' and _table = 'messages' and q.asked ? 'pinned_at' then 'messages.6'
        when _command = 'update' and _table = 'participants' and q.asked ? 'role' then 'participants.4'
        when _command = 'insert' and _table = 'participants' and q.door is null then 'participants.3'
        else holder.rule end;
      fact := chat_private.fact_for(asks_as, _command, _table, q.of_chat, q.of_message, q.of_users, q.asked);
    elsif state = 'TT000' and not q.is_nowhere and (stage = 'settled' or q.existing is null) then
      -- nothing there to be held back from
      allowed := case when _command in ('insert', 'delete') then true end;
      rule := holder.rule;
      held_by := case when allowed then holder.held_by end;
      fact := case when _command = 'insert' then 'it is so already' else 'there is no such row' end;
    else
      allowed := false;
      if q.is_nowhere and state in ('TT000', 'PT404') then
        code := 'messages_exist';
        rule := (select r.number from chat.rules r where r.name = code);
      elsif state = 'TT000' then
        rule := holder.rule;
        code := (select r.name from chat.rules r where r.number = rule);
        held_by := holder.held_by;
      elsif state = '42501'
            and (raised_by is not null or of_the_house is not null or strpos(said, coalesce(q.door, _table)) = 0) then
        -- raised by a trigger, about something else, or by a policy that Postgres names beside the table, a restrictive one: no rule of ours
        code := 'not_allowed';
        held_by := coalesce(raised_by, 'restrictive policy ' || of_the_house || ' on chat.' || _table, 'no rule of chat.' || _table);
      elsif state = '42501' then
        code := 'not_allowed';
        rule := holder.rule;
        lacks := chat_private.missing_grant(asks_as, q.door, _table, _command = 'select' or q.settled is not null, q.inserts, q.updates,
                                            _command = 'delete' and q.updates is null);
        held_by := case when lacks is null then holder.held_by else 'the grants on chat.' || coalesce(q.door, _table) end;
      else
        code := nullif(broken, '');
        rule := (select r.number from chat.rules r where r.name = broken);
        held_by := case
          when stage = 'to expect' then holder.held_by
          when state like 'PT%' then chat_private.raiser(context, _table, _command)
          when broken <> '' and exists (select from pg_constraint c where c.connamespace = 'chat'::regnamespace and c.conname = broken)
            then format('constraint %I on chat.%I', broken, broken_table)
          when broken <> '' then format('index chat.%I', broken)
          when broken_column <> '' then format('column %I of chat.%I', broken_column, broken_table)
          else 'the type of a value' end;
      end if;
      fact := coalesce(
        lacks,
        chat_private.fact_of((select r.name from chat.rules r where r.number = rule), q.of_chat, q.of_message, q.of_users,
                             coalesce(q.existing, '{}') || q.asked),
        chat_private.offending(broken, coalesce(q.existing, '{}') || q.asked),
        said);
    end if;
    sentence := (select r.sentence from chat.rules r where r.number = rule);
    raise exception using errcode = 'TT001';
  exception when sqlstate 'TT001' then
    null;
  end;
  return next;
end
$$;

comment on function chat_private.somebody(text) is 'Who is meant: by id, username, or a display name of their own.';
comment on function chat_private.chat_with(uuid, uuid) is 'Which chat has a message, those that somebody was in first.';
comment on function chat_private.written(text, jsonb) is 'A row to write, as the parts of a statement.';
comment on function chat_private.question(text, uuid, text, text, text, jsonb) is 'What a question is about, and the statements that answer it.';
comment on function chat.why(text, text, text, text, jsonb, jsonb) is 'Whether somebody may: by which rule, which policy, constraint, trigger or grant, and which fact. It is really done, and taken back. allowed is null where there is nothing to be allowed.';

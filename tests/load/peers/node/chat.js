// What a chat server in Node does by hand, whatever it is spoken to with: who asks, a page, a message.

import { createServer } from "node:http";
import { createHmac, timingSafeEqual } from "node:crypto";
import pg from "pg";

const { PORT, POOL, SECRET } = process.env;
export const pool = new pg.Pool({ max: Number(POOL), options: "-c chat.hints_to=nobody" });
pg.types.setTypeParser(20, Number); // seq and rev are below 2^53

export const COLUMNS = `m.id, m.chat_id, m.seq, m.rev, m.kind, m.sender_id, m.text, m.reply_to_id, m.attachment_url, m.mentions, m.reactions,
  m.created_at, m.edited_at, m.pinned_at, m.deleted_at, m.erased_at`;
const PAGE = `
with page as materialized (
  select ${COLUMNS} from chat.messages m where m.chat_id = $1 order by m.seq desc limit 50)
select ${COLUMNS}, n.display_name as sender_name
from page m
left join chat.people($1, array(select distinct g.sender_id from page g)) n on n.user_id = m.sender_id
order by m.seq desc`;
const SEND = `
insert into chat.messages as m (chat_id, text) values ($1, $2)
returning ${COLUMNS}, (select u.display_name from chat.users u where u.id = (select chat.uid())) as sender_name`;
const MINE = `select p.chat_id from chat.participants p where p.chat_id = any($1) and p.user_id = (select chat.uid()) and p.left_at is null`;

export function verify(token) {
  const [head, body, signature] = (token ?? "").split(".");
  const expected = createHmac("sha256", SECRET).update(`${head}.${body}`).digest();
  const given = Buffer.from(signature ?? "", "base64url");
  if (given.length !== expected.length || !timingSafeEqual(given, expected)) return null;
  const claims = JSON.parse(Buffer.from(body, "base64url"));
  return claims.exp > Date.now() / 1000 ? claims : null;
}

async function asCaller(claims, statement) {
  const client = await pool.connect();
  try {
    await client.query("begin");
    await client.query({
      name: "enter",
      text: "select set_config('role', $1, true), set_config('request.jwt.claims', $2, true)",
      values: [claims.role, JSON.stringify(claims)],
    });
    const { rows } = await client.query(statement);
    await client.query("commit");
    return rows;
  } catch (error) {
    await client.query("rollback");
    throw error;
  } finally {
    client.release();
  }
}

export const message = (row) => ({
  id: row.id,
  chatId: row.chat_id,
  seq: row.seq,
  rev: row.rev,
  kind: row.kind,
  senderId: row.sender_id ?? undefined,
  senderName: row.sender_name ?? undefined,
  text: row.text,
  replyToId: row.reply_to_id ?? undefined,
  attachmentUrl: row.attachment_url ?? undefined,
  mentions: row.mentions,
  reactions: row.reactions ?? [],
  createdAt: row.created_at,
  editedAt: row.edited_at ?? undefined,
  pinnedAt: row.pinned_at ?? undefined,
  deletedAt: row.deleted_at ?? undefined,
  erasedAt: row.erased_at ?? undefined,
});

// Whether somebody is in all of these chats.
export async function isIn(claims, chats) {
  const rows = await asCaller(claims, { name: "mine", text: MINE, values: [chats] });
  return rows.length === new Set(chats).size;
}

async function answer(request, onSent) {
  const claims = verify(request.headers.authorization?.replace("Bearer ", ""));
  if (!claims) return [401, { title: "no valid token" }];
  const chat = /^\/chats\/([0-9a-f-]{36})\/messages$/.exec(request.url)?.[1];
  if (!chat) return [404, { title: "no such thing" }];
  if (request.method === "GET") {
    const rows = await asCaller(claims, { name: "page", text: PAGE, values: [chat] });
    return [200, { data: rows.map(message) }];
  }
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const { text } = JSON.parse(Buffer.concat(chunks));
  const [row] = await asCaller(claims, { name: "send", text: SEND, values: [chat, text] });
  const sent = message(row);
  onSent(sent);
  return [201, sent];
}

// A server of the two operations, listening once `ready` has ended; `onSent` is told of each message once it is committed.
export const serve = ({ onSent = () => {}, ready = async () => {} } = {}) => {
  const server = createServer(async (request, response) => {
    let status, body;
    try {
      [status, body] = await answer(request, onSent);
    } catch (error) {
      console.error(error);
      [status, body] = [500, { title: error.message }];
    }
    const bytes = Buffer.from(JSON.stringify(body));
    response.writeHead(status, { "content-type": "application/json", "content-length": bytes.length });
    response.end(bytes);
  });
  ready(server).then(() => server.listen(Number(PORT), "127.0.0.1"));
  return server;
};

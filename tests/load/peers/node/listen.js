// The same, and by hand: a trigger notifies of each row, whoever wrote it; it is read, and told to those who listen, over ws.

import pg from "pg";
import { WebSocketServer } from "ws";
import { COLUMNS, isIn, message, serve, verify } from "./chat.js";

const READ = `
select ${COLUMNS}, u.display_name as sender_name
from chat.messages m left join chat.users u on u.id = m.sender_id
where m.chat_id = $1 and m.id = $2`;

const rooms = new Map();
const sockets = new WebSocketServer({ noServer: true });
// who may read everything
const reader = new pg.Pool({ max: 4, user: process.env.READER });
const listener = new pg.Client({ user: process.env.READER });

listener.on("notification", async ({ payload }) => {
  const [chat, id] = payload.split("/");
  const room = rooms.get(chat);
  if (!room) return;
  try {
    const { rows } = await reader.query({ name: "read", text: READ, values: [chat, id] });
    const frame = JSON.stringify({ type: "message.created", chatId: chat, payload: message(rows[0]) });
    for (const socket of room) socket.send(frame);
  } catch (error) {
    console.error(error);
  }
});

sockets.on("connection", (socket, claims) => {
  const mine = new Set();
  socket.on("message", async (data) => {
    const { type, chatId, ref } = JSON.parse(data);
    if (type !== "subscribe" || !(await isIn(claims, [chatId]).catch(() => false))) {
      socket.send(JSON.stringify({ type: "error", ref }));
      return;
    }
    mine.add(chatId);
    if (!rooms.has(chatId)) rooms.set(chatId, new Set());
    rooms.get(chatId).add(socket);
    socket.send(JSON.stringify({ type: "ack", chatId, ref }));
  });
  socket.on("close", () => {
    for (const chat of mine) rooms.get(chat)?.delete(socket);
  });
});

const server = serve({
  ready: async () => {
    await listener.connect();
    await listener.query("listen peer");
  },
});
server.on("upgrade", (request, socket, head) => {
  const claims = verify(new URL(request.url, "http://localhost").searchParams.get("token"));
  if (!claims) return socket.destroy();
  sockets.handleUpgrade(request, socket, head, (open) => sockets.emit("connection", open, claims));
});

// The same, and socket.io tells of each message those who are in its room. ADAPTER: there are other processes, and Postgres is between them.

import { createAdapter } from "@socket.io/postgres-adapter";
import { Server } from "socket.io";
import { isIn, pool, serve, verify } from "./chat.js";

const io = new Server({ serveClient: false, transports: ["websocket"] });
if (process.env.ADAPTER) io.adapter(createAdapter(pool, { errorHandler: console.error }));

io.use((socket, next) => {
  socket.data.claims = verify(socket.handshake.auth.token);
  next(socket.data.claims ? undefined : new Error("no valid token"));
});
io.on("connection", (socket) => {
  socket.on("subscribe", async (chats, done) => {
    const may = await isIn(socket.data.claims, chats).catch(() => false);
    if (may) socket.join(chats);
    done(may);
  });
});

io.attach(serve({ onSent: (message) => io.to(message.chatId).emit("message.created", message) }));

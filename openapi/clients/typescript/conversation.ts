// A conversation with a Tabletalk server: what a client does, step by step, and what it is told.

import assert from "node:assert/strict";
import createClient from "openapi-fetch";
import type { Change, Chat, Message, paths, Problem } from "./chat.js";

const { TABLETALK_URL: url = "http://127.0.0.1:8080", ALICE_TOKEN, BOB_TOKEN } = process.env;

function client(token: string | undefined) {
  assert(token, "set ALICE_TOKEN and BOB_TOKEN");
  return createClient<paths>({ baseUrl: url, headers: { Authorization: `Bearer ${token}` } });
}

// What an operation answered: its data, or an error that says which rule refused it.
async function ok<T>(answer: Promise<{ data?: T; error?: Problem }>): Promise<T> {
  const { data, error } = await answer;
  if (error) throw new Error(`${error.code}: ${error.detail}`);
  return data as T;
}

const alice = client(ALICE_TOKEN);
const bob = client(BOB_TOKEN);
const me = await ok(alice.GET("/users/me"));
const other = await ok(bob.GET("/users/me"));

// friends: one asks, the other agrees
await ok(alice.PUT("/friends/{userId}", { params: { path: { userId: other.id } } }));
const friend = await ok(bob.PUT("/friends/{userId}", { params: { path: { userId: me.id } } }));
assert.equal(friend.status, "friends");
console.log(`${other.displayName} and ${friend.name} are ${friend.status}`);

// their direct chat: the one there is, or a new one
const chat = await ok(alice.POST("/chats", { body: { type: "direct", participantIds: [other.id] } }));
assert.equal(chat.type, "direct");
const chatId = chat.id;
console.log(`${me.displayName} opens the chat with ${chat.name}`);

// sync: what changed in all chats since a position, until there is no more
async function sync(since?: string): Promise<{ changes: Change[]; position: string }> {
  const query = since === undefined ? {} : { since };
  const { data, position, more } = await ok(bob.GET("/sync", { params: { query } }));
  if (!more) return { changes: data, position };
  const rest = await sync(position);
  return { ...rest, changes: [...data, ...rest.changes] };
}
const { position } = await sync();

// send: with an id of one's own, sending again is safe
async function send(text: string, id: string = crypto.randomUUID()): Promise<Message> {
  return ok(alice.POST("/chats/{chatId}/messages", { params: { path: { chatId } }, body: { id, text } }));
}
const first = await send("Are you coming to the concert?");
const second = await send("It begins at eihgt.");
const third = await send("I have two tickets.");
assert.equal((await send(third.text, third.id)).seq, third.seq);
console.log(`${me.displayName} sends three messages`);

// page: newest first, on from a cursor
async function page(limit: number, cursor?: string) {
  const query = cursor === undefined ? { limit } : { limit, cursor };
  return ok(bob.GET("/chats/{chatId}/messages", { params: { path: { chatId }, query } }));
}
const newest = await page(2);
assert.deepEqual(newest.data.map((message) => message.id), [third.id, second.id]);
assert(newest.nextCursor !== null);
const older = await page(2, newest.nextCursor);
assert.equal(older.data[0]?.text, first.text);
console.log(`${other.displayName} reads them, two a page`);

// edit: one's own
const path = { chatId, messageId: second.id };
const edited = await ok(alice.PATCH("/chats/{chatId}/messages/{messageId}", { params: { path }, body: { text: "It begins at eight." } }));
assert(edited.editedAt !== undefined && edited.rev > second.rev);
console.log(`${me.displayName} edits: ${edited.text}`);

// somebody else's is refused, and the problem says by which rule
const refused = await bob.PATCH("/chats/{chatId}/messages/{messageId}", { params: { path }, body: { text: "It never begins." } });
assert.equal(refused.response.status, 403);
assert.equal(refused.error?.code, "messages_are_edited_by_their_sender");
assert.equal(refused.error?.rule, "messages.3");
console.log(`${other.displayName} may not: ${refused.error.rule}, ${refused.error.title}`);

// react
const reaction = { params: { path: { ...path, emoji: "👍" } } };
const liked = await ok(bob.PUT("/chats/{chatId}/messages/{messageId}/reactions/{emoji}", reaction));
assert.deepEqual(liked.reactions, [{ emoji: "👍", count: 1, mine: true }]);
console.log(`${other.displayName} reacts: ${liked.reactions.map((reaction) => reaction.emoji).join()}`);

// delete
await ok(alice.DELETE("/chats/{chatId}/messages/{messageId}", { params: { path: { chatId, messageId: third.id } } }));
assert.equal((await page(1)).data[0]?.id, second.id);
console.log(`${me.displayName} deletes one`);

// what a device missed that was away meanwhile: everything as it is now
const { changes } = await sync(position);
const created = changes.find((change) => change.message?.id === second.id);
assert.equal(created?.kind, "message.created");
assert.equal(created.message?.text, edited.text);
const deleted = changes.find((change) => change.messageId === third.id);
assert.equal(deleted?.kind, "message.deleted");
console.log(`${other.displayName} catches up: ${created.message.text}`);

// the list of chats, with what is unread
async function listed(): Promise<Chat> {
  const chats = await ok(bob.GET("/chats", { params: { query: { type: "direct" } } }));
  const found = chats.data.find((chat) => chat.id === chatId);
  assert(found);
  return found;
}
const unread = await listed();
assert.equal(unread.unreadCount, 2);
assert.equal(unread.lastMessage?.text, edited.text);
await ok(bob.PUT("/chats/{chatId}/read", { params: { path: { chatId } }, body: { seq: second.seq } }));
assert.equal((await listed()).unreadCount, 0);
console.log(`${other.displayName} had ${unread.unreadCount} unread messages in ${unread.name}, and now none`);

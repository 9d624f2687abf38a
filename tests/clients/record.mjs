// Records what the stock clients send, for the parsers to be tested on: `node record.mjs frames` writes a file a protocol into that folder.
//
// The other side is a server that answers the least with which the clients go on. Each line is a request { method, url, … } or a frame,
// { text } or { base64 }, in the order in which they came.

import { once } from 'node:events'
import { mkdirSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { createClient } from '@supabase/supabase-js'
import Pusher from 'pusher-js'
import WebSocketOfNpm, { WebSocketServer } from 'ws'

const CHAT = '0197f5a0-0000-7000-8000-000000000001'
const TOKEN = 'header.claims.signature'
const HEADERS = ['authorization', 'apikey', 'content-type']

let lines = []
const recorded = (line) => lines.push(JSON.stringify(line))

// what the server says to a frame of supabase-js, in either form
function supabaseAnswers(bytes, isBinary, two) {
  const frame = isBinary ? kindThree(bytes) : JSON.parse(bytes)
  const [joinRef, ref, topic, event, payload] = Array.isArray(frame)
    ? frame
    : [frame.join_ref, frame.ref, frame.topic, frame.event, frame.payload]
  const changes = payload?.config?.postgres_changes?.map((change, at) => ({ ...change, id: at + 1 }))
  const says = (event, payload, ref) => JSON.stringify(two ? [joinRef, ref, topic, event, payload] : { topic, event, payload, ref })
  const reply = says('phx_reply', { status: 'ok', response: event === 'phx_join' ? { postgres_changes: changes ?? [] } : {} }, ref)
  return event === 'access_token' ? [] : [reply]
}

function kindThree(bytes) {
  const parts = []
  let at = 7
  for (const length of bytes.subarray(1, 6)) parts.push(bytes.subarray(at, (at += length)).toString())
  return [parts[0], parts[1], parts[2], 'broadcast', null]
}

function pusherAnswers(bytes) {
  const { event, data } = JSON.parse(bytes)
  const { channel } = data
  const says = (event, data) => JSON.stringify({ event, channel, data: JSON.stringify(data) })
  if (event === 'pusher:subscribe') {
    const presence = channel.startsWith('presence-') && { presence: { count: 1, ids: ['u1'], hash: { u1: {} } } }
    return [says('pusher_internal:subscription_succeeded', presence || {})]
  }
  return event === 'pusher:signin' ? [says('pusher:signin_success', { user_data: data.user_data })] : []
}

const server = createServer(async (request, response) => {
  let body = ''
  for await (const piece of request) body += piece.toString('latin1')
  const headers = Object.fromEntries(HEADERS.filter((name) => request.headers[name]).map((name) => [name, request.headers[name]]))
  recorded({ method: request.method, url: request.url, headers, body: Buffer.from(body, 'latin1').toString() })
  if (request.url.startsWith('/pusher/')) {
    const answer = { auth: 'key:sealed' }
    if (body.includes('presence-')) answer.channel_data = '{"user_id":"u1","user_info":{}}'
    if (request.url === '/pusher/user-auth') answer.user_data = '{"id":"u1"}'
    response.end(JSON.stringify(answer))
  } else {
    response.writeHead(202).end()
  }
})
const sockets = new WebSocketServer({ server })
sockets.on('connection', (socket, { url }) => {
  recorded({ method: 'GET', url })
  if (url.startsWith('/app/')) {
    const data = JSON.stringify({ socket_id: '123.456', activity_timeout: 120 })
    socket.send(JSON.stringify({ event: 'pusher:connection_established', data }))
  }
  socket.on('message', (bytes, isBinary) => {
    recorded(isBinary ? { base64: bytes.toString('base64') } : { text: bytes.toString() })
    const answers = url.startsWith('/app/') ? pusherAnswers(bytes) : supabaseAnswers(bytes, isBinary, url.includes('vsn=2'))
    for (const answer of answers) socket.send(answer)
  })
})
server.listen(0, '127.0.0.1')
await once(server, 'listening')
const { port } = server.address()

// a frame that nothing answers is waited for
async function until(what) {
  while (!lines.some((line) => line.includes(what))) await new Promise((done) => setTimeout(done, 5))
}

async function supabase(vsn) {
  let token = TOKEN
  const realtime = { transport: globalThis.WebSocket ?? WebSocketOfNpm, vsn, params: { resume_id: 'one' } }
  const accessToken = async () => token
  const client = createClient(`http://127.0.0.1:${port}`, 'anon', { accessToken, realtime })
  const joined = (channel) => new Promise((done) => channel.subscribe((status) => status === 'SUBSCRIBED' && done()))

  // before accessToken was asked
  await joined(client.channel('nothing in particular'))
  const config = { broadcast: { self: true, ack: true }, presence: { key: 'u1' }, private: true }
  const channel = client
    .channel(`chat:${CHAT}`, { config })
    .on('postgres_changes', { event: '*', schema: 'public', table: 'messages', filter: `chat_id=eq.${CHAT}` }, () => {})
    .on('postgres_changes', { event: 'UPDATE', schema: 'chat', table: 'participants' }, () => {})
    .on('broadcast', { event: 'typing' }, () => {})
    .on('presence', { event: 'sync' }, () => {})
    .on('system', {}, () => {})
  await joined(channel)
  await channel.send({ type: 'broadcast', event: 'typing', payload: { user: 'é' } })
  if (vsn === '2.0.0') await channel.send({ type: 'broadcast', event: 'drawing', payload: Uint8Array.of(0, 1, 254, 255).buffer })
  await channel.httpSend('typing', { user: 'é' })
  await channel.track({ status: 'here' })
  await channel.untrack()
  token = 'header.claims-anew.signature'
  await client.realtime.setAuth()
  await client.realtime.sendHeartbeat()
  await until('heartbeat')
  await client.removeChannel(channel)
  await client.removeAllChannels()
  await client.realtime.disconnect()
}

async function pusher() {
  const headers = { authorization: `Bearer ${TOKEN}` }
  const client = new Pusher('key', {
    cluster: 'ours',
    wsHost: '127.0.0.1',
    wsPort: port,
    forceTLS: false,
    enabledTransports: ['ws'],
    channelAuthorization: { endpoint: `http://127.0.0.1:${port}/pusher/auth`, headers },
    userAuthentication: { endpoint: `http://127.0.0.1:${port}/pusher/user-auth`, headers },
  })
  const connected = new Promise((done) => client.connection.bind('connected', done))
  const subscribed = (name) => new Promise((done) => client.subscribe(name).bind('pusher:subscription_succeeded', done))
  await connected
  await subscribed('chats-public')
  await subscribed(`private-room-${CHAT}`)
  await subscribed(`presence-room-${CHAT}`)
  client.channel(`private-room-${CHAT}`).trigger('client-typing', { user: 'é' })
  await until('client-typing')
  client.signin()
  await until('#server-to-user-u1')
  client.send_event('pusher:ping', {})
  client.unsubscribe('chats-public')
  await until('pusher:unsubscribe')
  client.disconnect()
}

const folder = process.argv[2] ?? 'frames'
mkdirSync(folder, { recursive: true })
const recordings = { 'supabase-1': () => supabase('1.0.0'), 'supabase-2': () => supabase('2.0.0'), pusher }
for (const [name, plays] of Object.entries(recordings)) {
  lines = []
  await plays()
  writeFileSync(join(folder, `${name}.jsonl`), `${lines.join('\n')}\n`)
}
process.exit()

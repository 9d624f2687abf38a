// The stock clients, unmodified, on a lead: commands come as lines of JSON on stdin, what the clients hear goes as lines of JSON to stdout.
//
// A command is { n, client, do, … } and is answered { n, answer } or { n, error }. What a client hears is { client, heard, … }. Bytes are
// { "$bytes": base64 } in both directions. The clients of one process have names.

import { createInterface } from 'node:readline'
import { createClient } from '@supabase/supabase-js'
import Pusher from 'pusher-js'
import WebSocketOfNpm from 'ws'

const Socket = globalThis.WebSocket ?? WebSocketOfNpm

const bytesIn = (value) => (value?.$bytes === undefined ? value : Uint8Array.from(Buffer.from(value.$bytes, 'base64')).buffer)
const bytesOut = (_, value) => {
  if (value instanceof ArrayBuffer) return { $bytes: Buffer.from(value).toString('base64') }
  if (ArrayBuffer.isView(value)) return { $bytes: Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('base64') }
  return value instanceof Error ? `${value.name}: ${value.message}` : value
}
const say = (line) => process.stdout.write(`${JSON.stringify(line, bytesOut)}\n`)

class Supabase {
  channels = new Map()
  sockets = new Set()

  // url, key, token? (what accessToken answers; null: nobody yet), options?: of createClient
  constructor({ url, key, token, options = {} }, hears) {
    this.hears = hears
    this.token = token
    const sockets = this.sockets
    // an ordinary WebSocket that can be cut
    class Transport extends Socket {
      constructor(...address) {
        super(...address)
        sockets.add(this)
        this.addEventListener('close', ({ code, reason }) => {
          sockets.delete(this)
          hears({ heard: 'closed', code, reason })
        })
      }
    }
    const accessToken = token === undefined ? undefined : async () => this.token
    const auth = { persistSession: false, autoRefreshToken: false, detectSessionInUrl: false }
    const realtime = { transport: Transport, ...options.realtime }
    this.supabase = createClient(url, key, { ...options, ...(accessToken ? { accessToken } : { auth }), realtime })
    this.supabase.realtime.onHeartbeat((status) => hears({ heard: 'heartbeat', status }))
  }

  // config?: of the channel; on: [{ type, filter }]
  channel({ channel, config, on = [] }) {
    const made = this.supabase.channel(channel, config && { config })
    this.channels.set(channel, made)
    for (const { type, filter } of on) {
      made.on(type, filter, (payload) => {
        const state = type === 'presence' ? made.presenceState() : undefined
        this.hears({ heard: type, channel, filter, payload, state })
      })
    }
  }
  subscribe({ channel, timeout }) {
    this.channels.get(channel).subscribe((status, error) => this.hears({ heard: 'status', channel, status, error }), timeout)
  }
  send({ channel, event, payload }) {
    return this.channels.get(channel).send({ type: 'broadcast', event, payload: bytesIn(payload) })
  }
  httpSend({ channel, event, payload }) {
    return this.channels.get(channel).httpSend(event, bytesIn(payload))
  }
  track({ channel, state }) {
    return this.channels.get(channel).track(state)
  }
  untrack({ channel }) {
    return this.channels.get(channel).untrack()
  }
  state({ channel }) {
    return this.channels.get(channel).presenceState()
  }
  unsubscribe({ channel }) {
    return this.channels.get(channel).unsubscribe()
  }
  async removeChannel({ channel }) {
    const answer = await this.supabase.removeChannel(this.channels.get(channel))
    this.channels.delete(channel)
    return answer
  }
  // what accessToken answers from now on, which nobody is told yet
  setToken({ token }) {
    this.token = token
  }
  setAuth({ token }) {
    return this.supabase.realtime.setAuth(token)
  }
  connect() {
    this.supabase.realtime.connect()
  }
  disconnect() {
    return this.supabase.realtime.disconnect()
  }
  // as when the network breaks: no close is said
  cut() {
    for (const socket of this.sockets) socket.terminate ? socket.terminate() : socket.close()
  }
  connectionState() {
    return this.supabase.realtime.connectionState()
  }
}

class PusherClient {
  listened = new WeakSet()

  // key, token? (of who asks for channels to be authorised), options: of Pusher
  constructor({ key, token, options }, hears) {
    this.token = token
    for (const asks of [options.channelAuthorization, options.userAuthentication]) {
      if (asks && token) asks.headersProvider = () => ({ authorization: `Bearer ${this.token}` })
    }
    this.pusher = new Pusher(key, options)
    this.hears = hears
    const { connection } = this.pusher
    connection.bind('state_change', ({ current }) => hears({ heard: 'state', state: current }))
    connection.bind('error', (error) => hears({ heard: 'error', error }))
    connection.bind('message', (frame) => hears({ heard: 'frame', frame }))
    this.pusher.bind_global((event, data) => hears({ heard: 'global', event, data }))
    this.pusher.user.bind_global((event, data) => hears({ heard: 'user', event, data }))
  }

  subscribe({ channel }) {
    const made = this.pusher.subscribe(channel)
    // who subscribes again to what was refused has the same channel
    if (this.listened.has(made)) return
    this.listened.add(made)
    const members = () => made.members && { count: made.members.count, me: made.members.me, members: made.members.members }
    made.bind_global((event, data, metadata) => this.hears({ heard: 'event', channel, event, data, metadata, members: members() }))
  }
  unsubscribe({ channel }) {
    this.pusher.unsubscribe(channel)
  }
  trigger({ channel, event, data }) {
    return this.pusher.channel(channel).trigger(event, data)
  }
  members({ channel }) {
    const { members } = this.pusher.channel(channel)
    return { count: members.count, me: members.me, members: members.members }
  }
  signin() {
    this.pusher.signin()
  }
  setToken({ token }) {
    this.token = token
  }
  // as when the network breaks: its own server is told nothing either
  cut() {
    this.pusher.connection.connection.transport.socket.close()
  }
  connect() {
    this.pusher.connect()
  }
  disconnect() {
    this.pusher.disconnect()
  }
  state() {
    return { state: this.pusher.connection.state, socketId: this.pusher.connection.socket_id }
  }
}

const kinds = { supabase: Supabase, pusher: PusherClient }
const clients = new Map()

async function obeys({ client, do: what, ...more }) {
  if (kinds[what]) {
    clients.set(client, new kinds[what](more, (heard) => say({ client, ...heard })))
    return null
  }
  return (await clients.get(client)[what](more)) ?? null
}

process.on('unhandledRejection', (error) => say({ heard: 'failure', error }))
process.on('uncaughtException', (error) => say({ heard: 'failure', error }))

say({ heard: 'ready', node: process.version })
for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line)
  obeys(command).then(
    (answer) => say({ n: command.n, answer }),
    (error) => say({ n: command.n, error }),
  )
}
process.exit()

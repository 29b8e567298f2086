// Drives official Socket.IO clients by commands from standard input and tells what they see, one JSON a line.
//
// One driver serves many tests. Every command and all that is told has the "test" as well, whose clients these are.
//
//   {"op": "open", "client": "ann", "url": "http://127.0.0.1:3000/chat", "version": "4.8", "options": {...}}
//   {"op": "emit", "client": "ann", "args": ["send-message", {...}], "ack": "first"}    ack: told under this name
//   {"op": "burst", "client": "ann", "messages": [...]}                      each emitted as send-message at once
//   {"op": "cut", "client": "ann"}                       ends the transport without a word, as a lost network does
//   {"op": "close", "client": "ann"}
//   {"op": "chat" | "hush" | "heard", ...}               talk at a pace, stop, and tell what was sent, heard and when
//   {"op": "end"}                                        close all clients of the test, and forget them
//   {"op": "collect" | "say" | "collected" | "standing", ...}   keep what is received, and tell all or the last of it
//
// Told: {"client", "event": "connect" | "connect_error" | "disconnect" | "upgrade" | <any received>, "args": [...]}
// What came over the wire has a "key" too, that of the message in /asyncapi.json; what is only for holding against
// that document has "event": null.

import { createInterface } from "node:readline";
import { io as io48 } from "socket.io-client";
import { io as io47 } from "socket.io-client-4.7";
import { io as io40 } from "socket.io-client-4.0";

const versions = { "4.8": io48, "4.7": io47, "4.0": io40 };

/** The clients of one test, by name; the methods from `open` on are the operations. */
class Test {
  clients = new Map();
  kept = new Map(); // what clients that collect have received, in its order
  sentAt = new Map(); // of clients that chat: when each message was sent,
  chats = new Map(); // and what each of them heard how many milliseconds later

  constructor(name) {
    this.name = name;
  }

  tell(client, event, ...args) {
    process.stdout.write(JSON.stringify({ test: this.name, client, event, args }) + "\n");
  }

  tellReceived(client, key, event, ...args) {
    process.stdout.write(JSON.stringify({ test: this.name, client, key, event, args }) + "\n");
  }

  closeAll() {
    for (const { timer } of this.chats.values()) clearInterval(timer);
    for (const socket of this.clients.values()) socket.close();
  }

  open({ client, url, version = "4.8", options = {} }) {
    const socket = versions[version](url, { forceNew: true, ...options });
    this.clients.set(client, socket);
    socket.on("connect", () => {
      // 4.0 keeps no pid.
      if (version !== "4.0") this.tellReceived(client, "connected", null, { sid: socket.id, pid: socket._pid });
      this.tell(client, "connect", socket.id, socket.io.engine.transport.name, socket.recovered === true);
    });
    socket.on("connect_error", (error) => {
      const { message, data } = error; // without data where no server has said it
      if (data !== undefined) this.tellReceived(client, "connect-error", null, { message, data });
      this.tell(client, "connect_error", message, data ?? null);
    });
    socket.io.on("open", () => {
      socket.io.engine.on("upgrade", (transport) => this.tell(client, "upgrade", transport.name));
    });
    socket.io.on("close", (reason) => this.tell(client, "engine_close", reason));
    socket.on("disconnect", (reason) => this.tell(client, "disconnect", reason));
    socket.onAny((event, ...args) => this.tellReceived(client, `on.${event}`, event, ...args));
  }

  chat({ client, everyMs }) {
    const { clients, chats, sentAt } = this;
    const chat = chats.get(client) ?? { sent: 0, acked: [], heard: [], lateMs: [], losses: 0 };
    if (!chats.has(client)) {
      chats.set(client, chat);
      clients.get(client).offAny();
      clients.get(client).on("disconnect", () => (chat.losses += 1));
      clients.get(client).on("receive-message", ({ id }) => {
        if (!sentAt.has(id)) return;
        chat.heard.push(id);
        chat.lateMs.push(performance.now() - sentAt.get(id));
      });
    }
    const speak = () => {
      const id = `${client} ${++chat.sent}`;
      sentAt.set(id, performance.now());
      clients.get(client).emit("send-message", { id, content: id }, (...answer) => {
        const { ok } = answer[answer.length - 1] ?? {};
        if (ok) chat.acked.push(id);
      });
    };
    chat.timer = setTimeout(() => (chat.timer = setInterval(speak, everyMs)), Math.random() * everyMs);
  }

  hush({ client }) {
    clearInterval(this.chats.get(client).timer);
  }

  heard({ client }) {
    const { sent, acked, heard, lateMs, losses } = this.chats.get(client);
    this.tell(client, "heard", { sent, acked, heard, lateMs, losses });
    this.chats.get(client).lateMs = [];
  }

  collect({ client }) {
    const ids = [];
    this.kept.set(client, { ids, acked: [], offsets: [], unanswered: 0 });
    this.clients.get(client).offAny();
    this.clients.get(client).on("receive-message", (message) => ids.push(message.id));
  }

  say({ client, id, content }) {
    this.kept.get(client).unanswered += 1;
    this.clients.get(client).emit("send-message", { id, content }, (error, ack) => {
      this.kept.get(client).unanswered -= 1;
      if (error || !ack.ok) return;
      this.kept.get(client).acked.push(ack.id);
      this.kept.get(client).offsets.push(ack.offset);
    });
  }

  standing({ client }) {
    const { ids, unanswered } = this.kept.get(client);
    this.tell(client, "standing", { unanswered, last: ids.at(-1) ?? null });
  }

  collected({ client }) {
    this.tell(client, "collected", this.kept.get(client));
  }

  emit({ client, args, ack }) {
    const callbacks = ack === undefined ? [] : [(...answer) => this.tell(client, `ack:${ack}`, ...answer)];
    this.clients.get(client).emit(...args, ...callbacks);
  }

  burst({ client, messages }) {
    messages.forEach((message) => this.clients.get(client).emit("send-message", message));
  }

  cut({ client }) {
    const transport = this.clients.get(client).io.engine.transport;
    (transport.ws?._socket ?? { destroy: () => transport.close() }).destroy();
  }

  close({ client }) {
    this.clients.get(client).close();
  }

  end({ client }) {
    this.closeAll();
    tests.delete(this.name);
    this.tell(client, "ended");
  }
}

const tests = new Map();

for await (const line of createInterface({ input: process.stdin })) {
  const { test, op, ...command } = JSON.parse(line);
  if (!tests.has(test)) tests.set(test, new Test(test));
  tests.get(test)[op](command);
}
for (const test of tests.values()) test.closeAll();
process.exit(0); // a request that hangs in a stalled network would keep Node alive

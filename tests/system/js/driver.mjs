// Drives official Socket.IO clients by commands from standard input and tells what they see, one JSON a line.
//
//   {"op": "open", "client": "ann", "url": "http://127.0.0.1:3000/chat", "version": "4.8", "options": {...}}
//   {"op": "emit", "client": "ann", "args": ["send-message", {...}], "ack": "first"}    ack: told under this name
//   {"op": "burst", "client": "ann", "messages": [...]}                      each emitted as send-message at once
//   {"op": "cut", "client": "ann"}                       ends the transport without a word, as a lost network does
//   {"op": "close", "client": "ann"}
//   {"op": "chat" | "hush" | "heard", ...}               talk at a pace, stop, and tell what was sent, heard and when
//   {"op": "collect" | "say" | "collected", ...}         keep what is received, and tell it all at once when asked
//
// Told: {"client", "event": "connect" | "connect_error" | "disconnect" | "upgrade" | <any received>, "args": [...]}
// What came over the wire has a "key" too, that of the message in /asyncapi.json; what is only for holding against
// that document has "event": null.

import { createInterface } from "node:readline";
import { io as io48 } from "socket.io-client";
import { io as io47 } from "socket.io-client-4.7";
import { io as io40 } from "socket.io-client-4.0";

const versions = { "4.8": io48, "4.7": io47, "4.0": io40 };
const clients = new Map();

function tell(client, event, ...args) {
  process.stdout.write(JSON.stringify({ client, event, args }) + "\n");
}

function tellReceived(client, key, event, ...args) {
  process.stdout.write(JSON.stringify({ client, key, event, args }) + "\n");
}

function open({ client, url, version = "4.8", options = {} }) {
  const socket = versions[version](url, { forceNew: true, ...options });
  clients.set(client, socket);
  socket.on("connect", () => {
    // 4.0 keeps no pid.
    if (version !== "4.0") tellReceived(client, "connected", null, { sid: socket.id, pid: socket._pid });
    tell(client, "connect", socket.id, socket.io.engine.transport.name, socket.recovered === true);
  });
  socket.on("connect_error", (error) => {
    const { message, data } = error; // without data where no server has said it
    if (data !== undefined) tellReceived(client, "connect-error", null, { message, data });
    tell(client, "connect_error", message, data ?? null);
  });
  socket.io.on("open", () => {
    socket.io.engine.on("upgrade", (transport) => tell(client, "upgrade", transport.name));
  });
  socket.io.on("close", (reason) => tell(client, "engine_close", reason));
  socket.on("disconnect", (reason) => tell(client, "disconnect", reason));
  socket.onAny((event, ...args) => tellReceived(client, `on.${event}`, event, ...args));
}

// Messages of clients that collect are kept here, in their order, until they are asked for.
const collected = new Map();

// Ordinary people: when each message was sent, and what each of them heard how many milliseconds later.
const sentAt = new Map();
const chats = new Map();

const operations = {
  chat: ({ client, everyMs }) => {
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
  },
  hush: ({ client }) => clearInterval(chats.get(client).timer),
  heard: ({ client }) => {
    const { sent, acked, heard, lateMs, losses } = chats.get(client);
    tell(client, "heard", { sent, acked, heard, lateMs, losses });
    chats.get(client).lateMs = [];
  },
  collect: ({ client }) => {
    const ids = [];
    const acked = [];
    const offsets = [];
    collected.set(client, { ids, acked, offsets });
    clients.get(client).offAny();
    clients.get(client).on("receive-message", (message) => ids.push(message.id));
  },
  say: ({ client, id, content }) => {
    clients.get(client).emit("send-message", { id, content }, (error, ack) => {
      if (error || !ack.ok) return;
      collected.get(client).acked.push(ack.id);
      collected.get(client).offsets.push(ack.offset);
    });
  },
  collected: ({ client }) => tell(client, "collected", collected.get(client)),
  open,
  emit: ({ client, args, ack }) => {
    const callbacks = ack === undefined ? [] : [(...answer) => tell(client, `ack:${ack}`, ...answer)];
    clients.get(client).emit(...args, ...callbacks);
  },
  burst: ({ client, messages }) => messages.forEach((message) => clients.get(client).emit("send-message", message)),
  cut: ({ client }) => {
    const transport = clients.get(client).io.engine.transport;
    (transport.ws?._socket ?? { destroy: () => transport.close() }).destroy();
  },
  close: ({ client }) => clients.get(client).close(),
};

for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line);
  operations[command.op](command);
}
for (const socket of clients.values()) socket.close();
process.exit(0); // a request that hangs in a stalled network would keep Node alive

// The reference: Socket.IO 4 on Node with the product's /chat, and nothing else.
// Environment: SERVER_PORT, SERVER_HOST, JWT_SECRET_KEY; REDIS_URL for one of several servers, with Socket.IO's own
// adapter for Redis streams. Everything not named here is the library's default.
"use strict";

const { randomUUID } = require("node:crypto");
const { createServer } = require("node:http");
const jwt = require("jsonwebtoken");
const { Server } = require("socket.io");

const { SERVER_HOST, SERVER_PORT, JWT_SECRET_KEY, REDIS_URL } = process.env;
const http = createServer();
const options = { cors: { origin: "*" } };
const redis = REDIS_URL ? require("redis").createClient({ url: REDIS_URL }) : null;
if (redis) options.adapter = require("@socket.io/redis-streams-adapter").createAdapter(redis);
const chat = new Server(http, options).of("/chat");

chat.use((socket, next) => {
  try {
    socket.data.user = jwt.verify(socket.handshake.auth.token, JWT_SECRET_KEY, { algorithms: ["HS256"] });
    next();
  } catch (error) {
    next(error);
  }
});

chat.on("connection", (socket) => {
  const { sub, name } = socket.data.user;
  socket.on("send-message", (message, ack) => {
    const stamped = {
      id: typeof message.id === "string" ? message.id : randomUUID(),
      content: message.content,
      author_id: sub,
      author_name: name,
      timestamp: message.timestamp,
      status: "sent",
      sent_at: new Date().toISOString(),
    };
    chat.emit("receive-message", stamped);
    if (typeof ack === "function") ack({ ok: true, id: stamped.id, sent_at: stamped.sent_at });
  });
});

(redis ? redis.connect() : Promise.resolve()).then(() => http.listen(Number(SERVER_PORT), SERVER_HOST));

// The product's /chat on the peers, and nothing else. Everything not named here is the library's default.
// Environment of both servers: SERVER_PORT, SERVER_HOST, JWT_SECRET_KEY.
"use strict";

const { randomUUID } = require("node:crypto");
const jwt = require("jsonwebtoken");

/** Serve /chat on `io`, a Socket.IO server. */
exports.serveChat = (io) => {
  const chat = io.of("/chat");

  chat.use((socket, next) => {
    try {
      socket.data.user = jwt.verify(socket.handshake.auth.token, process.env.JWT_SECRET_KEY, { algorithms: ["HS256"] });
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
};

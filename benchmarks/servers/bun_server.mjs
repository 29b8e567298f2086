// Socket.IO 4 on Bun's HTTP server, through the engine that the project has for it.

import { Server as Engine } from "@socket.io/bun-engine";
import { Server } from "socket.io";
import { serveChat } from "./chat.js";

const io = new Server();
const engine = new Engine({ path: "/socket.io/", cors: { origin: "*" } });
io.bind(engine);
serveChat(io);

export default {
  port: Number(process.env.SERVER_PORT),
  hostname: process.env.SERVER_HOST,
  idleTimeout: 30, // seconds, as its documents say: longer than `pingInterval`
  ...engine.handler(),
};

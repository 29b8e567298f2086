// Socket.IO 4 on Node's HTTP server. REDIS_URL for one of several servers, with Socket.IO's own adapter for Redis streams.
"use strict";

const { createServer } = require("node:http");
const { Server } = require("socket.io");
const { serveChat } = require("./chat.js");

const { SERVER_HOST, SERVER_PORT, REDIS_URL } = process.env;
const http = createServer();
const options = { cors: { origin: "*" } };
const redis = REDIS_URL ? require("redis").createClient({ url: REDIS_URL }) : null;
if (redis) options.adapter = require("@socket.io/redis-streams-adapter").createAdapter(redis);
serveChat(new Server(http, options));

(redis ? redis.connect() : Promise.resolve()).then(() => http.listen(Number(SERVER_PORT), SERVER_HOST));

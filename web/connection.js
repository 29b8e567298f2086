/** Connection: the socket's events in the page's words, and the events that the page sends. */

import { io } from "./socket.io.js";

const OPTIONS = {
  forceNew: true,
  autoConnect: false,
  // A message waits here until it is acknowledged and is sent again when it is not; the server knows it by its id.
  retries: 5,
  ackTimeout: 8000,
  reconnectionDelay: 500,
  reconnectionDelayMax: 5000,
};
const AGAIN_MS = 2000;

/**
 * @typedef {object} Listener
 * @property {(how: "first" | "recovered" | "gap") => void} onConnected
 * @property {(cause: "connecting" | "lost" | "busy" | "origin") => void} onWaiting the connection comes back by itself
 * @property {(reason: string) => void} onEnded the token is no longer valid; `resume` with another one
 * @property {(message: object, offset: string) => void} onMessage
 * @property {(change: object) => void} onPresence
 * @property {(user: {id: string, name: string}) => void} onTyping
 */

export class Connection {
  #socket;
  #wasConnected = false;
  #hasEnded = false;

  /**
   * @param {string} token
   * @param {Listener} listener
   */
  constructor(token, listener) {
    const socket = (this.#socket = io("/chat", { ...OPTIONS, auth: { token } }));
    socket.on("connect", () => {
      listener.onConnected(!this.#wasConnected ? "first" : socket.recovered ? "recovered" : "gap");
      this.#wasConnected = true;
    });
    socket.on("disconnect", (reason, details) => {
      if (this.#hasEnded || reason === "io client disconnect") return;
      if (reason === "io server disconnect") setTimeout(() => socket.connect(), AGAIN_MS);
      listener.onWaiting(causeOf(details));
    });
    socket.on("connect_error", (error) => {
      if (socket.active) return listener.onWaiting(causeOf(error));
      this.#end(listener, error.data?.code === "token_expired" ? "expired" : "refused");
    });
    socket.on("session-ended", ({ reason }) => this.#end(listener, reason));
    socket.on("receive-message", (message, offset) => listener.onMessage(message, offset));
    socket.on("presence", (change) => listener.onPresence(change));
    socket.on("typing", (user) => listener.onTyping(user));
    listener.onWaiting("connecting");
    socket.connect();
  }

  get isConnected() {
    return this.#socket.connected;
  }

  /** Disconnect, and give up every message that is not acknowledged. */
  close() {
    this.#hasEnded = true;
    this.#socket.disconnect();
  }

  /** Go on with another token of the same user: within the connection, or with a new one. */
  resume(token) {
    this.#socket.auth = { token };
    this.#hasEnded = false;
    if (!this.#socket.active) this.#socket.connect();
    else if (this.#socket.connected) {
      this.#socket.emit("renew", { token }, (error, ack) => {
        // Then the connection ends with the old token, and comes back with the new one.
        if (error || !ack?.ok) console.warn("The connection was not renewed");
      });
    }
  }

  /**
   * Send a message. Resolves to the server's ack; rejects when all retries had none.
   * @returns {Promise<{ok: boolean, error?: {code: string, message: string, retry_after_seconds?: number}}>}
   */
  send(message) {
    return new Promise((resolve, reject) => {
      this.#socket.emit("send-message", message, (error, ack) => (error ? reject(error) : resolve(ack)));
    });
  }

  /** Tell the other users that this one is typing, if the socket is connected. */
  typing() {
    if (this.#socket.connected) this.#socket.volatile.emit("typing");
  }

  #end(listener, reason) {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.#socket.disconnect();
    listener.onEnded(reason);
  }
}

/** The cause of an error; only polling knows the status of the server's answer. */
function causeOf(error) {
  const status = error?.description;
  return status === 503 ? "busy" : status === 403 ? "origin" : "lost";
}

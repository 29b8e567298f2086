/** The socket: what it tells, in the page's words, and the few things that can be said through it. */

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
 * @property {(cause: "connecting" | "lost" | "busy" | "origin") => void} onWaiting it comes back by itself
 * @property {(reason: string) => void} onEnded the token is no good any more; `resume` with another one
 * @property {(message: object, offset: string) => void} onMessage
 * @property {(change: object) => void} onPresence
 * @property {(who: {id: string, name: string}) => void} onTyping
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
    socket.on("typing", (who) => listener.onTyping(who));
    listener.onWaiting("connecting");
    socket.connect();
  }

  get isConnected() {
    return this.#socket.connected;
  }

  /** Give up the tries that are left, and every message that is not acknowledged. */
  close() {
    this.#hasEnded = true;
    this.#socket.disconnect();
  }

  /** Go on with another token of the same person: within the connection, or by coming back with it. */
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
   * Resolves to the server's ack; rejects when it was asked again and again and none came.
   * @returns {Promise<{ok: boolean, error?: {code: string, message: string, retry_after_seconds?: number}}>}
   */
  send(message) {
    return new Promise((resolve, reject) => {
      this.#socket.emit("send-message", message, (error, ack) => (error ? reject(error) : resolve(ack)));
    });
  }

  /** Tell the others, if that can be told right now. */
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

/** Polling tells with which status the server refused. */
function causeOf(error) {
  const status = error?.description;
  return status === 503 ? "busy" : status === 403 ? "origin" : "lost";
}

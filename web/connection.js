/** Connection: the socket's events in the page's words, and the events that the page sends. */

import { io } from "./socket.io.js";

const OPTIONS = {
  forceNew: true,
  autoConnect: false,
  reconnectionDelay: 500,
  reconnectionDelayMax: 5000,
};
const AGAIN_MS = 2000;
const ACK_MS = 8000;

/**
 * @typedef {object} Listener
 * @property {(how: "first" | "recovered" | "gap") => void} onConnected
 * @property {(cause: "connecting" | "lost" | "busy" | "origin") => void} onWaiting the connection comes back by itself
 * @property {(reason: string, until?: string | null) => void} onEnded the token is no longer valid; `resume` with
 *   another one; `until`: when a ban ends, null for never
 * @property {(message: object, offset: string) => void} onMessage
 * @property {(edit: {id: string, content: string, edited_at: string}) => void} onEdited
 * @property {(id: string) => void} onDeleted
 * @property {(change: object) => void} onPresence
 * @property {(user: {id: string, name: string}) => void} onTyping
 */

export class Connection {
  #socket;
  #listener;
  #admitted = null; // the token that the server knows this connection by
  #wasConnected = false;
  #hasEnded = false;
  #listening = new AbortController();

  /**
   * @param {string} token
   * @param {Listener} listener
   */
  constructor(token, listener) {
    this.#listener = listener;
    const socket = (this.#socket = io("/chat", { ...OPTIONS, auth: { token } }));
    socket.on("connect", () => {
      this.#admitted = socket.auth.token;
      listener.onConnected(!this.#wasConnected ? "first" : socket.recovered ? "recovered" : "gap");
      this.#wasConnected = true;
    });
    socket.on("disconnect", (reason, details) => {
      if (this.#hasEnded || reason === "io client disconnect") return;
      if (reason === "io server disconnect") setTimeout(() => this.#hasEnded || socket.connect(), AGAIN_MS);
      listener.onWaiting(causeOf(details));
    });
    socket.on("connect_error", (error) => {
      if (socket.active) return listener.onWaiting(causeOf(error));
      this.#end(error.data?.code === "token_expired" ? "expired" : "refused");
    });
    socket.on("session-ended", ({ reason, until }) => {
      if (socket.auth.token === this.#admitted) this.#end(reason, until);
      else this.hurry(); // the page has a newer token already
    });
    socket.on("receive-message", (message, offset) => listener.onMessage(message, offset));
    socket.on("message-edited", (edit) => listener.onEdited(edit));
    socket.on("message-deleted", ({ id }) => listener.onDeleted(id));
    socket.on("presence", (change) => listener.onPresence(change));
    socket.on("typing", (user) => listener.onTyping(user));
    // The browser knows of the network before the next attempt is due.
    addEventListener("online", () => this.isConnected || this.hurry(), { signal: this.#listening.signal });
    listener.onWaiting("connecting");
    socket.connect();
  }

  get isConnected() {
    return this.#socket.connected;
  }

  close() {
    this.#hasEnded = true;
    this.#listening.abort();
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
        if (!error && ack?.ok) this.#admitted = token;
      });
    }
  }

  /** Give up this connection, or the wait for the next one, and connect at once. */
  hurry() {
    if (this.#hasEnded) return;
    this.#listener.onWaiting("lost");
    this.#socket.disconnect().connect();
  }

  /**
   * Emit an event. Resolves to the server's ack; to null if the connection is lost or there is no ack in time.
   * @returns {Promise<{ok: boolean, error?: {code: string, message: string, retry_after_seconds?: number}} | null>}
   */
  send(event, data) {
    return new Promise((resolve) => {
      this.#socket.timeout(ACK_MS).emit(event, data, (error, ack) => resolve(error ? null : ack));
    });
  }

  /** Tell the other users that this one is typing, if the socket is connected. */
  typing() {
    if (this.#socket.connected) this.#socket.volatile.emit("typing");
  }

  #end(reason, until) {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.#socket.disconnect();
    this.#listener.onEnded(reason, until);
  }
}

/** The cause of an error; only polling knows the status of the server's answer. */
function causeOf(error) {
  const status = error?.description;
  return status === 503 ? "busy" : status === 403 ? "origin" : "lost";
}

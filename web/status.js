/** The line that shows the state of the connection. */

const SHORTLY_MS = 8000;

/** The server takes this page for one of another site (docs/decisions/0016-origins.md). */
export const FOREIGN = `The server takes nothing from ${location.origin}: its CLIENT_URL does not name it.`;

const WAITING = {
  connecting: "Connecting…",
  lost: "Connection lost. Reconnecting…",
  busy: "The server is busy. Trying again…",
  origin: FOREIGN,
};

export class Status {
  #line;
  #timer = 0;

  constructor(line) {
    this.#line = line;
  }

  /** @param {"connecting" | "lost" | "busy" | "origin"} cause */
  waiting(cause) {
    this.#say(WAITING[cause], cause === "origin" ? "bad" : "busy");
  }

  connected() {
    this.#say("Connected", "good");
  }

  /** The connection is back; `text` says for a while what was missed. */
  back(text, isWhole) {
    this.#say(text, isWhole ? "good" : "bad");
    this.#timer = setTimeout(() => this.connected(), isWhole ? SHORTLY_MS : SHORTLY_MS * 3);
  }

  signedOut() {
    this.#say("Signed out", "off");
  }

  #say(text, tone) {
    clearTimeout(this.#timer);
    if (this.#line.textContent !== text) this.#line.textContent = text;
    this.#line.dataset.tone = tone;
  }
}

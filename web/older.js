/** Loads what was said before, whenever the beginning comes near. */

import { messagesBefore } from "./api.js";

const AHEAD = "600px"; // begin before one gets there
const AGAIN_MS = 3000;

export class Older {
  #sign;
  #timeline;
  #token;
  #isLoading = false;
  #isOver = false;
  #observer;

  /**
   * @param {HTMLElement} box what scrolls
   * @param {HTMLElement} sign stands above the first message, and says how far back it goes
   * @param {import("./timeline.js").Timeline} timeline
   * @param {() => string | null} token
   */
  constructor(box, sign, timeline, token) {
    this.#sign = sign;
    this.#timeline = timeline;
    this.#token = token;
    this.#observer = new IntersectionObserver((seen) => seen.at(-1).isIntersecting && this.#load(), {
      root: box,
      rootMargin: `${AHEAD} 0px 0px 0px`,
    });
  }

  /** Look again whether the beginning is near. */
  look() {
    if (this.#isOver && this.#timeline.isEmpty) this.#isOver = false;
    this.#observer.unobserve(this.#sign);
    this.#observer.observe(this.#sign);
  }

  stop() {
    this.#observer.disconnect();
  }

  async #load() {
    const offset = this.#timeline.firstOffset;
    if (offset === null) this.#sign.textContent = "Nobody has said anything yet. Say hello!";
    if (offset === null || this.#isLoading || this.#isOver) return;
    this.#isLoading = true;
    this.#sign.textContent = "Loading earlier messages…";
    try {
      const { messages, before } = await messagesBefore(this.#token(), offset);
      this.#timeline.prepend(messages);
      if (before === null) this.#end("This is where it begins.");
    } catch (refusal) {
      // 400: an offset of a log that is gone. What it had before is gone with it.
      if (refusal.status === 400) this.#end("Earlier messages are not kept.");
      else await this.#wait((refusal.retryAfterSeconds ?? 0) * 1000 || AGAIN_MS);
    }
    this.#isLoading = false;
    if (!this.#isOver) this.look();
  }

  #end(text) {
    this.#isOver = true;
    this.#sign.textContent = text;
  }

  async #wait(milliseconds) {
    this.#sign.textContent = "Earlier messages could not be loaded. Trying again…";
    await new Promise((resolve) => setTimeout(resolve, milliseconds));
  }
}

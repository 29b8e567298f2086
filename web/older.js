/** Loads older messages when the user scrolls near the oldest one. */

import { messagesBefore } from "./api.js";

const AHEAD = "600px"; // load before the user gets there
const AGAIN_MS = 3000;

export class Older {
  #sign;
  #timeline;
  #token;
  #isLoading = false;
  #beginning = null; // the offset before which the log has nothing; the timeline may drop it again
  #isStopped = false;
  #observer;

  /**
   * @param {HTMLElement} box scrolls
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
    if (this.#isStopped) return;
    this.#observer.unobserve(this.#sign);
    this.#observer.observe(this.#sign);
  }

  stop() {
    this.#isStopped = true;
    this.#observer.disconnect();
  }

  async #load() {
    const offset = this.#timeline.firstOffset;
    if (offset === null) this.#sign.textContent = "There are no messages here. Say hello!";
    if (offset === null || offset === this.#beginning || this.#isLoading) return;
    this.#isLoading = true;
    this.#sign.textContent = "Loading earlier messages…";
    const page = await this.#pageBefore(offset);
    this.#isLoading = false;
    if (this.#isStopped) return;
    if (page !== null && this.#timeline.firstOffset === offset) {
      this.#timeline.prepend(page.messages);
      if (page.before === null) this.#end();
    }
    this.look();
  }

  /** @returns {Promise<{messages: object[], before: string | null} | null>} null: try again */
  async #pageBefore(offset) {
    try {
      return await messagesBefore(this.#token(), offset);
    } catch (refusal) {
      // 400: an offset of a log that is gone, with its older messages.
      if (refusal.status === 400) return { messages: [], before: null };
      this.#sign.textContent = "Earlier messages could not be loaded. Trying again…";
      const wait = (refusal.retryAfterSeconds ?? 0) * 1000 || AGAIN_MS;
      await new Promise((resolve) => setTimeout(resolve, wait));
      return null;
    }
  }

  #end() {
    this.#beginning = this.#timeline.firstOffset;
    this.#sign.textContent = "The server has no earlier messages."; // they may have been dropped, or lost at a restart
  }
}

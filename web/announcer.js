/** Announcer: reads new messages to users of a screen reader, those of one second in one sentence. */

const GATHER_MS = 1000;
const MOST_CHARS = 300;

export class Announcer {
  #region;
  #gathered = [];
  #timer = 0;

  /** @param {HTMLElement} region polite and live */
  constructor(region) {
    this.#region = region;
  }

  /** @param {{author_name: string, content: string}[]} messages of others */
  messages(messages) {
    if (messages.length === 0) return;
    this.#gathered.push(...messages);
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#tell(), GATHER_MS);
  }

  /** Announce a sentence of the page itself, at once. */
  say(text) {
    this.#region.textContent = text;
  }

  #tell() {
    const messages = this.#gathered.splice(0);
    this.say(
      messages.length > 3
        ? `${messages.length} new messages`
        : messages.map((message) => `${message.author_name}: ${message.content.slice(0, MOST_CHARS)}`).join("\n"),
    );
  }
}

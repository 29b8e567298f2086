/** Tells who does not see the page what came, in one sentence for what came within a second. */

const GATHER_MS = 1000;
const MOST_CHARS = 300;

export class Announcer {
  #region;
  #gathered = [];
  #timer = 0;
  #unread = 0;

  /** @param {HTMLElement} region polite and live */
  constructor(region) {
    this.#region = region;
    document.addEventListener("visibilitychange", () => this.#entitle(0));
  }

  /** @param {{author_name: string, content: string}[]} messages of others */
  messages(messages) {
    if (messages.length === 0) return;
    if (document.hidden) this.#entitle(this.#unread + messages.length);
    this.#gathered.push(...messages);
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#tell(), GATHER_MS);
  }

  /** Say a sentence of the page's own, at once. */
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

  /** The window's title counts what came while nobody looked. */
  #entitle(unread) {
    this.#unread = unread;
    document.title = unread > 0 ? `(${unread}) Chat.io` : "Chat.io";
  }
}

/** Moderation: what a moderator may do with a message of another user, and with that user. */

import { moderate, usersNamed, whoAmI } from "./api.js";
import { byId, element } from "./dom.js";
import { untilWhen } from "./time.js";

const MODERATORS = ["moderator", "owner"];

export class Moderation {
  #token;
  #dialog = byId("moderation");
  #message = null;

  /** @param {() => string} token */
  constructor(token) {
    this.#token = token;
    this.#dialog.querySelector("form").onsubmit = (event) => {
      event.preventDefault();
      this.#act(event.submitter);
    };
    // Enter would press the first button, which deletes the message.
    byId("moderation-reason").onkeydown = (event) => event.key === "Enter" && event.preventDefault();
    byId("moderation-close").onclick = () => this.#dialog.close();
  }

  /** Ask for the role: moderators see a button beside each message of another user. */
  async load() {
    const { role } = await whoAmI(this.#token()).catch(() => ({}));
    document.body.classList.toggle("moderates", MODERATORS.includes(role));
  }

  close() {
    document.body.classList.remove("moderates");
    this.#dialog.close();
  }

  /** Ask what to do with `message`, and with its author. */
  open(message) {
    this.#message = message;
    byId("moderation-title").replaceChildren("Moderate ", element("bdi", {}, message.author_name));
    this.#dialog.querySelector(".problem").textContent = "";
    this.#dialog.querySelector("form").reset();
    this.#showStanding(null);
    this.#dialog.showModal();
    this.#loadStanding(message);
  }

  /** Show whether the author is muted or banned now, which can be lifted. */
  async #loadStanding(message) {
    const { users } = await usersNamed(this.#token(), message.author_name).catch(() => ({ users: [] }));
    if (message === this.#message) this.#showStanding(users.find(({ id }) => id === message.author_id) ?? null);
  }

  /** @param {{muted_until: string | null, banned_until: string | null} | null} user */
  #showStanding(user) {
    for (const [sanction, until, said] of [
      ["mute", user?.muted_until, "Muted"],
      ["ban", user?.banned_until, "Banned"],
    ]) {
      const holds = until === "never" || new Date(until ?? 0) > new Date();
      const button = this.#dialog.querySelector(`[data-sanction=${sanction}]`);
      button.hidden = !holds;
      button.previousElementSibling.textContent = holds ? `${said} ${untilWhen(until === "never" ? null : until)}` : "";
    }
  }

  async #act({ value, dataset }) {
    const { id, author_id } = this.#message;
    const reason = byId("moderation-reason").value;
    const about = value === "delete" ? { message_id: id } : { user_id: author_id };
    const { sanction } = dataset;
    const seconds = dataset.seconds ? Number(dataset.seconds) : undefined;
    try {
      await moderate(this.#token(), value, { ...about, seconds, sanction, reason }); // what is undefined is not sent
      this.#dialog.close();
    } catch (refusal) {
      const said = refusal.fields?.map(({ message }) => `Reason: ${message}`).join(" ");
      this.#dialog.querySelector(".problem").textContent = said || refusal.message;
    }
  }
}

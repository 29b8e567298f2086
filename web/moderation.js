/** Moderation: what a moderator may do with a message of another user, and with that user. */

import { moderate, whoAmI } from "./api.js";
import { byId, element } from "./dom.js";

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
    this.#dialog.showModal();
  }

  async #act({ value, dataset }) {
    const { id, author_id } = this.#message;
    const reason = byId("moderation-reason").value;
    const about = value === "delete" ? { message_id: id } : { user_id: author_id };
    const seconds = dataset.seconds ? { seconds: Number(dataset.seconds) } : {};
    try {
      await moderate(this.#token(), value, { ...about, ...seconds, reason });
      this.#dialog.close();
    } catch (refusal) {
      const said = refusal.fields?.map(({ message }) => `Reason: ${message}`).join(" ");
      this.#dialog.querySelector(".problem").textContent = said || refusal.message;
    }
  }
}

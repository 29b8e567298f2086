/** The dialog: sign up, sign in, sign in again as the same user, set a new password by a code, and stay signed in. */

import { logIn, register, resetPassword } from "./api.js";
import { byId } from "./dom.js";
import { FOREIGN } from "./status.js";
import { untilWhen } from "./time.js";

const FIELDS = ["name", "email", "code", "password"];

const MODES = {
  in: { title: "Sign in to Chat.io", button: "Sign in", other: "Create an account" },
  up: { title: "Create an account", button: "Sign up", other: "I have an account" },
  again: { title: "Sign in again", button: "Sign in", other: "Sign in as somebody else" },
  reset: { title: "Set a new password", button: "Set it and sign in", other: "I have a password" },
  renew: { title: "Stay signed in", button: "Stay signed in", other: "Not now" },
};

export class SignIn {
  #dialog = byId("sign-in");
  #form = this.#dialog.querySelector("form");
  #mode = "in";
  #onToken;
  #onOther;
  #isBusy = false;

  /**
   * @param {(token: string, stays: boolean) => void} onToken `stays` when the tab is closed
   * @param {() => void} onOther another user wants to sign in
   */
  constructor(onToken, onOther) {
    this.#onToken = onToken;
    this.#onOther = onOther;
    this.#form.noValidate = true; // the server checks, and says what is wrong in words
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
    byId("sign-in-other").addEventListener("click", () => this.#other());
    byId("sign-in-code").addEventListener("click", () => this.ask("reset", "The operator gives you a code."));
    // Escape closes only a dialog that may wait.
    this.#dialog.addEventListener("cancel", (event) => this.#mode === "renew" || event.preventDefault());
    this.#dialog.addEventListener("close", () => {
      if (this.#dialog.dataset.needed === "yes") this.#dialog.showModal();
    });
  }

  /**
   * @param {"in" | "up" | "again" | "reset" | "renew"} mode
   * @param {string} notice why the page asks
   * @param {string} email of the user who signs in again
   */
  ask(mode, notice = "", email = "") {
    const { title, button, other } = MODES[mode];
    const isKnown = email !== "";
    this.#mode = mode;
    this.#complain([], "");
    byId("sign-in-title").textContent = title;
    byId("sign-in-notice").textContent = notice;
    byId("sign-in-other").textContent = other;
    this.#form.querySelector("[type=submit]").textContent = button;
    byId("name-field").hidden = mode !== "up";
    byId("code-field").hidden = mode !== "reset";
    byId("sign-in-code").hidden = mode !== "in";
    byId("stay-field").hidden = isKnown; // the same user goes on as before
    this.#input("email").readOnly = isKnown;
    if (isKnown) this.#input("email").value = email;
    this.#input("password").autocomplete = ["up", "reset"].includes(mode) ? "new-password" : "current-password";
    this.#dialog.dataset.mode = mode;
    this.#dialog.dataset.needed = mode === "renew" ? "no" : "yes";
    if (!this.#dialog.open) this.#dialog.showModal();
    this.#input(isKnown ? "password" : mode === "up" ? "name" : "email").focus();
  }

  close() {
    this.#dialog.dataset.needed = "no";
    this.#form.reset();
    this.#dialog.close();
  }

  async #submit() {
    if (this.#isBusy) return;
    const [name, email, code, password] = FIELDS.map((field) => this.#input(field).value);
    this.#isBusy = true;
    this.#form.setAttribute("aria-busy", "true");
    this.#complain([], "");
    let isRegistered = false;
    try {
      if (this.#mode === "up") {
        await register(name, email, password);
        isRegistered = true;
      }
      if (this.#mode === "reset") {
        await resetPassword(email, code, password);
        this.ask("in", "Your password is set."); // what fails from here on is the login alone
      }
      const token = await logIn(email, password);
      const stays = this.#input("stay").checked;
      this.close();
      this.#onToken(token, stays);
    } catch (refusal) {
      if (isRegistered) this.ask("in", "Your account is made.");
      const fields = refusal.fields ?? [];
      this.#complain(fields, fields.length > 0 ? "" : sentence(refusal));
    } finally {
      this.#isBusy = false;
      this.#form.removeAttribute("aria-busy");
    }
  }

  #other() {
    if (this.#mode === "renew") this.close();
    else if (this.#mode === "again") this.#onOther();
    else this.ask(this.#mode === "in" ? "up" : "in");
  }

  /** Show each problem beside its field and focus the first of them; else show `text`. */
  #complain(problems, text) {
    let first = null;
    for (const field of FIELDS) {
      const said = problems.filter((problem) => problem.field.replace("new_", "") === field).map((problem) => problem.message);
      const input = this.#input(field);
      byId(`${field}-problem`).textContent = said.join(" ");
      input.setAttribute("aria-invalid", String(said.length > 0));
      if (said.length > 0) first ??= input;
    }
    byId("sign-in-problem").textContent = text;
    first?.focus();
  }

  #input(name) {
    return this.#form.elements.namedItem(name);
  }
}

/** The meaning of a refusal, in one sentence. */
function sentence(refusal) {
  if (refusal.retryAfterSeconds) return `${refusal.message} (In ${refusal.retryAfterSeconds} s.)`;
  if (refusal.until !== undefined) return `${refusal.message} (${untilWhen(refusal.until)})`;
  if (refusal.code === "foreign_page") return FOREIGN;
  if (refusal.status === 404) return "E-mail or password is wrong.";
  return refusal.status === undefined ? "That failed. Please try again." : refusal.message;
}

/** The account dialog: change the password, sign out here and everywhere, export, delete. */

import { changePassword, deleteAccount, exportAccount, hasExport, logIn, logOutEverywhere } from "./api.js";
import { byId, element } from "./dom.js";
import { avatar } from "./person.js";

export class Account {
  #session;
  #alerts;
  #main;
  #dialog = null; // the one that was opened last
  #isBusy = false;
  #endedBy = null;

  /**
   * @param {import("./session.js").Session} session
   * @param {import("./alerts.js").Alerts} alerts
   * @param {object} main
   * @param {() => void} main.signOut here
   * @param {() => Promise<boolean>} main.mayLeave asks, where something is not sent
   * @param {(reason: string) => void} main.ended every token of the user has ended
   */
  constructor(session, alerts, main) {
    this.#session = session;
    this.#alerts = alerts;
    this.#main = main;
  }

  /** Whether this dialog ends the token itself just now, and says so; if that fails half-way, it says `reason`. */
  expects(reason) {
    if (this.#isBusy) this.#endedBy = reason;
    return this.#isBusy;
  }

  open() {
    const { person } = this.#session;
    const made = byId("account-template").content.cloneNode(true);
    this.#dialog = made.querySelector("dialog");
    document.body.append(made);
    const dialog = this.#dialog;
    dialog.addEventListener("close", () => dialog.remove());
    byId("account-title").replaceChildren(avatar(person.id, person.name), element("bdi", {}, person.name));
    byId("account-email").textContent = person.email;
    for (const input of this.#dialog.querySelectorAll("[autocomplete=username]")) input.value = person.email;
    this.#alerts.bind(byId("notifications"), byId("sound"), byId("notifications-problem"));
    byId("account-close").addEventListener("click", () => this.close());
    byId("account-sign-out").addEventListener("click", () => this.#main.signOut());
    byId("account-export").addEventListener("click", () => this.#do(byId("export"), () => this.#export()));
    this.#bind("change-password", (form) => this.#replacePassword(form.old_password.value, form.new_password.value));
    this.#bind("sign-out-everywhere", () => this.#signOutEverywhere());
    this.#bind("delete-account", (form) => this.#delete(form.password.value, form.messages.checked));
    this.#dialog.showModal();
    this.#offerExport(byId("export"));
  }

  close() {
    this.#dialog?.close(); // and the focus goes back
  }

  async #offerExport(part) {
    part.hidden = !(await hasExport().catch(() => false));
  }

  #bind(id, action) {
    const part = byId(id);
    const form = part.querySelector("form");
    form.noValidate = true; // the server checks, and says what is wrong in words
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#do(part, () => action(form.elements));
    });
  }

  async #do(part, action) {
    if (this.#isBusy) return;
    const problem = part.querySelector(".problem");
    this.#isBusy = true;
    this.#endedBy = null;
    problem.textContent = "";
    try {
      await action();
    } catch (refusal) {
      problem.textContent = sentence(refusal);
      if (this.#endedBy !== null) this.#main.ended(this.#endedBy);
    } finally {
      this.#isBusy = false;
    }
  }

  /** Change it, and go on with a token of the new one; all other devices are signed out. */
  async #replacePassword(oldPassword, newPassword) {
    const { token, person, stays } = this.#session;
    await changePassword(token, oldPassword, newPassword);
    this.close();
    try {
      this.#session.begin(await logIn(person.email, newPassword), stays);
    } catch {
      this.#main.ended("password_changed");
    }
  }

  async #signOutEverywhere() {
    if (!(await this.#main.mayLeave())) return;
    await logOutEverywhere(this.#session.token);
    this.#main.ended("signed_out_everywhere");
  }

  async #delete(password, takesMessages) {
    await deleteAccount(this.#session.token, password, takesMessages);
    this.#main.ended("account_deleted");
  }

  async #export() {
    const text = JSON.stringify(await exportAccount(this.#session.token), null, 2);
    const href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
    element("a", { href, download: "chat-io.json" }).click();
    setTimeout(() => URL.revokeObjectURL(href), 60_000);
  }
}

function sentence(refusal) {
  const said = refusal.fields?.map(({ message }) => message).join(" ") || refusal.message;
  if (refusal.status === undefined) return "That failed. Please try again.";
  return refusal.retryAfterSeconds ? `${said} (In ${refusal.retryAfterSeconds} s.)` : said;
}

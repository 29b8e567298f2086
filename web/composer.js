/** Composer: where the user writes. What is written is kept in `unsent` with every key. */

const TYPING_MS = 2000;

export class Composer {
  #form;
  #draft;
  #onSay;
  #onTyping;
  #unsent = null;
  #toldAt = 0;

  /**
   * @param {HTMLFormElement} form
   * @param {(text: string) => void} onSay
   * @param {() => void} onTyping at most once in two seconds
   */
  constructor(form, onSay, onTyping) {
    this.#form = form;
    this.#draft = form.querySelector("textarea");
    this.#onSay = onSay;
    this.#onTyping = onTyping;
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
    this.#draft.addEventListener("input", () => this.#changed());
    this.#bindEnter(matchMedia("(pointer: fine)"));
  }

  /** @param {import("./unsent.js").Unsent} unsent of the person who writes from now on */
  open(unsent) {
    this.#unsent = unsent;
    this.show(unsent.draft);
    this.focus();
  }

  close() {
    this.#unsent = null;
    this.show("");
  }

  focus() {
    this.#draft.focus();
  }

  /** Show the draft that another tab has changed. */
  show(text) {
    if (this.#draft.value !== text) this.#draft.value = text;
  }

  /** Put a text before the draft. */
  edit(text) {
    this.#write(this.#draft.value === "" ? text : `${text}\n${this.#draft.value}`);
    this.focus();
  }

  #submit() {
    this.focus();
    const text = this.#draft.value;
    if (text.trim() === "") return;
    this.#onSay(text);
    this.#write("");
    this.#toldAt = 0;
  }

  #write(text) {
    this.#draft.value = text;
    this.#keep();
  }

  #changed() {
    this.#keep();
    if (this.#draft.value.trim() === "" || Date.now() - this.#toldAt < TYPING_MS) return;
    this.#toldAt = Date.now();
    this.#onTyping();
  }

  #keep() {
    if (this.#unsent) this.#unsent.draft = this.#draft.value;
  }

  /** Enter sends, and Shift+Enter is a new line; on a touch screen Enter is a new line, and the key says so. */
  #bindEnter(hasKeyboard) {
    const label = () => (this.#draft.enterKeyHint = hasKeyboard.matches ? "send" : "enter");
    hasKeyboard.addEventListener("change", label);
    label();
    this.#draft.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing || !hasKeyboard.matches) return;
      event.preventDefault();
      this.#form.requestSubmit();
    });
  }
}

/** Composer: where the user writes. What is written is kept in `unsent` with every key. */

const TYPING_MS = 2000;
const FEW_CHARS = 20; // that are left: the counter shows, or when a twentieth of a long limit is left

export class Composer {
  #form;
  #draft;
  #counter;
  #outside;
  #unsent = null;
  #toldAt = 0;
  #maxChars = null; // unknown, until the server has said it

  /**
   * @param {HTMLFormElement} form
   * @param {HTMLElement} counter shows how many characters are left, when they are few
   * @param {object} outside
   * @param {(text: string) => void} outside.say
   * @param {() => void} outside.typing called at most once in two seconds
   * @param {() => void} outside.changeNewest by the key Arrow Up
   * @param {() => Promise<number>} outside.maxChars the longest message, in code points
   */
  constructor(form, counter, outside) {
    this.#form = form;
    this.#draft = form.querySelector("textarea");
    this.#counter = counter;
    this.#outside = outside;
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
    this.#draft.addEventListener("input", () => this.#changed());
    this.#draft.addEventListener("keydown", (event) => {
      if (event.key !== "ArrowUp" || this.#draft.value !== "") return;
      event.preventDefault();
      outside.changeNewest();
    });
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
    if (this.#draft.value === text) return;
    this.#draft.value = text;
    this.#count();
  }

  /** Put a text before the draft. */
  edit(text) {
    this.#write(this.#draft.value === "" ? text : `${text}\n${this.#draft.value}`);
    this.focus();
  }

  #submit() {
    this.focus();
    const text = this.#draft.value;
    if (text.trim() === "" || this.#count() < 0) return;
    this.#outside.say(text);
    this.#write("");
    this.#toldAt = 0;
  }

  #write(text) {
    this.#draft.value = text;
    this.#keep();
    this.#count();
  }

  #changed() {
    this.#keep();
    this.#learnLimit();
    this.#count();
    if (this.#draft.value.trim() === "" || Date.now() - this.#toldAt < TYPING_MS) return;
    this.#toldAt = Date.now();
    this.#outside.typing();
  }

  /** Ask once. If the server does not say it, it refuses what is too long. */
  async #learnLimit() {
    if (this.#maxChars !== null) return;
    this.#maxChars = Infinity; // also when the server cannot say it now
    this.#maxChars = await this.#outside.maxChars().catch(() => Infinity);
    this.#count();
  }

  /** @returns {number} how many characters are left; negative if there are too many */
  #count() {
    const max = this.#maxChars ?? Infinity;
    const left = max - codePoints(this.#draft.value);
    const isNear = Number.isFinite(left) && left <= Math.max(FEW_CHARS, max / 20);
    this.#counter.textContent = !isNear ? "" : left < 0 ? `${-left} characters too many` : `${left} characters left`;
    this.#counter.classList.toggle("problem", left < 0);
    this.#draft.setAttribute("aria-invalid", String(left < 0));
    return left;
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

/** The length as the server counts it; a pair of surrogates is one character. */
const codePoints = (text) => text.replace(/[\ud800-\udbff][\udc00-\udfff]/g, " ").length;

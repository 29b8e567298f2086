/** Scroller: follows the newest message, or keeps the place of a user who reads further up. */

const NEAR_PIXELS = 60;

export class Scroller {
  #box;
  #toNewest;
  #follows = true;
  #before = null; // the scroll position that was last seen

  /**
   * @param {HTMLElement} box
   * @param {HTMLElement} content grows and shrinks within `box`
   * @param {HTMLElement} toNewest a button, shown when a new message is out of sight
   */
  constructor(box, content, toNewest) {
    this.#box = box;
    this.#toNewest = toNewest;
    box.addEventListener("scroll", () => this.#moved(), { passive: true });
    toNewest.addEventListener("click", () => {
      this.follow();
      box.focus();
    });
    // Images, fonts or a keyboard change the sizes: a user who was at the newest message stays there.
    const sizes = new ResizeObserver(() => this.#follows && this.#toEnd());
    sizes.observe(box);
    sizes.observe(content);
  }

  get follows() {
    return this.#follows;
  }

  /** Go to the newest message, and stay there. */
  follow() {
    this.#follows = true;
    this.#toNewest.hidden = true;
    this.#toEnd();
  }

  /** Something new stands at the end. */
  grew() {
    if (this.#follows) this.#toEnd();
    else this.#toNewest.hidden = false;
  }

  /** Run `change`, which adds or removes above what is in sight, and keep that where it is. */
  keeping(anchor, change) {
    const before = anchor?.getBoundingClientRect().top ?? 0;
    change();
    if (this.#follows) this.#toEnd();
    else if (anchor?.isConnected) this.#box.scrollTop += anchor.getBoundingClientRect().top - before;
  }

  #moved() {
    const { scrollTop, scrollHeight, clientHeight } = this.#box;
    const isNear = scrollHeight - scrollTop - clientHeight < NEAR_PIXELS;
    // What moved may be the end and not the person: only going up stops the following.
    if (isNear) this.#follows = true;
    else if (scrollTop < (this.#before ?? scrollTop)) this.#follows = false;
    this.#before = scrollTop;
    if (this.#follows) this.#toNewest.hidden = true;
  }

  #toEnd() {
    this.#box.scrollTop = this.#box.scrollHeight;
  }
}

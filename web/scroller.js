/** Scroller: follows the newest message, or keeps the place of a user who reads further up. */

const NEAR_PIXELS = 60;

export class Scroller {
  #box;
  #follows = true;
  #before = null; // the scroll position that was last seen
  onMove = () => {};

  /**
   * @param {HTMLElement} box
   * @param {HTMLElement} content grows and shrinks within `box`
   */
  constructor(box, content) {
    this.#box = box;
    box.addEventListener("scroll", () => this.#moved(), { passive: true });
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
    this.#toEnd();
    this.onMove();
  }

  /** Begin at `element`, and follow no longer if what is below it does not fit. */
  show(element) {
    this.#follows = false;
    this.#box.scrollTop += element.getBoundingClientRect().top - this.#box.getBoundingClientRect().top;
    this.#moved();
  }

  /** Whether `element` is out of sight, further down. */
  isBelow(element) {
    return element.getBoundingClientRect().top > this.#box.getBoundingClientRect().bottom;
  }

  focus() {
    this.#box.focus();
  }

  /** Something new stands at the end. */
  grew() {
    if (this.#follows) this.#toEnd();
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
    this.onMove();
  }

  #toEnd() {
    this.#box.scrollTop = this.#box.scrollHeight;
  }
}

/**
 * Unread: the messages of others that came while the user looked elsewhere or read further up. A line stands before
 * the first of them; the title, the icon and the button that leads down to them tell that there are some.
 */

import { keep, ownKeys } from "./storage.js";

const TITLE = document.title;
const ICON = document.querySelector("link[rel=icon]");
const USUAL_ICON = ICON.getAttribute("href");

/** The path of the icon with this number: the server makes those up to 9. */
const iconOf = (count) => (count === 0 ? USUAL_ICON : `/web/icon-${count > 9 ? "unread" : count}.svg`);

const BEGINNING_MS = 1000;

/** Whether the user sees this page. */
export const isLooking = () => !document.hidden && document.hasFocus();

export class Unread {
  #timeline;
  #scroller;
  #button;
  #storage;
  #key;
  #readBefore; // as `readUpTo`, when the page was opened
  #count = 0;
  #markedAt = -Infinity; // when the line was put before what came while the user was away
  #listening = new AbortController();

  /**
   * @param {import("./timeline.js").Timeline} timeline
   * @param {import("./scroller.js").Scroller} scroller
   * @param {HTMLButtonElement} button
   * @param {Storage} storage
   * @param {string} personId
   */
  constructor(timeline, scroller, button, storage, personId) {
    this.#timeline = timeline;
    this.#scroller = scroller;
    this.#button = button;
    this.#storage = storage;
    this.#key = `${ownKeys(personId)}read`;
    this.#readBefore = this.readUpTo;
    const { signal } = this.#listening;
    const look = () => this.#look();
    addEventListener("focus", look, { signal });
    document.addEventListener("visibilitychange", look, { signal });
    scroller.onMove = look;
    button.addEventListener("click", () => this.#goDown(), { signal });
    const readElsewhere = ({ key }) => key === this.#key && this.#count > 0 && this.isAllRead && this.#show(0);
    addEventListener("storage", readElsewhere, { signal });
    this.#show(0);
  }

  close() {
    this.#listening.abort();
    this.#scroller.onMove = () => {};
    this.#button.hidden = true;
    this.#show(0);
  }

  /** The offset of the newest message that the user has seen, in any tab; null if none is known. */
  get readUpTo() {
    return this.#storage.getItem(this.#key);
  }

  /** Whether the user has seen all, in this tab or in another. */
  get isAllRead() {
    const newest = this.#timeline.lastOffset;
    return this.readUpTo === newest || this.#timeline.isAfter(this.readUpTo, newest);
  }

  /** @param {import("./timeline.js").Message[]} messages of others, new, oldest first */
  came(messages) {
    if (messages.length > 0 && !this.#isReading) {
      if (this.#count === 0) this.#timeline.mark(messages[0].id);
      this.#show(this.#count + messages.length);
    }
    this.#look();
  }

  /** Mark what came since the user was here last, and begin there if it fills more than the screen. */
  cameBefore(messages) {
    const unread = messages.filter(({ offset }) => this.#timeline.isAfter(offset, this.#readBefore));
    if (unread.length > 0 && this.#timeline.line === null) {
      this.#timeline.mark(unread[0].id);
      this.#markedAt = performance.now();
    }
    // The messages may come in parts, of which the first fits on the screen.
    if (unread.length > 0 && this.#scroller.follows && performance.now() - this.#markedAt < BEGINNING_MS) {
      this.#show(this.#count + unread.length);
      this.#scroller.show(this.#timeline.line);
    } else if (unread.length > 0 && !this.#isReading) this.#show(this.#count + unread.length);
    this.#look();
  }

  /** The messages are shown anew: those of them count that the user has not seen. */
  restart() {
    this.#readBefore = this.readUpTo;
    this.#show(0);
  }

  /** The user wrote, and has seen all. */
  answered() {
    this.#timeline.unmark();
    this.#show(0);
  }

  get #isReading() {
    return isLooking() && this.#scroller.follows;
  }

  #look() {
    this.#button.hidden = this.#scroller.follows;
    if (!this.#isReading) return;
    if (this.#count > 0) this.#show(0);
    const newest = this.#timeline.lastOffset;
    if (newest !== null && newest !== this.readUpTo) keep(this.#storage, this.#key, newest);
  }

  #goDown() {
    const { line } = this.#timeline;
    if (this.#count > 0 && line && this.#scroller.isBelow(line)) this.#scroller.show(line);
    else this.#scroller.follow();
    this.#scroller.focus();
    this.#look();
  }

  #show(count) {
    this.#count = count;
    document.title = count > 0 ? `(${count}) ${TITLE}` : TITLE;
    const icon = iconOf(count);
    if (ICON.getAttribute("href") !== icon) ICON.setAttribute("href", icon);
    navigator.setAppBadge?.(count).catch(() => {}); // an installed page
    this.#button.textContent = count === 0 ? "To the newest" : `${count} new message${count === 1 ? "" : "s"} below`;
  }
}

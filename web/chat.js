/** The chat of one user, from signing in to signing out; it outlasts lost connections and ended tokens. */

import { messagesBefore, online } from "./api.js";
import { change } from "./change.js";
import { Connection } from "./connection.js";
import { Moderation } from "./moderation.js";
import { Older } from "./older.js";
import { Outbox } from "./outbox.js";
import { People } from "./people.js";
import { Names } from "./person.js";
import { Timeline } from "./timeline.js";
import { Typing } from "./typing.js";
import { Unread } from "./unread.js";

const GATHER_MS = 10; // messages that arrive in a row are shown together
const JOINING_MS = 1000; // messages within it are history, which the announcer does not read
const AGAIN_MS = 3000;

const WHOLE = "Back, nothing missed.";
const NEW_LOG = "Back. The server was started anew: what was said meanwhile may be gone.";
const UNKNOWN = "Back, some messages may be gone.";
const OLD_LOG = "The server was started anew. It may not have the messages above any more, and some may be missing here.";

export class Chat {
  #session;
  #page;
  #onEnded;
  #arrived = [];
  #held = null; // events that wait until it is known which of the messages here the server still has
  #timer = 0;
  #joinedAt = Infinity;
  #isClosed = false;

  /**
   * @param {import("./session.js").Session} session signed in
   * @param {import("./unsent.js").Unsent} unsent
   * @param {object} page the parts that every chat uses: elements, status, scroller, announcer
   * @param {(reason: string) => void} onEnded the token is no longer valid
   */
  constructor(session, unsent, page, onEnded) {
    const { person } = session;
    this.#session = session;
    this.#page = page;
    this.#onEnded = onEnded;
    const token = () => session.token;
    const names = new Names(person);
    const send = (event, data) => this.connection.send(event, data);
    this.moderation = new Moderation(token);
    this.timeline = new Timeline(page.messages, page.scroller, person.id, names, {
      change: (message) => change(message, send),
      moderate: (message) => this.moderation.open(message),
    });
    this.older = new Older(page.box, page.beginning, this.timeline, token);
    this.outbox = new Outbox(page.pending, person, names, unsent, {
      send: (message) => send("send-message", message),
      hurry: () => this.connection.hurry(),
      edit: (text) => page.composer.edit(text),
      isShown: (offset) => this.timeline.isPast(offset),
      changed: (problem) => {
        page.scroller.grew();
        if (problem) page.announcer.say(problem);
      },
    });
    this.people = new People(page.people, person.id, names, () => online(token()));
    this.typing = new Typing(page.typing, person.id);
    this.unread = new Unread(this.timeline, page.scroller, page.toNewest, session.storage, person.id);
    this.connection = new Connection(session.token, this);
    page.scroller.follow();
  }

  say(text) {
    this.unread.answered();
    this.#page.scroller.follow();
    this.outbox.say(text);
  }

  /** Edit or delete the newest message of the user. */
  changeNewest() {
    this.timeline.changeNewestOwn();
  }

  resume() {
    this.connection.resume(this.#session.token);
  }

  close() {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    this.outbox.close();
    this.connection.close();
    this.older.stop();
    this.people.close();
    this.typing.close();
    this.moderation.close();
    this.unread.close();
    this.#page.messages.replaceChildren();
    this.#page.beginning.textContent = "";
  }

  // Called by the connection

  onConnected(how) {
    if (how === "first") {
      this.#joinedAt = performance.now();
      this.#page.status.connected();
      this.people.load();
      this.moderation.load();
    } else {
      this.#flush();
      if (how === "gap") this.#catchUp();
      else if (this.#held === null) this.#page.status.back(WHOLE, true);
      this.people.loadSoon();
    }
    this.older.look();
    this.outbox.connected();
  }

  /**
   * The connection is back, and the server could not send all that this page has missed; edits and deletions of the
   * messages here may be among it. So all is shown anew, as the server has it. If the server has another log now, the
   * messages here stay: this page has the only copy.
   */
  async #catchUp() {
    const isAsking = this.#held !== null;
    this.#held = []; // the server sends again what an earlier connection brought
    if (isAsking) return;
    this.timeline.append(this.outbox.takeAcknowledged()); // and not sent back: they are in the log of before
    const verdict = await this.#verdictOn(this.timeline.lastOffset);
    if (this.#isClosed) return;
    if (verdict === NEW_LOG) this.timeline.note(OLD_LOG); // the status passes, this stays
    else {
      this.timeline.clear();
      this.unread.restart();
      this.#joinedAt = performance.now();
      this.#page.scroller.follow();
    }
    const held = this.#held;
    this.#held = null;
    for (const event of held) event();
    this.#flush();
    this.older.look();
    if (this.connection.isConnected) this.#page.status.back(verdict, verdict === WHOLE);
  }

  onWaiting(cause) {
    this.#page.status.waiting(cause);
    if (cause !== "connecting") this.outbox.lost();
  }

  onEnded(reason, until) {
    this.outbox.lost();
    this.#onEnded(reason, until);
  }

  onMessage(message, offset) {
    this.#inTurn(() => {
      this.#arrived.push({ ...message, offset });
      this.#timer ||= setTimeout(() => this.#flush(), GATHER_MS);
    });
  }

  onEdited({ id, content, edited_at }) {
    this.#inTurn(() => {
      this.#flush();
      this.timeline.edit(id, { content, edited_at });
    });
  }

  onDeleted(id) {
    this.#inTurn(() => {
      this.#flush();
      this.timeline.remove(id);
    });
  }

  #inTurn(event) {
    if (this.#held === null) event();
    else this.#held.push(event);
  }

  onPresence(change) {
    this.people.apply(change);
  }

  onTyping(user) {
    this.typing.came(user);
  }

  #flush() {
    clearTimeout(this.#timer);
    this.#timer = 0;
    const wasEmpty = this.timeline.isEmpty;
    const arrived = this.#arrived.splice(0);
    const fresh = this.timeline.append(arrived);
    this.outbox.arrived(arrived);
    this.typing.stopped(arrived.map((message) => message.author_id));
    if (wasEmpty) this.older.look();
    const ofOthers = fresh.filter((message) => message.author_id !== this.#session.person?.id);
    if (performance.now() - this.#joinedAt < JOINING_MS) return this.unread.cameBefore(ofOthers);
    this.unread.came(ofOthers);
    this.#page.announcer.messages(ofOthers);
    this.#page.alerts.came(ofOthers, () => this.unread.isAllRead);
  }

  /** Whether the server has the log of this offset, and the messages before it. Asks until the server says it. */
  async #verdictOn(offset) {
    while (offset !== null && !this.#isClosed) {
      try {
        const { messages } = await messagesBefore(this.#session.token, offset, 1);
        return messages.length > 0 ? WHOLE : UNKNOWN;
      } catch (refusal) {
        if (refusal.status === 400) return NEW_LOG;
        const wait = (refusal.retryAfterSeconds ?? 0) * 1000 || AGAIN_MS;
        await new Promise((resolve) => setTimeout(resolve, wait));
      }
    }
    return UNKNOWN;
  }
}

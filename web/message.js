/** One message as an element, the same for delivered messages and for messages under way. */

import { clip } from "./clip.js";
import { element } from "./dom.js";
import { fold } from "./fold.js";
import { markUp } from "./markup.js";
import { mentionsReader } from "./mentions.js";
import { avatar } from "./person.js";
import { clock, dayKey, dayName } from "./time.js";

/**
 * @param {import("./person.js").Names} names
 * @param {{author_id: string, author_name: string, content: string}} message
 * @param {boolean} isOwn
 * @param {Date} moment when it was sent
 * @param {...Node} meta stands beside the time
 */
export function messageItem(names, message, isOwn, moment, ...meta) {
  const time = element("time", { datetime: moment.toISOString(), title: moment.toLocaleString() }, clock(moment));
  const { author_id, author_name } = message;
  const author = element("p", { class: "author" }, ...(isOwn ? ["You"] : names.show(author_id, author_name)));
  const said = markUp(message.content, names);
  const content = element("div", { class: "content", dir: "auto" }, ...said);
  const body = element("div", { class: "body" }, content, element("p", { class: "meta" }, time, ...meta));
  const bubble = element("div", { class: "bubble" }, author, body);
  const item = element("li", { class: isOwn ? "message own" : "message" }, avatar(author_id, author_name), bubble);
  if (!isOwn && mentionsReader(said)) item.classList.add("to-me");
  clip(author_name, author);
  clip(message.content, bubble);
  fold(item, message.content);
  return item;
}

/** Show in `mark` what became of an own message; one that was sent needs no words, but for screen readers. */
export function showState(mark, state, text) {
  mark.replaceChildren(state === "sent" ? element("span", { class: "quiet" }, text) : text);
  mark.title = state === "sent" ? "Sent: the server has it, and everybody online receives it" : text;
  mark.dataset.state = state;
  return mark;
}

/** The line above the first message of a day. */
export const dayLine = (moment) =>
  element("p", { class: "day" }, element("time", { datetime: dayKey(moment) }, dayName(moment)));

/** What a message says, as nodes: code, links and mentions. All else stays text, and no markup is ever read from it. */

import { element } from "./dom.js";
import { withLinks } from "./links.js";
import { withMentions } from "./mentions.js";

// ```language⏎…``` over several lines, or `…` in one.
const CODE = /\n?```(?:[\w+#.-]*\n)?([^]+?)\n?```\n?|(?<!`)`([^`\n]+)`(?!`)/g;

/**
 * @param {string} text
 * @param {import("./person.js").Names} names
 * @returns {(string | Node)[]} in order
 */
export function markUp(text, names) {
  const parts = [];
  let end = 0;
  for (const match of text.matchAll(CODE)) {
    const [whole, block, inline] = match;
    parts.push(...prose(text.slice(end, match.index), names));
    parts.push(block === undefined ? element("code", {}, inline) : element("pre", {}, element("code", {}, block)));
    end = match.index + whole.length;
  }
  parts.push(...prose(text.slice(end), names));
  return parts;
}

const prose = (text, names) =>
  withLinks(text).flatMap((part) => (typeof part === "string" ? withMentions(part, names) : [part]));

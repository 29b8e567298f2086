/** Long messages are folded, so that one message never fills the room; a button unfolds them. */

import { element } from "./dom.js";

// Shorter texts fit into the height of a folded message (style.css) at any width; only longer ones are measured.
const FITTING_CHARS = 300;
const FITTING_LINES = 8;

const sizes = new ResizeObserver((changes) => {
  for (const { target } of changes) {
    const item = target.closest(".folded");
    if (item) item.querySelector(".unfold").hidden = target.scrollHeight <= target.clientHeight + 1;
  }
});

/**
 * @param {HTMLElement} item a message
 * @param {string} text its content
 */
export function fold(item, text) {
  if (text.length <= FITTING_CHARS && text.split("\n", FITTING_LINES + 1).length <= FITTING_LINES) return;
  const content = item.querySelector(".content");
  const button = element("button", { type: "button", class: "unfold", "aria-expanded": "false" }, "Show all");
  item.classList.add("folded");
  content.parentElement.after(button);
  sizes.observe(content);
  button.addEventListener("click", () => {
    const isFolded = item.classList.toggle("folded");
    button.textContent = isFolded ? "Show all" : "Show less";
    button.setAttribute("aria-expanded", String(!isFolded));
    if (isFolded) item.scrollIntoView({ block: "nearest" });
  });
}

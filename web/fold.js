/** Long messages are folded, so that one message never fills the room; a button unfolds them. */

import { element } from "./dom.js";

// Shorter texts fit into the height of a folded message (style.css) at any width; only longer ones are measured.
const FITTING_CHARS = 300;
const FITTING_LINES = 8;

const sizes = new ResizeObserver((changes) => {
  const folded = changes.map(({ target }) => target).filter((content) => content.closest(".folded"));
  // All are read before one is changed: else each reading would lay out the whole list again.
  const fit = folded.map((content) => content.scrollHeight <= content.clientHeight + 1);
  folded.forEach((content, index) => (content.parentElement.nextElementSibling.hidden = fit[index]));
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

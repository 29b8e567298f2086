/** A question with two answers, as a dialog; Escape is a no. */

import { byId } from "./dom.js";

/**
 * @param {{title: string, text: string, yes: string, no: string}} wording
 * @returns {Promise<boolean>}
 */
export function ask({ title, text, yes, no }) {
  const dialog = byId("question");
  const [yesButton, noButton] = dialog.querySelectorAll("button");
  byId("question-title").textContent = title;
  byId("question-text").textContent = text;
  yesButton.textContent = yes;
  noButton.textContent = no;
  dialog.returnValue = "";
  dialog.showModal();
  noButton.focus();
  yesButton.onclick = () => dialog.close("yes");
  noButton.onclick = () => dialog.close();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}

/** A dialog in which users edit or delete a message of theirs. */

import { byId } from "./dom.js";

const UNANSWERED = "The server does not answer. Please try again.";

/**
 * @param {import("./timeline.js").Message} message
 * @param {(event: string, data: object) => Promise<{ok: boolean, error?: {message: string}} | null>} send
 */
export function change({ id, content }, send) {
  const dialog = byId("change");
  const text = byId("change-text");
  const problem = byId("change-problem");
  const request = async (event, data) => {
    const ack = await send(event, { id, ...data });
    if (dialog.dataset.id !== id) return; // closed meanwhile
    if (ack?.ok) dialog.close();
    else problem.textContent = ack?.error.message ?? UNANSWERED;
  };
  dialog.dataset.id = id;
  text.value = content;
  problem.textContent = "";
  dialog.querySelector("form").onsubmit = (event) => {
    event.preventDefault();
    if (text.value !== content) request("edit-message", { content: text.value });
    else dialog.close();
  };
  byId("change-delete").onclick = () => request("delete-message", {});
  byId("change-cancel").onclick = () => dialog.close();
  dialog.onclose = () => {
    delete dialog.dataset.id;
    byId("draft").focus();
  };
  dialog.showModal();
}

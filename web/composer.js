/** Composer: where the user writes. A draft stays when the connection or the sign-in ends. */

const TYPING_MS = 2000;

/**
 * @param {HTMLFormElement} form
 * @param {(text: string) => void} onSay
 * @param {() => void} onTyping at most once in two seconds
 * @returns {(text: string) => void} puts a text before the draft
 */
export function compose(form, onSay, onTyping) {
  const draft = form.querySelector("textarea");
  const hasKeyboard = matchMedia("(pointer: fine)");
  let toldAt = 0;

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    draft.focus();
    if (draft.value.trim() === "") return;
    onSay(draft.value);
    draft.value = "";
    toldAt = 0;
  });
  // Enter sends, and Shift+Enter is a new line; on a touch screen only the button sends.
  draft.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing || !hasKeyboard.matches) return;
    event.preventDefault();
    form.requestSubmit();
  });
  draft.addEventListener("input", () => {
    if (draft.value.trim() === "" || Date.now() - toldAt < TYPING_MS) return;
    toldAt = Date.now();
    onTyping();
  });

  return (text) => {
    draft.value = draft.value === "" ? text : `${text}\n${draft.value}`;
    draft.focus();
  };
}

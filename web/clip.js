/**
 * Marks elements whose text may be painted outside of them: combining marks pile up, and some glyphs are wider than a
 * phone. Only those are clipped, for each clipped element costs time in every frame of scrolling.
 */

// Latin, Greek, Cyrillic, Chinese, Japanese, Korean, punctuation, symbols and emoji keep to their line.
const KEEPS_TO_ITS_LINE =
  /^[\t\n\x20-\x7e\xa0-\u02ff\u0370-\u0482\u048a-\u052f\u2000-\u20cf\u2100-\u2bff\u3000-\u9fff\uac00-\ud7a3\ufe0f\uff01-\uffe6\u{1f1e6}-\u{1faff}]*$/u;

/** @param {...HTMLElement} elements that show `text` */
export function clip(text, ...elements) {
  if (!KEEPS_TO_ITS_LINE.test(text)) for (const element of elements) element.classList.add("clip");
}

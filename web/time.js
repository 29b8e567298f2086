/** Times in the user's own time zone and language. */

const CLOCK = new Intl.DateTimeFormat(undefined, { hour: "numeric", minute: "2-digit" });
const DAY = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long", year: "numeric" });

const WHOLE = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

/** @param {Date} moment */
export const clock = (moment) => CLOCK.format(moment);

/** The local day, as "2026-03-02". */
export const dayKey = (moment) =>
  [moment.getFullYear(), moment.getMonth() + 1, moment.getDate()].map((part) => String(part).padStart(2, "0")).join("-");

/** "Today", "Yesterday", or the whole date. */
export function dayName(moment, now = new Date()) {
  const yesterday = new Date(now.getFullYear(), now.getMonth(), now.getDate() - 1);
  if (dayKey(moment) === dayKey(now)) return "Today";
  if (dayKey(moment) === dayKey(yesterday)) return "Yesterday";
  return DAY.format(moment);
}

/** @param {string | null} until null for never */
export const untilWhen = (until) => (until === null ? "without an end" : `until ${WHOLE.format(new Date(until))}`);

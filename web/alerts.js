/**
 * Alerts: a notification and a sound for messages that come while the user looks elsewhere. Both are off until the user
 * turns them on, and only then the browser asks. With several tabs, one of them alerts, and none if one is being read.
 */

import { keep, lasting } from "./storage.js";
import { isLooking } from "./unread.js";

const NOTES = "chatio.notifications";
const SOUNDS = "chatio.sound";
const WAIT_MS = 400; // for another tab to show the messages and to say so
const MOST_CHARS = 200;
const NOT_ALLOWED = "The browser does not allow notifications of this page. Its settings for this site can change that.";

export class Alerts {
  #audio = null;

  /**
   * Let the user choose.
   * @param {HTMLInputElement} notes a checkbox
   * @param {HTMLInputElement} sounds a checkbox
   * @param {HTMLElement} problem says why there are no notifications
   */
  bind(notes, sounds, problem) {
    notes.checked = this.#notifies;
    sounds.checked = this.#sounds;
    notes.addEventListener("change", async () => {
      const isRefused = notes.checked && (await window.Notification?.requestPermission()) !== "granted";
      if (isRefused) notes.checked = false;
      problem.textContent = isRefused ? NOT_ALLOWED : "";
      remember(NOTES, notes.checked);
    });
    sounds.addEventListener("change", () => {
      remember(SOUNDS, sounds.checked);
      if (sounds.checked) this.#play(); // the user hears what it is
    });
  }

  /**
   * @param {{author_name: string, content: string}[]} messages of others
   * @param {() => boolean} areRead whether another tab has shown them
   */
  came(messages, areRead) {
    if (messages.length === 0 || isLooking() || !(this.#notifies || this.#sounds)) return;
    setTimeout(() => !areRead() && !isLooking() && once(() => this.#alert(messages)), WAIT_MS);
  }

  #alert(messages) {
    if (this.#sounds) this.#play();
    if (this.#notifies) this.#notify(messages);
  }

  get #notifies() {
    return lasting.getItem(NOTES) === "on" && window.Notification?.permission === "granted";
  }

  get #sounds() {
    return lasting.getItem(SOUNDS) === "on";
  }

  #notify(messages) {
    const { author_name, content } = messages.at(-1);
    const others = messages.length > 1 ? ` (and ${messages.length - 1} more)` : "";
    const options = { body: content.slice(0, MOST_CHARS), icon: "/web/icon.svg", tag: "chatio", renotify: true };
    try {
      const note = new Notification(author_name + others, options);
      note.onclick = () => {
        window.focus();
        note.close();
      };
    } catch {
      remember(NOTES, false); // Chrome on Android shows those of installed apps only
    }
  }

  /** Two short tones, made here: there is no file to load. */
  #play() {
    this.#audio ??= new AudioContext();
    const { currentTime, destination } = this.#audio;
    for (const [hertz, start] of [[660, 0], [880, 0.12]]) {
      const tone = new OscillatorNode(this.#audio, { frequency: hertz });
      const volume = new GainNode(this.#audio, { gain: 0.08 });
      volume.gain.setTargetAtTime(0, currentTime + start + 0.06, 0.04);
      tone.connect(volume).connect(destination);
      tone.start(currentTime + start);
      tone.stop(currentTime + start + 0.4);
    }
  }
}

function remember(key, isOn) {
  if (isOn) keep(lasting, key, "on");
  else lasting.removeItem(key);
}

/** Run `action` in one tab of those that would run it now. Without a secure origin there are no locks. */
function once(action) {
  if (!navigator.locks) return action();
  navigator.locks.request("chatio.alert", { ifAvailable: true }, async (lock) => {
    if (lock === null) return;
    action();
    await new Promise((resolve) => setTimeout(resolve, WAIT_MS));
  });
}

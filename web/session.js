/**
 * The user who is signed in.
 *
 * A user who stays signed in has the token in `lasting` storage: a new tab is signed in at once, and the tabs learn of
 * each other's changes by the `storage` event; the token's expiry signs the user out. Else it is in `passing` storage,
 * and ends with its tab. Neither protects from a script that runs in this page: the Content-Security-Policy does.
 */

import { keep, lasting, passing } from "./storage.js";

const KEY = "chatio.token";
const OFFER_SECONDS = 300; // before the end, or half of a shorter life
const LONGEST_TIMER_MS = 3_600_000; // setTimeout overflows after 24 days

/** @typedef {{id: string, name: string, email: string, issuedAt: number, expiresAt: number}} Person times in seconds */

export class Session {
  #storage = passing.getItem(KEY) === null ? lasting : passing;
  #token = this.#storage.getItem(KEY);
  #timer = 0;

  /**
   * @param {(person: Person | null, before: Person | null, isOurs: boolean) => void} onChange `isOurs` is false when
   *   another tab changed the token
   * @param {(person: Person) => void} onEnding the sign-in ends soon; this machine's clock may be wrong about that
   */
  constructor(onChange, onEnding) {
    this.onChange = onChange;
    this.onEnding = onEnding;
    addEventListener("storage", ({ storageArea, key }) => {
      if (storageArea !== this.#storage || (key !== KEY && key !== null)) return;
      this.#change(this.#storage.getItem(KEY), false);
    });
    this.#watch();
  }

  get token() {
    return this.#token;
  }

  /** @returns {Person | null} the claims of the token; only the server can verify them */
  get person() {
    return personIn(this.#token);
  }

  /** Where the token is, and all else that is the user's. */
  get storage() {
    return this.#storage;
  }

  /** Whether the user stays signed in when the tab is closed. */
  get stays() {
    return this.#storage === lasting;
  }

  begin(token, stays) {
    const storage = stays ? lasting : passing;
    if (storage !== this.#storage) this.#storage.removeItem(KEY);
    this.#storage = storage;
    keep(storage, KEY, token);
    this.#change(token, true);
  }

  /** Forget this token, and take over the token of another tab that has signed in since. */
  end() {
    if (this.#storage.getItem(KEY) === this.#token) this.#storage.removeItem(KEY);
    this.#storage = lasting;
    this.#change(lasting.getItem(KEY), true);
  }

  #change(token, isOurs) {
    if (token === this.#token) return;
    const before = this.person;
    this.#token = token;
    this.#watch();
    this.onChange(this.person, before, isOurs);
  }

  #watch() {
    clearTimeout(this.#timer);
    const person = this.person;
    if (person === null) return;
    const offer = Math.min(OFFER_SECONDS, (person.expiresAt - person.issuedAt) / 2);
    const wait = (person.expiresAt - offer) * 1000 - Date.now();
    if (wait > 0) this.#timer = setTimeout(() => this.#watch(), Math.min(wait, LONGEST_TIMER_MS));
    else this.onEnding(person);
  }
}

/** @returns {Person | null} the claims of a JSON Web Token, unverified */
function personIn(token) {
  try {
    const text = atob(token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/"));
    const claims = JSON.parse(new TextDecoder().decode(Uint8Array.from(text, (char) => char.charCodeAt(0))));
    return { id: claims.sub, name: claims.name, email: claims.email, issuedAt: claims.iat, expiresAt: claims.exp };
  } catch {
    return null;
  }
}

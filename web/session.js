/**
 * The user who is signed in, in every tab of this browser.
 *
 * The token lies in localStorage: a new tab is signed in at once, and the tabs learn of each other's changes by the
 * `storage` event. sessionStorage would make every tab a session of its own, and protect from nothing more: a script
 * that runs in this page reads either. The Content-Security-Policy keeps such scripts out. The cost is that closing the
 * browser does not sign the user out; the token's expiry does.
 */

const KEY = "chatio.token";
const OFFER_SECONDS = 300; // before the end, or half of a shorter life
const LONGEST_TIMER_MS = 3_600_000; // setTimeout overflows after 24 days

/** @typedef {{id: string, name: string, email: string, issuedAt: number, expiresAt: number}} Person times in seconds */

export class Session {
  #token = localStorage.getItem(KEY);
  #timer = 0;

  /**
   * @param {(person: Person | null, before: Person | null, isOurs: boolean) => void} onChange `isOurs` is false when
   *   another tab changed the token
   * @param {(person: Person) => void} onEnding the sign-in ends soon; this machine's clock may be wrong about that
   */
  constructor(onChange, onEnding) {
    this.onChange = onChange;
    this.onEnding = onEnding;
    addEventListener("storage", (event) => {
      if (event.key === KEY || event.key === null) this.#change(localStorage.getItem(KEY), false);
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

  begin(token) {
    localStorage.setItem(KEY, token);
    this.#change(token, true);
  }

  /** Forget this token, and take over the token of another tab that has signed in since. */
  end() {
    if (localStorage.getItem(KEY) === this.#token) localStorage.removeItem(KEY);
    this.#change(localStorage.getItem(KEY), true);
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

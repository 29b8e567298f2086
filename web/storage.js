/**
 * What the page keeps in this browser. `lasting` outlives the tab and is common to all tabs; `passing` ends with its
 * tab. Where the browser forbids storage, both keep in memory what is set, until the page is left.
 */

class Memory {
  #kept = new Map();
  isMemory = true;

  getItem = (key) => this.#kept.get(key) ?? null;
  setItem = (key, value) => this.#kept.set(key, value);
  removeItem = (key) => this.#kept.delete(key);
  key = (index) => [...this.#kept.keys()][index] ?? null;

  get length() {
    return this.#kept.size;
  }
}

/** @returns {Storage | Memory} */
function usable(name) {
  try {
    return window[name] ?? new Memory();
  } catch {
    return new Memory();
  }
}

export const lasting = usable("localStorage");
export const passing = usable("sessionStorage");

/** Whether the storage took the value; it may be full. */
export function keep(storage, key, value) {
  try {
    storage.setItem(key, value);
    return true;
  } catch {
    return false;
  }
}

/** @returns {string[]} the keys that begin with `prefix` */
export const keysOf = (storage, prefix) =>
  Array.from({ length: storage.length }, (_, index) => storage.key(index)).filter((key) => key.startsWith(prefix));

/** Where the keys of a person begin. */
export const ownKeys = (personId) => `chatio.${personId}.`;

/** Remove all that is kept for a person. */
export function forgetPerson(storage, personId) {
  for (const key of keysOf(storage, ownKeys(personId))) storage.removeItem(key);
}

/** Elements, made in code: text is only ever text here, and markup is never read from it. */

/** The element of the page with this id; its absence is a defect of index.html. */
export function byId(id) {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`index.html has no #${id}`);
  return found;
}

/**
 * @param {string} tag
 * @param {Record<string, string | boolean | EventListener>} attributes a listener where the name begins with "on"
 * @param {...(Node | string)} children
 */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") made.addEventListener(name.slice(2), value);
    else if (value !== false) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children);
  return made;
}

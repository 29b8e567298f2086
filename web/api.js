/** REST calls. Each returns the server's answer, or throws a `Refusal`. */

/** The server refused, or could not be reached (`status` 0). The message is a sentence for users. */
export class Refusal extends Error {
  /**
   * @param {number} status
   * @param {string} message
   * @param {{field: string, message: string}[]} fields
   * @param {number | null} retryAfterSeconds
   * @param {string | null | undefined} until when a ban ends, null for never
   * @param {string} code
   */
  constructor(status, message, fields = [], retryAfterSeconds = null, until = undefined, code = "") {
    super(message);
    this.status = status;
    this.fields = fields;
    this.retryAfterSeconds = retryAfterSeconds;
    this.until = until;
    this.code = code;
  }
}

export const register = (name, email, password) => call("POST", "/register", { body: { name, email, password } });

/** @returns {Promise<string>} the token */
export const logIn = async (email, password) =>
  (await call("POST", "/login", { body: { email, password } })).token;

/** Set a new password with a code of the operator; every token of the user ends. */
export const resetPassword = (email, code, newPassword) =>
  call("POST", "/user/reset", { body: { email, code, new_password: newPassword } });

/** @returns {Promise<{id: string, name: string, email: string, role: string}>} */
export const whoAmI = (token) => call("GET", "/user", { token });

/** @returns {Promise<{users: {id: string, muted_until: string | null, banned_until: string | null}[]}>} for moderators */
export const usersNamed = (token, name) =>
  call("GET", `/users?${new URLSearchParams({ query: name, limit: "100" })}`, { token });

/** @param {"delete" | "mute" | "kick" | "ban" | "lift"} act */
export const moderate = (token, act, body) => call("POST", `/moderation/${act}`, { token, body });

export const logOut = (token) => call("POST", "/logout", { token });

/** @returns {Promise<{messages: object[], before: string | null}>} newest last; `before` is the offset to ask for next */
export const messagesBefore = (token, offset, limit = 50) =>
  call("GET", `/messages?${new URLSearchParams({ before: offset, limit: String(limit) })}`, { token });

/** @returns {Promise<{online: number, users: {id: string, name: string}[]}>} all of them, whose pages are bounded */
export const online = async (token) => {
  let page = await call("GET", "/users/online", { token });
  const users = [...page.users];
  while (page.after) {
    page = await call("GET", `/users/online?${new URLSearchParams({ after: page.after })}`, { token });
    users.push(...page.users);
  }
  return { online: page.online, users };
};

/** End every token of the user. */
export const changePassword = (token, oldPassword, newPassword) =>
  call("POST", "/user/password", { token, body: { old_password: oldPassword, new_password: newPassword } });

export const logOutEverywhere = (token) => call("DELETE", "/user/sessions", { token });

export const deleteAccount = (token, password, takesMessages) =>
  call("DELETE", "/user", { token, body: { password, messages: takesMessages ? "delete" : "keep" } });

/** All that the server keeps of the user. */
export const exportAccount = (token) => call("GET", "/user/export", { token });

/** Whether this server has that call: its own document says so. */
export const hasExport = async () => "/user/export" in (await call("GET", "/openapi.json")).paths;

/** @returns {Promise<number>} the longest message that the server takes, in code points; its own document says so */
export const messageMaxChars = async () =>
  (await call("GET", "/asyncapi.json")).components.schemas.Draft.properties.content.maxLength;

async function call(method, path, { body = null, token = null } = {}) {
  const headers = method === "GET" ? {} : { "content-type": "application/json" };
  if (token !== null) headers.authorization = `Bearer ${token}`;
  let answer;
  try {
    answer = await fetch(path, { method, headers, body: body && JSON.stringify(body), cache: "no-store" });
  } catch {
    throw new Refusal(0, "The server cannot be reached. Please try again.");
  }
  const said = await answer.json().catch(() => ({}));
  if (answer.ok) return said;
  const wait = Number(answer.headers.get("retry-after"));
  const sentence = said.message || "The server did not understand.";
  throw new Refusal(answer.status, sentence, said.errors, wait > 0 ? wait : null, said.until, said.code);
}

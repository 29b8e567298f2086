/** Puts the page together: the signed-in user, the chat, and the dialog in between. */

import { Account } from "./account.js";
import { Alerts } from "./alerts.js";
import { Announcer } from "./announcer.js";
import { logOut, messageMaxChars } from "./api.js";
import { Chat } from "./chat.js";
import { Composer } from "./composer.js";
import { byId, element } from "./dom.js";
import { avatar } from "./person.js";
import { ask } from "./question.js";
import { Scroller } from "./scroller.js";
import { Session } from "./session.js";
import { SignIn } from "./sign-in.js";
import { Status } from "./status.js";
import { forgetPerson } from "./storage.js";
import { clock, untilWhen } from "./time.js";
import { Unsent } from "./unsent.js";
import { followVisualViewport } from "./viewport.js";

const ELSEWHERE = "You signed out in another tab.";
const REASONS = {
  expired: "Your sign-in has ended. What you typed is still here.",
  signed_out: "You signed out in another tab or on another device.", // in this tab the page has left already
  password_changed: "Your password was changed. Please sign in again.",
  account_deleted: "This account was deleted.",
  kicked: "A moderator has ended your sign-in. You may sign in again.",
  banned: "This account is banned",
  signed_out_everywhere: "You are signed out on every device.",
  refused: "The server does not know your sign-in any more. What you typed is still here.",
};
const STAYS = ["expired", "refused", "password_changed", "kicked"]; // the same user signs in again and goes on
const FORGETS = ["account_deleted", "signed_out_everywhere"]; // what is unsent is kept else

const LOSING = {
  title: "Something is not sent",
  text: "What you wrote and did not send is kept in this browser only. Signing out removes it.",
  yes: "Sign out and remove it",
  no: "Stay",
};

const page = {
  box: byId("scroller"),
  beginning: byId("beginning"),
  messages: byId("messages"),
  pending: byId("pending"),
  typing: byId("typing"),
  people: {
    panel: byId("people"),
    toggle: byId("people-toggle"),
    search: byId("people-search"),
    count: byId("people-count"),
    list: byId("people-list"),
  },
  toNewest: byId("to-newest"),
  status: new Status(byId("status")),
  announcer: new Announcer(byId("announcer")),
  alerts: new Alerts(),
};
page.scroller = new Scroller(page.box, byId("content"));

const { people } = page;

/** @type {Chat | null} */
let chat = null;
/** @type {Unsent | null} */
let unsent = null;

const session = new Session(changed, offerToStay);
const signIn = new SignIn((token, stays) => session.begin(token, session.person ? session.stays : stays), forget);
page.composer = new Composer(byId("composer"), byId("counter"), {
  say: (text) => chat.say(text),
  typing: () => chat.connection.typing(),
  changeNewest: () => chat?.changeNewest(),
  maxChars: messageMaxChars,
});
const account = new Account(session, page.alerts, { signOut, mayLeave, ended });
byId("sign-out").addEventListener("click", signOut);
byId("me").addEventListener("click", () => account.open());
addEventListener("beforeunload", (event) => unsent?.isAtRisk && event.preventDefault());
people.toggle.addEventListener("click", () => showPeople(people.toggle.getAttribute("aria-expanded") !== "true"));
document.addEventListener("pointerdown", ({ target }) => {
  const isOutside = !people.panel.contains(target) && !people.toggle.contains(target);
  if (isOutside && people.panel.classList.contains("open")) showPeople(false);
});
people.panel.addEventListener("keydown", (event) => event.key === "Escape" && showPeople(false));
people.toggle.addEventListener("keydown", (event) => event.key === "Escape" && showPeople(false));

followVisualViewport(document.body);
if (session.person === null) leave("");
else enter(session.person);

/** The token was replaced or removed, in this tab or in another. */
function changed(person, before, isOurs) {
  byId("ending").replaceChildren();
  if (person === null) leave(isOurs ? "" : ELSEWHERE);
  else if (person.id === before?.id && chat !== null) {
    chat.resume();
    signIn.close();
    page.composer.focus();
  } else {
    leave("");
    enter(person);
  }
}

function enter(person) {
  signIn.close();
  byId("me").replaceChildren(avatar(person.id, person.name), element("bdi", {}, person.name));
  byId("me").hidden = false;
  byId("sign-out").hidden = false;
  unsent = new Unsent(session.storage, person.id);
  chat = new Chat(session, unsent, page, (reason, until) => account.expects(reason) || ended(reason, until));
  page.composer.open(unsent);
  unsent.listen({
    onDraft: (text) => page.composer.show(text),
    onRemoved: (id) => chat.outbox.removedElsewhere(id),
  });
}

function leave(notice) {
  chat?.close();
  chat = null;
  unsent?.close();
  unsent = null;
  page.composer.close();
  byId("me").hidden = true;
  account.close();
  byId("sign-out").hidden = true;
  page.status.signedOut();
  signIn.ask("in", notice);
}

async function signOut() {
  if (!(await mayLeave())) return;
  forgetPerson(session.storage, session.person.id);
  forget();
}

async function mayLeave() {
  return unsent.isEmpty || (await ask(LOSING));
}

/** End this sign-in, and leave what is unsent to the same person's next one. */
function forget() {
  const { token } = session;
  if (token !== null) logOut(token).catch(() => {}); // the token expires by itself; this page forgets it in any case
  session.end();
}

/** The server no longer accepts this token; a ban has an end, null for never. */
function ended(reason, until) {
  account.close();
  byId("ending").replaceChildren();
  page.status.signedOut();
  if (STAYS.includes(reason)) signIn.ask("again", REASONS[reason], session.person?.email);
  else {
    if (session.person && FORGETS.includes(reason)) forgetPerson(session.storage, session.person.id);
    session.end();
    const notice = REASONS[reason] ?? "";
    if (session.person === null) leave(reason === "banned" ? `${notice} ${untilWhen(until)}.` : notice);
  }
}

function offerToStay(person) {
  if (person.expiresAt * 1000 < Date.now()) return; // the server will say so
  const ask = () => signIn.ask("renew", "Your password, and you stay signed in.", person.email);
  const button = element("button", { type: "button", onclick: ask }, "Stay signed in");
  const end = clock(new Date(person.expiresAt * 1000));
  byId("ending").replaceChildren(element("p", {}, `Your sign-in ends at ${end}.`), button);
}

function showPeople(isShown) {
  people.toggle.setAttribute("aria-expanded", String(isShown));
  people.panel.classList.toggle("open", isShown);
  if (!isShown) people.toggle.focus();
}

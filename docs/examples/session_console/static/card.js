// One session: its article is made once, and changed when something happens.
import { showQuestion } from "./dialog.js";
import { isAway, onChange } from "./link.js";
import { post } from "./post.js";

const STOP = { starting: "Stop", running: "Stop", waiting: "Stop", stopping: "Force now", failed: "Stop again" };
const LABELS = { waiting: "Waiting for you", exited: "Ended by itself", died: "Agent died" };
const FATES = { already_gone: "already gone", exited: "ended by itself" };
const TICK = 250; // milliseconds
const force = new WeakMap(); // of each card: when force is used, on the clock of this page

export function makeCard(id) {
  const card = document.getElementById("card").content.firstElementChild.cloneNode(true);
  card.id = id;
  const title = card.querySelector(".repository");
  title.id = `title-${id}`;
  card.setAttribute("aria-labelledby", title.id);
  card.querySelector(".stop").addEventListener("click", () =>
    post(`/sessions/${id}/stop`).catch((error) => show(card.querySelector(".message"), error.message)));
  return card;
}

export function showCard(card, session) {
  const part = (name) => card.querySelector(name);
  const focused = card.contains(document.activeElement) ? document.activeElement : null;
  const state = shownState(session);
  card.dataset.state = state;
  part(".state").textContent = label(state);
  part(".repository").textContent = session.repository;
  part(".id").textContent = session.id;
  part(".stubborn").hidden = !session.stubborn;
  part("time").textContent = session.started_at ? `started ${clock(session.started_at)}` : "";
  showStop(part(".stop"), session, state);
  show(part(".result"), session.result && `Result: ${session.result}`);
  show(part(".message"), session.message);
  force.set(card, performance.now() + session.force_in * 1000);
  card.dataset.forced = session.forced;
  card.dataset.left = session.left_behind;
  showCountdown(card);
  showQuestion(part(".dialog"), session);
  part(".tree").replaceChildren(...session.rows.map(row));
  part("table").hidden = !session.rows.length;
  part(".events").replaceChildren(...session.events.map((event) =>
    item(event.name, clock(event.at))));
  showLog(part(".log"), session.log);
  if (focused && !focused.checkVisibility()) card.focus(); // what had the focus is over
}

function shownState(session) {
  if (session.state === "running" && session.question) return "waiting";
  if (session.state === "exited" && session.exit_code < 0) return "died";
  return session.state;
}

export const label = (state) => LABELS[state] ?? state.charAt(0).toUpperCase() + state.slice(1);

function show(paragraph, text) {
  paragraph.hidden = !text;
  paragraph.textContent = text ?? "";
}

function showCountdown(card) {
  const text = card.dataset.state === "stopping" ? countdown(card) : "";
  const paragraph = card.querySelector(".countdown");
  if (paragraph.textContent !== text) show(paragraph, text);
}

function countdown(card) {
  const behind = card.dataset.left === "true";
  const asked = behind
    ? "The agent is gone. What it left behind was asked to exit"
    : "Asked to exit";
  const seconds = Math.ceil((force.get(card) - performance.now()) / 1000);
  if (isAway()) return `${asked}.`; // nothing is known of what followed
  if (card.dataset.forced === "true" || seconds <= 0) return "Force is used until no process is left.";
  const minutes = Math.floor(seconds / 60);
  return `${asked}. Force in ${minutes ? `${minutes} min ` : ""}${seconds % 60} s.`;
}

function showAllCountdowns() {
  document.querySelectorAll(".card").forEach(showCountdown);
}
setInterval(showAllCountdowns, TICK);
onChange(showAllCountdowns);

function showStop(button, session, state) {
  const words = STOP[state];
  const neverStarted = state === "failed" && session.pid === null;
  button.hidden = words === undefined || neverStarted || (state === "stopping" && session.forced);
  if (words === undefined) return;
  button.textContent = words;
  button.dataset.force = state === "stopping";
  button.setAttribute("aria-label", `${words}: ${session.repository}`);
}

function row(process) {
  const made = document.createElement("tr");
  made.dataset.fate = process.fate ?? "alive";
  made.dataset.pid = process.pid;
  const name = cell("name", process.name);
  made.style.setProperty("--depth", process.depth);
  const evidence = cell("evidence", process.evidence.join(", "));
  const outcome = cell("outcome", FATES[process.fate] ?? process.fate ?? "alive");
  if (process.signals.length) outcome.title = process.signals.join(", ");
  if (process.seconds !== null) outcome.append(small(` ${process.seconds.toFixed(2)} s`));
  made.append(name, cell("pid", process.pid), evidence, outcome);
  return made;
}

function cell(kind, text) {
  const made = document.createElement("td");
  made.className = kind;
  if (text !== undefined) {
    const words = document.createElement("span");
    words.textContent = text;
    made.append(words);
  }
  return made;
}

function small(text) {
  const made = document.createElement("small");
  made.textContent = text;
  return made;
}

function item(text, when) {
  const made = document.createElement("li");
  made.append(small(when), ` ${text}`);
  return made;
}

function showLog(list, lines) {
  const following = list.scrollTop + list.clientHeight >= list.scrollHeight - 4;
  list.replaceChildren(...lines.map((line) => {
    const made = document.createElement("li");
    made.textContent = line;
    return made;
  }));
  if (following) list.scrollTop = list.scrollHeight; // after scrolling up, the place stays
}

const clock = (seconds) => new Date(seconds * 1000).toLocaleTimeString([], { hour12: false });

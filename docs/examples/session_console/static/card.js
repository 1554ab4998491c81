// One session: its article is made once, and changed when something happens.
import { showQuestion } from "./dialog.js";
import { post } from "./post.js";

const STOP = { starting: "Stop", running: "Stop", stopping: "Force", failed: "Stop again" };
const FATES = { already_gone: "already gone" };

export function makeCard(id) {
  const card = document.getElementById("card").content.firstElementChild.cloneNode(true);
  card.id = id;
  card.querySelector(".stop").addEventListener("click", () =>
    post(`/sessions/${id}/stop`).catch((error) => showMessage(card, error.message)));
  return card;
}

export function showCard(card, session) {
  const part = (name) => card.querySelector(name);
  card.dataset.state = session.state;
  part(".state").textContent = capital(session.state);
  part(".repository").textContent = session.repository;
  part(".id").textContent = session.id;
  part(".stubborn").hidden = !session.stubborn;
  part("time").textContent = session.started_at ? `started ${clock(session.started_at)}` : "";
  showStop(part(".stop"), session);
  showMessage(card, session.message ?? session.result);
  showQuestion(part(".dialog"), session);
  part(".tree").replaceChildren(...session.rows.map(row));
  part(".events").replaceChildren(...session.events.map((event) =>
    item(event.name, clock(event.at))));
  showLog(part(".log"), session.log);
}

export const capital = (word) => word.charAt(0).toUpperCase() + word.slice(1);

function showMessage(card, text) {
  const message = card.querySelector(".message");
  message.hidden = !text;
  message.textContent = text ?? "";
}

function showStop(button, session) {
  const words = STOP[session.state];
  button.hidden = words === undefined;
  if (words === undefined) return;
  button.textContent = words;
  button.dataset.force = session.state === "stopping";
  button.setAttribute("aria-label", `${words} ${session.repository}`);
}

function row(process) {
  const made = document.createElement("tr");
  made.dataset.fate = process.fate ?? "alive";
  made.dataset.pid = process.pid;
  const name = cell("name", process.name);
  made.style.setProperty("--depth", process.depth);
  const evidence = cell("evidence");
  evidence.append(...process.evidence.map((reason) => chip(reason)));
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

function chip(text) {
  const made = document.createElement("span");
  made.className = "chip";
  made.textContent = text;
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

// The link to the server: one stream of events. While the server is away, no button works.
import { announce } from "./announce.js";

const SILENCE = 8000; // milliseconds; the server sends a beat after two seconds without an event
const RETRY = 1000; // milliseconds; for answers after which the browser does not try again
const WORDS = { connecting: "connecting", live: "live", away: "the server is away" };
const root = document.documentElement;
const changes = [];
let listeners = {};
let stream = null;
let silence = 0;

export const isAway = () => root.dataset.link === "away";

export function onChange(call) {
  changes.push(call);
}

export function connect(given = listeners) {
  listeners = given;
  stream?.close();
  stream = new EventSource("/events");
  for (const name of [...Object.keys(listeners), "beat"]) {
    stream.addEventListener(name, (event) => {
      awaitNext();
      listeners[name]?.(JSON.parse(event.data));
      if (name === "beat") show("live"); // the first one follows the state of every session
    });
  }
  stream.addEventListener("error", () => {
    show("away"); // the browser comes back by itself, but for a refusal
    if (stream.readyState === EventSource.CLOSED) setTimeout(connect, RETRY);
  });
  awaitNext();
}

// A request that fails says it before the stream does.
export function lose() {
  show("away");
  connect();
}

function awaitNext() {
  clearTimeout(silence);
  silence = setTimeout(lose, SILENCE);
}

function show(state) {
  if (root.dataset.link === state) return;
  const wasAway = isAway();
  root.dataset.link = state;
  document.getElementById("link").textContent = WORDS[state];
  document.getElementById("away").hidden = !isAway();
  if (isAway()) announce("The server is away. Nothing can be started, stopped or answered.");
  else if (wasAway) announce("The server is back.");
  // not `disabled`, which would take the focus away
  document.querySelectorAll("button").forEach((button) => button.setAttribute("aria-disabled", isAway()));
  changes.forEach((call) => call());
}

for (const kind of ["click", "submit"]) {
  document.addEventListener(kind, (event) => {
    if (!isAway() || !event.target.closest(kind === "click" ? "button" : "form")) return;
    event.preventDefault();
    event.stopPropagation();
    announce("Not now: the server is away.");
  }, { capture: true });
}

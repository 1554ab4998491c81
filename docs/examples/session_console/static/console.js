// The page: one stream of events brings all changes, the same to each browser.
import { announce } from "./announce.js";
import { label, makeCard, showCard } from "./card.js";
import { connect, isAway, onChange } from "./link.js";
import { post } from "./post.js";

const instance = document.querySelector("meta[name=instance]").content;
const sessions = document.getElementById("sessions");
const form = document.getElementById("new");

function showSession(session) {
  let card = document.getElementById(session.id);
  const before = card?.dataset.state;
  if (card === null) {
    card = makeCard(session.id);
    sessions.prepend(card);
  }
  showCard(card, session);
  const { state } = card.dataset;
  if (state !== before && (before !== undefined || state === "waiting")) {
    const question = state === "waiting" ? `: ${session.question.message}` : "";
    announce(`${session.repository}: ${label(state)}${question}`);
  }
  document.getElementById("empty").hidden = true;
  showTitle();
}

function showTitle() {
  const waiting = sessions.querySelectorAll("[data-state=waiting] .repository");
  const link = document.getElementById("waiting");
  link.hidden = isAway() || !waiting.length;
  link.href = `#${waiting[0]?.closest("article").id}`;
  link.textContent = `${waiting.length} waiting for you`;
  let words = "";
  if (isAway()) words = "Server away - ";
  else if (waiting.length === 1) words = `Waiting for you: ${waiting[0].textContent} - `;
  else if (waiting.length > 1) words = `${waiting.length} agents wait for you - `;
  document.title = `${words}Session console`;
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const refusal = document.getElementById("refusal");
  const given = new FormData(form);
  refusal.hidden = true;
  try {
    await post("/sessions", { repository: given.get("repository"), stubborn: given.get("stubborn") !== "" });
  } catch (error) {
    refusal.textContent = error.message;
    refusal.hidden = false;
  }
});

document.addEventListener("keydown", (event) => {
  const typing = event.target.closest("input:not([type=radio]), textarea, select");
  if (event.key !== "n" || typing || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  document.getElementById("repository").select();
});

onChange(showTitle);
connect({
  hello(server) {
    if (server !== instance) location.reload(); // a new one: the token of this page is not valid
  },
  session: showSession,
});

// The page: one stream of events brings all changes, the same to each browser.
import { capital, makeCard, showCard } from "./card.js";
import { post } from "./post.js";

const instance = document.querySelector("meta[name=instance]").content;
const sessions = document.getElementById("sessions");
const link = document.getElementById("link");
const announcement = document.getElementById("announcement");
const form = document.getElementById("new");

const stream = new EventSource("/events");
stream.addEventListener("open", () => live(true));
stream.addEventListener("error", () => live(false)); // the browser comes back by itself
stream.addEventListener("hello", (event) => {
  // A new server has started: the token of this page is no longer valid.
  if (JSON.parse(event.data) !== instance) location.reload();
});
stream.addEventListener("session", (event) => {
  const session = JSON.parse(event.data);
  let card = document.getElementById(session.id);
  if (card === null) {
    card = makeCard(session.id);
    sessions.prepend(card);
  }
  if (card.dataset.state !== session.state) {
    announcement.textContent = `${session.repository}: ${capital(session.state)}`;
  }
  showCard(card, session);
  document.getElementById("empty").hidden = true;
});

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const refusal = document.getElementById("refusal");
  const given = new FormData(form);
  try {
    await post("/sessions", { repository: given.get("repository"), stubborn: given.get("stubborn") !== "" });
    refusal.hidden = true;
  } catch (error) {
    refusal.textContent = error.message;
    refusal.hidden = false;
  }
});

document.addEventListener("keydown", (event) => {
  const typing = event.target.closest("input, textarea, select");
  if (event.key !== "n" || typing || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  document.getElementById("repository").select();
});

function live(is) {
  link.dataset.live = is;
  link.firstElementChild.textContent = is ? "live" : "the server is away";
}

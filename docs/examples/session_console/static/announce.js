// What a screen reader says: each text once, in order.
const KEPT = 5;
const region = document.getElementById("announcements");

export function announce(text) {
  const made = document.createElement("p");
  made.textContent = text;
  region.append(made);
  while (region.children.length > KEPT) region.firstElementChild.remove();
}

// A form for a question, from the JSON schema that came with it (an elicitation of MCP).
import { post } from "./post.js";

export function showQuestion(form, session) {
  const key = JSON.stringify(session.question);
  if (form.dataset.question === key) return; // it is there, perhaps half filled in
  form.dataset.question = key;
  form.hidden = session.question === null;
  form.replaceChildren();
  if (session.question === null) return;

  const { message, schema } = session.question;
  const title = element("h4", message);
  title.id = `question-${session.id}`;
  form.setAttribute("aria-labelledby", title.id);
  const fields = Object.entries(schema.properties ?? {}).map(([name, property]) =>
    field(session.id, name, property, (schema.required ?? []).includes(name)));
  const decline = element("button", "Decline");
  decline.type = "button";
  decline.addEventListener("click", () => answer(form, session.id, { action: "decline" }));
  const accept = element("button", "Answer");
  accept.className = "primary";
  const actions = element("div");
  actions.className = "actions";
  actions.append(accept, decline);
  form.append(title, ...fields, actions);
  form.onsubmit = (event) => {
    event.preventDefault();
    answer(form, session.id, { action: "accept", content: content(form, schema) });
  };
}

async function answer(form, id, body) {
  const buttons = form.querySelectorAll("button");
  const enable = (enabled) => buttons.forEach((button) => { button.disabled = !enabled; });
  form.querySelector(".refusal")?.remove();
  enable(false); // until the next state of the session
  try {
    if (!await post(`/sessions/${id}/answer`, body)) enable(true);
  } catch (error) {
    const refusal = element("p", error.message);
    refusal.className = "refusal";
    refusal.setAttribute("role", "alert");
    form.append(refusal);
    enable(true);
  }
}

function content(form, schema) {
  const given = new FormData(form);
  const found = {};
  for (const [name, property] of Object.entries(schema.properties ?? {})) {
    const value = given.get(name);
    if (property.type === "boolean") found[name] = value !== null;
    else if (property.type === "number" || property.type === "integer") {
      if (value !== "") found[name] = Number(value);
    } else if (value !== null) found[name] = value;
  }
  return found;
}

function field(id, name, property, required) {
  const words = property.title ?? name;
  if (property.enum === undefined) {
    const types = { boolean: "checkbox", integer: "number", number: "number" };
    return labelled(words, input(types[property.type] ?? "text", name, required));
  }
  const group = element("fieldset");
  group.append(element("legend", words));
  for (const value of property.enum) {
    const radio = input("radio", name, required);
    radio.value = value;
    const label = element("label");
    label.className = "choice";
    label.append(radio, element("span", value));
    group.append(label);
  }
  return group;
}

function labelled(words, control) {
  const label = element("label");
  label.append(element("span", words), control);
  return label;
}

function input(type, name, required) {
  const control = element("input");
  Object.assign(control, { type, name, required: required && type !== "checkbox" });
  return control;
}

function element(name, text) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  return made;
}

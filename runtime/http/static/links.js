"use strict";
// What the link of a mail does: its purpose and its token are in the fragment, which no server ever sees. Nothing happens
// before somebody presses the button: programs that look at mails follow links as well.

const LINKS = {
  "verify-email": { call: "verify-email", label: "Confirm my address", done: "Your address is confirmed." },
  "confirm-email": { call: "confirm-email", label: "This is my new address", done: "This is your address now." },
  "take-back-email": { call: "take-back-email", label: "Take the change back", done: "Your address stays what it was." },
  "reset-password": { call: "reset-password", label: "Set this password", done: "Sign in with your new password." },
  "invite": { call: "register", label: "Make my account", done: "Welcome. You can sign in now." },
};

const [purpose, token] = location.hash.slice(1).split("=");
const link = Object.hasOwn(LINKS, purpose) && token ? LINKS[purpose] : null;
const form = document.getElementById("form");
const message = document.getElementById("message");

function show(name) {
  for (const label of form.querySelectorAll("label")) {
    if (label.dataset.for.split(" ").includes(name)) label.hidden = false;
  }
}

function body() {
  const fields = { [purpose === "invite" ? "invite" : "token"]: token };
  for (const input of form.querySelectorAll("label:not([hidden]) input")) fields[input.name] = input.value;
  return fields;
}

async function submit(event) {
  event.preventDefault();
  const answer = await fetch(`/api/v1/auth/${link.call}`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body()),
  });
  if (answer.ok) {
    form.hidden = true;
    message.textContent = link.done;
    return;
  }
  const problem = await answer.json();
  if (problem.code === "totp_required") show("code");
  message.textContent = problem.detail;
}

if (link) {
  history.replaceState(null, "", location.pathname);  // not for whoever uses this browser next
  for (const label of form.querySelectorAll("label")) label.hidden = true;
  show(link.call);
  form.querySelector("button").textContent = link.label;
  message.textContent = "";
  form.hidden = false;
  form.addEventListener("submit", submit);
}

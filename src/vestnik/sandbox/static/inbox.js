// Keeps the inbox page current. All that came from outside is set as text, never as markup.
"use strict";

const body = document.body;
const list = document.getElementById("arrivals");
const blank = document.getElementById("arrival");
const only = body.dataset.only;
const shown = Number(body.dataset.shown);
let lastId = body.dataset.eventId;

function field(card, name) {
  return card.querySelector(`[data-field="${name}"]`);
}

function showTime(element) {
  const at = new Date(element.dateTime);
  const today = at.toDateString() === new Date().toDateString();
  const time = at.toLocaleTimeString([], { hourCycle: "h23" });
  element.textContent = today ? time : `${at.toLocaleDateString()} ${time}`;
  element.title = `${element.dateTime}, here ${at.toLocaleDateString()} ${time}`;
}

function addDetail(details, name, value) {
  const row = document.createElement("div");
  for (const [kind, text] of [["dt", name], ["dd", value]]) {
    const cell = document.createElement(kind);
    cell.textContent = text;
    row.append(cell);
  }
  details.append(row);
}

function cardOf(arrival) {
  const card = blank.content.firstElementChild.cloneNode(true);
  card.dataset.number = arrival.number;
  for (const name of ["far_side", "recipient", "number", "text"]) {
    field(card, name).textContent = arrival[name];
  }
  field(card, "subject").textContent = arrival.subject ?? "";
  field(card, "subject").hidden = !arrival.subject;
  field(card, "more").textContent = `${arrival.more} more characters, in GET /inbox`;
  field(card, "more").hidden = !arrival.more;
  field(card, "arrived_at").dateTime = arrival.arrived_at;
  showTime(field(card, "arrived_at"));
  const details = field(card, "details");
  if (arrival.reference) addDetail(details, "reference", arrival.reference);
  for (const [name, value] of Object.entries(arrival.details)) addDetail(details, name, value);
  card.classList.add("new");
  return card;
}

function showArrivals(update) {
  const sameRun = lastId.startsWith(`${update.run}.`);
  for (const card of [...list.children]) {
    if (!sameRun || Number(card.dataset.number) < update.oldest) card.remove();
  }
  const known = Number(list.firstElementChild?.dataset.number ?? 0);
  const newer = update.arrivals.filter((a) => a.number > known && (!only || a.far_side === only));
  for (const arrival of newer) list.prepend(cardOf(arrival));
  while (list.children.length > shown) list.lastElementChild.remove();
  if (newer.length) announce(newer);
}

function announce(newer) {
  const last = newer[newer.length - 1];
  const text = newer.length === 1 ? `New message at ${last.far_side} for ${last.recipient}` : `${newer.length} new messages`;
  document.getElementById("announcement").textContent = text;
}

function showFarSide(farSide) {
  const form = document.querySelector(`form[data-name="${CSS.escape(farSide.name)}"]`);
  form.dataset.fault = farSide.fault;
  form.querySelector("[data-count]").textContent = farSide.given ?? farSide.arrived;
  const filter = document.querySelector(`[data-count-of="${CSS.escape(farSide.name)}"]`);
  if (filter) filter.textContent = farSide.arrived;
  for (const button of form.querySelectorAll("button")) {
    const on = button.value === farSide.fault;
    button.setAttribute("aria-pressed", String(on));
    if (on) form.querySelector("[data-explanation]").textContent = button.title;
    if (on) bringIntoView(button);
  }
}

// On a phone the switches are one row that scrolls sideways; `scrollIntoView` would move the page as well.
function bringIntoView(button) {
  const row = button.parentElement;
  const start = button.offsetLeft - row.offsetLeft - 16;
  const end = button.offsetLeft - row.offsetLeft + button.offsetWidth + 16 - row.clientWidth;
  if (start < row.scrollLeft) row.scrollLeft = start;
  else if (end > row.scrollLeft) row.scrollLeft = end;
}

function showStream(state, text) {
  document.getElementById("stream").dataset.state = state;
  const words = document.getElementById("stream-text");
  if (words.textContent !== text) words.textContent = text;
}

function showTrouble(text) {
  const trouble = document.getElementById("trouble");
  trouble.textContent = text;
  trouble.hidden = !text;
}

function follow() {
  const source = new EventSource(`/events?after=${encodeURIComponent(lastId)}`);
  source.onopen = () => showStream("live", "live");
  source.onmessage = (event) => {
    const update = JSON.parse(event.data);
    showArrivals(update);
    update.far_sides.forEach(showFarSide);
    document.querySelector('[data-count-of=""]').textContent = update.far_sides.reduce((sum, f) => sum + f.arrived, 0);
    lastId = event.lastEventId;
  };
  source.onerror = () => {
    showStream("lost", "reconnecting…");
    // A browser reconnects by itself, except when it took the answer for final.
    if (source.readyState === EventSource.CLOSED) setTimeout(follow, 2000);
  };
}

async function change(method, path, content) {
  try {
    const answer = await fetch(path, { method, body: content && JSON.stringify(content) });
    const refusal = answer.ok ? "" : (await answer.json()).description;
    showTrouble(refusal && `Not done: ${refusal}`);
  } catch {
    showTrouble("Not done: the daemon does not answer. Is it still running?");
  }
}

document.addEventListener("submit", (event) => {
  event.preventDefault();
  const form = event.target;
  if (form.id === "clear") change("DELETE", "/inbox");
  else change("PUT", form.getAttribute("action"), { fault: event.submitter.value });
});

document.querySelectorAll("time").forEach(showTime);
follow();

// Topics that are heard and give no row: each may be put into the form, to see why.

import { get, repeated } from "./api.js";
import { byId, el, keyed, note, setText } from "./dom.js";
import { bytes, count, counted, instant, setAge } from "./format.js";
import { putIntoForm } from "./explain.js";

const REASONS = {
  unmapped: "no mapping takes it",
  empty: "nothing in it has a value",
  retained: "retained, and the mapping skips those",
  status: "says that an Amber is there",
  expired: "older than the retention of its measurement",
};

let active = false;
let stop = null;
let total = null;

const reading = repeated(3000, async () => {
  if (!active) return;
  try {
    show(await get("/api/ignored", {}, stop.signal));
  } catch (error) {
    if (error.name !== "AbortError") note(byId("ignored-note"), "bad", el("p", {}, `The ignored topics cannot be read: ${error.message}`));
  }
});

function show({ topics, others, since }) {
  const place = byId("ignored-note");
  if (topics.length === 0) {
    note(place, "empty", el("p", {}, "None: every message that comes gives rows, or is a reject. Amber only hears the topics that its mappings subscribe to; ",
      el("code", {}, "amber discover"), " listens to all."));
    byId("ignored-list").replaceChildren();
    return;
  }
  const unmapped = topics.filter((it) => it.reason === "unmapped").length;
  note(place, "empty",
    unmapped > 0 ? el("p", {}, `${counted(unmapped, "topic is", "topics are")} heard that no mapping takes. `, el("code", {}, "amber discover"), " proposes a mapping for what it hears.") : null,
    el("p.hint", {}, since === null ? "" : `Counted since ${instant(since)}.`, others > 0 ? ` ${counted(others, "more message", "more messages")} of topics that are not listed.` : ""));
  if (byId("ignored-list").firstElementChild === null) {
    byId("ignored-list").append(el("div.scroll", {}, el("table.cards", {},
      el("thead", {}, el("tr", {}, ["topic", "why", "messages", "last", "payload", ""].map((it) => el("th", { scope: "col" }, it === "" ? el("span.unseen", {}, "action") : it)))),
      el("tbody"))));
  }
  keyed(byId("ignored-list").querySelector("tbody"), topics, (it) => `${it.reason} ${it.topic}`, make, update);
}

function make(it) {
  const row = el("tr", { "data-topic": it.topic },
    el("th", { scope: "row" }, el("code.topic", {}, it.topic)),
    el("td", {}, REASONS[it.reason] ?? it.reason),
    el("td.number", { "data-label": "messages" }, el("span.count")),
    el("td.when", {}, el("span.age")),
    el("td.payload-cell", {}, el("code.short"), el("span.hint")),
    el("td", {}, el("button.to-form", { type: "button", onclick: () => putIntoForm({ topic: it.topic, ...row.message }) }, "Explain")));
  return row;
}

function update(row, it) {
  row.message = { payload: it.payload ?? "", payload_base64: it.payload_base64, partial: it.cut };
  setText(row.querySelector(".hint"), it.payload === null && it.payload_bytes > 0 ? `${bytes(it.payload_bytes)}, no text` : it.cut ? `of ${bytes(it.payload_bytes)}` : "");
  setText(row.querySelector(".count"), count(it.count));
  setAge(row.querySelector(".age"), it.last_at);
  setText(row.querySelector(".short"), it.payload ?? "");
}

export const ignoredView = {
  enter() {
    active = true;
    stop?.abort();
    stop = new AbortController();
    reading.now();
  },
  leave() {
    active = false;
    stop?.abort();
  },
  live(state) {
    if (state.totals.ignored === total) return;
    const first = total === null;
    total = state.totals.ignored;
    if (!first) reading.ask();
  },
};

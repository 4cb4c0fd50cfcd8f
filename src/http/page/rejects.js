// Rejects: how many by reason and mapping, then one by one with the raw payload and what today's mapping says of it.

import { get, repeated } from "./api.js";
import { answerElement } from "./answer.js";
import { byId, el, keyed, note, setText } from "./dom.js";
import { count, counted, instant, setAge, utc } from "./format.js";
import { putIntoForm } from "./explain.js";
import { payloadElement } from "./payload.js";
import { amend } from "./route.js";

const PAGE = 20;

/** What each reason means, as docs/mapping.md has it. */
const REASONS = {
  topic: "the topic name is not UTF-8",
  too_large: "longer than [broker] max_payload",
  payload: "the payload is not of the mapping's format",
  time: "the time is unreadable, or outside its bounds",
  tag: "a tag is unreadable, too long, or required and absent",
  field: "every field is unreadable, or a required one is absent",
  unstorable: "readable, but no store can hold it",
  too_many_rows: "more rows than one message may give",
  too_many_series: "a new series, and the measurement has as many as max_series allows",
  refused: "the database refused the row",
};

let active = false;
let stop = null;
let asked = { reason: "", mapping: "" };
let list = [];
let more = false;
let counts = [];
/** Whether the counts are of all that there are; more than can be counted in time are counted up to a point. */
let countedAll = true;
let total = null;
/** Rejects that the server has and the list does not show yet. */
let waiting = null;

function ask(before) {
  return get("/api/rejects", { ...asked, before, limit: PAGE }, stop.signal);
}

function failed(error) {
  if (error.name !== "AbortError") note(byId("rejects-note"), "bad", el("p", {}, `The rejects cannot be read: ${error.message}`));
}

const reading = repeated(3000, async () => {
  if (!active) return;
  try {
    const answer = await ask(null);
    counts = answer.counts;
    countedAll = answer.counted_all !== false;
    const isFirst = list.length === 0;
    // Somebody may be reading: what is new waits for a click, so that nothing moves under their eyes.
    if (isFirst) {
      list = answer.rejects;
      more = answer.more;
      waiting = null;
    } else if (answer.rejects.length > 0 && answer.rejects[0].id !== list[0].id) {
      waiting = answer;
    }
    show();
  } catch (error) {
    failed(error);
  }
});

function show() {
  note(byId("rejects-note"), "empty");
  const chips = [{ reason: "", mapping: "", count: counts.reduce((sum, it) => sum + it.count, 0), last_at: null }, ...counts];
  keyed(byId("rejects-counts"), counts.length === 0 ? [] : chips, (it) => `${it.reason} ${it.mapping ?? ""}`, (it) => {
    return el("button.chip", {
      type: "button", "data-reason": it.reason, "data-mapping": it.mapping ?? "", title: REASONS[it.reason] ?? null,
      onclick: () => amend({ reason: it.reason, mapping: it.mapping }, { step: true }),
    }, el("span.name", {}, it.reason === "" ? "All" : it.reason.replaceAll("_", " "), it.mapping ? ` · ${it.mapping}` : ""), " ", el("span.count"), " ", it.last_at === null ? null : el("small.age"));
  }, (button, it) => {
    setText(button.querySelector(".count"), `${count(it.count)}${countedAll ? "" : " of the newest"}`);
    if (it.last_at !== null) setAge(button.querySelector(".age"), it.last_at);
    button.setAttribute("aria-pressed", String(it.reason === asked.reason && (it.mapping ?? "") === asked.mapping));
  });
  keyed(byId("rejects-list"), list, (it) => it.id, make);
  byId("rejects-more").hidden = !more;
  const fresh = byId("rejects-new");
  const news = waiting === null ? 0 : waiting.rejects.filter((it) => it.id > list[0].id).length;
  fresh.hidden = news === 0;
  setText(fresh, news >= PAGE ? `${count(news)} or more new rejects: show them` : `${counted(news, "new reject")}: show ${news === 1 ? "it" : "them"}`);
  if (list.length === 0) {
    note(byId("rejects-note"), "empty", el("p", {}, asked.reason === "" && asked.mapping === ""
      ? "No rejects: every message that a mapping takes became rows."
      : "No rejects of this reason and mapping."));
  }
}

function make(it) {
  const answer = el("div.place", { "aria-live": "polite" });
  const explain = el("button.explain", { type: "button" }, "What does today's mapping say?");
  explain.addEventListener("click", async () => {
    explain.disabled = true;
    try {
      answer.replaceChildren(answerElement(await get(`/api/rejects/${it.id}/explain`)));
    } catch (error) {
      note(answer, "bad", el("p", {}, error.message));
    }
    explain.disabled = false;
  });
  const toForm = el("button.to-form", {
    type: "button",
    onclick: () => putIntoForm({ topic: it.topic, payload: it.payload, payload_base64: it.payload_base64, retain: it.retain, partial: it.cut }),
  }, "Put into the form");
  return el("article.card", { "data-reject": it.id },
    el("h3", {}, el("span.badge.bad", { title: REASONS[it.reason] ?? null }, it.reason.replaceAll("_", " ")), " ", el("code.topic", {}, it.topic)),
    el("p.hint", {}, el("time", { datetime: new Date(it.received_at).toISOString(), title: utc(it.received_at) }, instant(it.received_at)),
      it.mapping ? [" · mapping ", el("a", { href: "#mapping" }, it.mapping)] : " · no mapping"),
    el("p.detail", {}, it.detail),
    payloadElement(it),
    el("div.row", {}, explain, toForm),
    answer);
}

byId("rejects-new").addEventListener("click", () => {
  const newest = list[0].id;
  const oldest = waiting.rejects[waiting.rejects.length - 1].id;
  // A gap between what is new and what is shown: begin anew.
  list = oldest > newest ? waiting.rejects : [...waiting.rejects.filter((it) => it.id > newest), ...list];
  more ||= waiting.more;
  waiting = null;
  show();
  byId("rejects-list").querySelector("button")?.focus({ preventScroll: true });
});

byId("rejects-more").addEventListener("click", async () => {
  try {
    const answer = await ask(list[list.length - 1].id);
    list = [...list, ...answer.rejects];
    more = answer.more;
    show();
  } catch (error) {
    failed(error);
  }
});

export const rejectsView = {
  enter(route) {
    const next = { reason: route.get("reason") ?? "", mapping: route.get("mapping") ?? "" };
    if (next.reason !== asked.reason || next.mapping !== asked.mapping) {
      list = [];
      byId("rejects-list").replaceChildren();
    }
    asked = next;
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
    if (state.totals.rejects === total) return;
    const first = total === null;
    total = state.totals.rejects;
    if (!first) reading.ask();
  },
  forget() {
    list = [];
    waiting = null;
    byId("rejects-list").replaceChildren();
  },
};

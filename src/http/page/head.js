// What stands above the views: the state of broker and store, what is amiss, the rates and their plots.

import { byId, el, icon, keyed, setText } from "./dom.js";
import { bytes, count, lag, many, now, rate, span } from "./format.js";
import { ratePlot } from "./plot.js";

/** So much is plotted. */
const WINDOW_S = 300;

const WORDS = { up: "up", starting: "starting", away: "away", standing: "needs you" };
const ICONS = { up: "up", starting: "starting", away: "away", standing: "standing" };

let state = null;
let lost_at = null;
let lost_why = null;

// ---- State ----

function setCondition(id, condition, word, title) {
  const element = byId(id);
  setText(element.querySelector(".word"), word);
  element.title = title ?? "";
  if (element.dataset.condition === condition) return false;
  element.dataset.condition = condition;
  element.querySelector("svg").replaceWith(icon(ICONS[condition]));
  return true;
}

/** Tells a screen reader, once for each change. */
function announce(text) {
  setText(byId("announce"), text);
}

function tell() {
  if (lost_at !== null) {
    announce(`Not connected to Amber since ${clockTime(lost_at)}.`);
    document.title = "⚠ not connected · Amber";
    return;
  }
  const { broker, store } = state;
  announce(`Broker ${WORDS[broker.condition]}, store ${WORDS[store.condition]}.`);
  const bad = [["broker", broker], ["store", store]].filter(([, side]) => ["away", "standing"].includes(side.condition));
  document.title = bad.length === 0 ? "Amber" : `⚠ ${bad.map(([name, side]) => `${name} ${WORDS[side.condition]}`).join(", ")} · Amber`;
}

export function showConnection(since, why = null) {
  if (since === lost_at && why === lost_why && byId("state-page").dataset.condition !== "starting") return;
  lost_at = since;
  lost_why = why;
  if (since === null) {
    setCondition("state-page", "up", "live", "The page gets its news from Amber.");
  } else {
    setCondition("state-page", "away", `not connected since ${clockTime(since)}`, "Amber does not answer.");
    tell();
  }
  document.body.classList.toggle("lost", since !== null);
  showBanners();
}

/** By the browser's own clock: that of Amber is not heard any more. */
function clockTime(at_ms) {
  return new Date(at_ms).toLocaleTimeString();
}

function banners() {
  const list = [];
  if (lost_at !== null) {
    list.push({
      key: "page", kind: "bad", icon: "away",
      title: `Not connected since ${clockTime(lost_at)}`,
      lines: [
        lost_why ?? "Amber does not answer.",
        "What is shown is from then. The page asks again every two seconds and goes on by itself.",
      ],
    });
  }
  if (state === null) return list;
  for (const [name, side] of [["Broker", state.broker], ["Store", state.store]]) {
    if (side.condition !== "away" && side.condition !== "standing") continue;
    const title = side.condition === "away" ? `${name} is away; Amber tries again by itself` : `${name}: a person must act`;
    list.push({ key: name.toLowerCase(), kind: side.condition === "away" ? "warn" : "bad", icon: side.condition, title, lines: side.why ? [side.why] : [] });
  }
  const files = state.files ?? {};
  if (files.refused?.length > 0) {
    list.push({
      key: "refused", kind: "bad", icon: "standing", code: true,
      title: "The configuration on disk is refused; the one before it keeps running", lines: files.refused,
    });
  }
  if (files.waits) list.push({ key: "waits", kind: "warn", icon: "starting", title: "The configuration on disk waits to be applied", lines: [files.waits] });
  if (files.cut_off?.length > 0) {
    list.push({
      key: "cut_off", kind: "warn", icon: "away", title: "A mounted file was replaced outside, and its mount shows the old one",
      lines: files.cut_off.map((file) => `${file}: edits of it are not seen; restart the container, or mount the folder instead of the file`),
    });
  }
  if (files.after_restart?.length > 0) {
    list.push({ key: "after_restart", kind: "hint", icon: "starting", title: "Changed on disk, and in effect after a restart", lines: [files.after_restart.join(", ")] });
  }
  return list;
}

function showBanners() {
  keyed(byId("banners"), banners(), (banner) => banner.key, (banner) => {
    return el("div.banner", { "data-banner": banner.key }, icon(banner.icon), el("div", {}, el("b"), el("ul")));
  }, (element, banner) => {
    element.className = `banner ${banner.kind}`;
    setText(element.querySelector("b"), banner.title);
    keyed(element.querySelector("ul"), banner.lines, (line) => line, (line) => el("li", {}, banner.code ? el("code", {}, line) : line));
  });
}

// ---- Figures ----

function share(perSecond) {
  return perSecond > 0 ? `${rate(perSecond)} a second` : "";
}

export function showState(next) {
  const first = state === null;
  state = next;
  const { broker, store, totals, per_second, in_hand } = state;
  const changed = [
    setCondition("state-broker", broker.condition, WORDS[broker.condition] ?? broker.condition, broker.why),
    setCondition("state-store", store.condition, WORDS[store.condition] ?? store.condition, store.why),
  ];
  setText(byId("state-store").querySelector(".of"), { sqlite: "SQLite", postgres: "PostgreSQL" }[store.kind] ?? "Store");
  if (first || changed.includes(true) || document.title.includes("not connected")) tell();

  setText(byId("version"), state.version);
  byId("logout").hidden = !state.asks_token;
  setText(byId("figure-messages"), rate(per_second.messages));
  setText(byId("figure-rows"), rate(per_second.rows));
  setText(byId("figure-lag"), lag(state.lag_ms));
  setText(byId("figure-rejects"), count(totals.rejects));
  setText(byId("figure-ignored"), count(totals.ignored));
  setText(byId("figure-dropped"), count(totals.dropped));
  setText(byId("total-messages"), `${many(totals.messages)} in all`);
  setText(byId("total-rows"), `${many(totals.rows)} in all`);
  setText(byId("in-hand"), in_hand.messages > 0 ? `${count(in_hand.messages)} in hand, ${bytes(in_hand.bytes)}` : "nothing waits");
  setText(byId("rate-rejects"), share(per_second.rejects));
  setText(byId("rate-ignored"), share(per_second.ignored));
  const reasons = Object.entries(state.dropped_by_reason ?? {}).filter(([, number]) => number > 0);
  setText(byId("rate-dropped"), reasons.map(([reason, number]) => `${reason.replaceAll("_", " ")} ${count(number)}`).join(", "));
  setText(byId("count-rejects"), totals.rejects > 0 ? count(totals.rejects) : "");
  setText(byId("count-ignored"), totals.ignored > 0 ? count(totals.ignored) : "");
  byId("figure-rejects").classList.toggle("bad", per_second.rejects > 0);
  byId("figure-dropped").classList.toggle("bad", totals.dropped > 0);

  showBanners();
  push(Math.round(state.now / 1000), per_second.rows, per_second.messages, state.lag_ms ?? null);
  tickHead();
}

export function tickHead() {
  if (state !== null) setText(byId("uptime"), `up ${span((now() - state.started_at) / 1000)}`);
}

// ---- Plots ----

let times = [];
let rows = [];
let messages = [];
let lags = [];
let throughput = null;
let lagged = null;

/** What was before the page was opened. */
export function showRates(rates) {
  times = rates.times.map((at) => Math.round(at));
  rows = rates.rows;
  messages = rates.messages;
  lags = rates.lag_ms ?? times.map(() => null);
  draw();
}

function push(at, ...values) {
  if (times.length > 0 && at <= times[times.length - 1]) return;
  times.push(at);
  [rows, messages, lags].forEach((list, index) => list.push(values[index]));
  while (times[0] < at - WINDOW_S) [times, rows, messages, lags].forEach((list) => list.shift());
  draw();
}

function draw() {
  throughput ??= ratePlot(byId("plot-throughput"), [
    { name: "--plot", fill: "--plot-band" }, { name: "--plot-other", fill: null },
  ], (at) => rate(at));
  lagged ??= ratePlot(byId("plot-lag"), [{ name: "--plot", fill: "--plot-band" }], (at) => lag(at));
  const end = times[times.length - 1] ?? now() / 1000;
  byId("plot-throughput").range_s = byId("plot-lag").range_s = [end - WINDOW_S, end];
  throughput.setData([times, rows, messages]);
  lagged.setData([times, lags]);
}

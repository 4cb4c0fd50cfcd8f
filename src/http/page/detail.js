// The plot of one series in a dialog: a field over a chosen range, read from the store at as many points as can be seen.

import { get, repeated } from "./api.js";
import { byId, el, keyed, note, setText } from "./dom.js";
import { average, count, counted, instant, now, span, utc, value, withUnit } from "./format.js";
import { fieldsOf, isPlotted, measurement, measurements, readMeasurements } from "./measurements.js";
import { destroy, rangePlot } from "./plot.js";
import { amend } from "./route.js";
import { tagsText } from "./series.js";

const MINUTE_MS = 60_000;
const RANGES = [
  ["15m", "15 min", 15 * MINUTE_MS], ["1h", "1 h", 60 * MINUTE_MS], ["6h", "6 h", 360 * MINUTE_MS],
  ["24h", "24 h", 1440 * MINUTE_MS], ["7d", "7 d", 7 * 1440 * MINUTE_MS], ["30d", "30 d", 30 * 1440 * MINUTE_MS],
];
const DEFAULT_RANGE = "15m";
const SHORTEST_MS = 1000;
const LIVE_EVERY_MS = 5000;

const LOOK_CLOSER = "Drag over the plot to look closer, or use + and −.";

const dialog = byId("series-dialog");

let opened = null; // "MEASUREMENT/ID"
let series = null;
let field = null;
let range = { name: DEFAULT_RANGE, from: null, to: null };
let answer = null;
let plot = null;
let plotted = null;
let stop = null;
let read_at = 0;
let written = null;

const CLOSED = { open: null, device: null, field: null, range: null, from: null, to: null };

// ---- Range ----

function length_ms() {
  return RANGES.find(([name]) => name === range.name)?.[2] ?? range.to - range.from;
}

/**
 * From and to as they are now: a range with a name ends now. The shortest one begins no earlier than the device, so that
 * a new one fills its plot.
 */
function bounds() {
  if (range.name === "own") return [range.from, range.to];
  const young = range.name === DEFAULT_RANGE && series?.first_seen ? now() - series.first_seen : Infinity;
  return [now() - Math.max(MINUTE_MS, Math.min(length_ms(), young)), now()];
}

function look(from, to) {
  const end = Math.min(Math.round(to), Math.round(now()));
  amend({ range: "own", from: Math.min(Math.round(from), end - SHORTEST_MS), to: end }, { step: true });
}

function resize(factor) {
  const [from, to] = bounds();
  const middle = (from + to) / 2;
  const half = Math.max(((to - from) * factor) / 2, SHORTEST_MS / 2);
  look(middle - half, middle + half);
}

function move(part) {
  const [from, to] = bounds();
  const by = Math.min((to - from) * part, now() - to);
  look(from + by, to + by);
}

// ---- Reading ----

const reading = repeated(LIVE_EVERY_MS, async () => {
  if (opened === null || series === null || field === null) return;
  const { signal } = stop;
  // As many points as there are pixels to draw them.
  const points = Math.max(60, Math.min(1000, Math.floor(byId("detail-plot").clientWidth / 2)));
  const [from, to] = bounds();
  read_at = performance.now();
  try {
    answer = await get("/api/history", {
      measurement: series.measurement, series: series.id, fields: field.name,
      from: Math.round(from), to: Math.round(to), points,
    }, signal);
    note(byId("detail-note"), "bad");
    show();
  } catch (error) {
    if (error.name === "AbortError") return;
    note(byId("detail-note"), "bad", el("p", {}, `The values cannot be read: ${error.message}`));
  }
});

/** A deep link names the series; what is to be known of it is asked for. */
async function find(key, device) {
  const at = key.lastIndexOf("/");
  const [name, id] = [key.slice(0, at), Number(key.slice(at + 1))];
  const found = await get("/api/series", { measurement: name, search: device, limit: 200 }, stop.signal);
  return found.series.find((it) => it.id === id) ?? null;
}

async function load(key, device) {
  stop?.abort();
  stop = new AbortController();
  series = null;
  answer = null;
  field = null;
  dialog.classList.add("absent");
  setText(byId("detail-title"), device);
  setText(byId("detail-about"), "");
  byId("detail-fields").replaceChildren();
  byId("detail-others").replaceChildren();
  clear();
  try {
    if (measurements().length === 0) await readMeasurements();
    const found = await find(key, device);
    if (opened !== key) return;
    if (found === null) {
      note(byId("detail-note"), "empty", el("p", {}, `There is no series ${key} in the store (any more).`));
      return;
    }
    series = found;
    dialog.classList.remove("absent");
  } catch (error) {
    if (error.name !== "AbortError") note(byId("detail-note"), "bad", el("p", {}, `The series cannot be read: ${error.message}`));
  }
}

// ---- Showing ----

function clear() {
  if (plot !== null) destroy(plot, byId("detail-plot"));
  plot = null;
  plotted = null;
  setText(byId("detail-summary"), "");
  setText(byId("detail-readout"), "");
  byId("detail-table").replaceChildren();
}

function showSeries(wanted) {
  const tags = tagsText(series);
  setText(byId("detail-title"), series.device === "" ? series.measurement : series.device);
  const facts = [
    series.measurement, tags === "" ? null : tags,
    series.last_seen === null ? null : `last heard ${instant(series.last_seen)}`,
    series.usual_interval_s ? `usually every ${span(series.usual_interval_s)}` : null,
    series.first_seen === null ? null : `known since ${instant(series.first_seen)}`,
    series.silent ? "silent" : null, series.retired ? "retired" : null,
  ];
  setText(byId("detail-about"), facts.filter((fact) => fact !== null).join(" · "));

  const fields = fieldsOf(series.measurement, series.last);
  const drawn = measurement(series.measurement) === null ? [] : fields.filter(isPlotted);
  const used = drawn.filter((it) => series.last[it.name] !== undefined && series.last[it.name] !== null);
  const choice = used.length > 0 ? used : drawn;
  field = drawn.find((it) => it.name === wanted) ?? choice[0] ?? null;
  keyed(byId("detail-fields"), choice, (it) => it.name, (it) => {
    return el("button.chip", { type: "button", "data-field": it.name, title: it.description ?? null, onclick: () => amend({ field: it.name }) },
      el("span.name", {}, it.name), " ", el("span.count"));
  }, (button, it) => {
    setText(button.querySelector(".count"), withUnit(value(series.last[it.name], it), it.unit));
    button.setAttribute("aria-pressed", String(it === field));
  });
  const others = fields.filter((it) => !drawn.includes(it) && series.last[it.name] !== undefined && series.last[it.name] !== null);
  byId("detail-others").replaceChildren(...others.flatMap((it) => [el("dt", {}, it.name), el("dd", {}, withUnit(value(series.last[it.name], it), it.unit))]));
  dialog.classList.toggle("absent", field === null);
  if (field === null) {
    note(byId("detail-note"), "empty", el("p", {}, measurement(series.measurement) === null
      ? `No mapping in force writes ${series.measurement} any more; its rows are in the store.`
      : "None of its fields is a number, so there is nothing to draw."));
  }
}

function showRange() {
  for (const button of byId("detail-ranges").children) {
    button.setAttribute("aria-pressed", String(button.dataset.range === range.name));
  }
  byId("detail-own").hidden = range.name !== "own";
  if (range.name === "own") {
    byId("detail-from").value = local(range.from);
    byId("detail-to").value = local(range.to);
  }
}

/** What a `datetime-local` field takes. */
function local(at_ms) {
  const date = new Date(at_ms);
  return new Date(at_ms - date.getTimezoneOffset() * MINUTE_MS).toISOString().slice(0, 19);
}

/** A line ends where the device said nothing for much longer than it usually does. */
function withGaps({ times, avg, min, max }) {
  const steps = times.slice(1).map((at, index) => at - times[index]).sort((a, b) => a - b);
  const typical = steps[Math.floor(steps.length / 2)] ?? 0;
  const limit = Math.max(3 * (series.usual_interval_s ?? 0), 3 * (answer.step_ms / 1000), 4 * typical);
  const data = [[], [], [], []];
  times.forEach((at, index) => {
    if (index > 0 && at - times[index - 1] > limit) {
      [(at + times[index - 1]) / 2, null, null, null].forEach((it, column) => data[column].push(it));
    }
    [at, min[index], max[index], avg[index]].forEach((it, column) => data[column].push(it));
  });
  return data;
}

function show() {
  const place = byId("detail-plot");
  const key = `${opened} ${field.name}`;
  if (plotted !== key) clear();
  place.range_s = [answer.from / 1000, answer.to / 1000];
  plot ??= rangePlot(place, {
    isBool: field.type === "bool",
    valueText: (at) => at.toLocaleString(undefined, { maximumSignificantDigits: 6 }),
    onZoom: look,
    onPoint: readOut,
  });
  plotted = key;
  const found = answer.plots[0] ?? { times: [], avg: [], min: [], max: [] };
  plot.setData(withGaps(found));
  showBand();
  place.setAttribute("aria-label", `Plot of ${field.name}`);
  setText(byId("detail-summary"), summary(found));
  if (byId("detail-values").open) showTable();
  if (!place.matches(":hover")) setText(byId("detail-readout"), LOOK_CLOSER);
}

function showBand() {
  const band = byId("detail-band").checked;
  if (plot.series[1].show !== band) {
    plot.setSeries(1, { show: band });
    plot.setSeries(2, { show: band });
  }
}

function unit(text) {
  return withUnit(text, field.type === "bool" ? "" : field.unit);
}

function summary({ times, avg, min, max }) {
  const asked = `${instant(answer.from)} to ${instant(answer.to)}`;
  if (times.length === 0) return `No value of ${field.name} from ${asked}.`;
  const low = min.reduce((best, it, index) => (it < min[best] ? index : best), 0);
  const high = max.reduce((best, it, index) => (it > max[best] ? index : best), 0);
  const end = times.length - 1;
  const parts = [
    `${counted(times.length, "point")} from ${asked}${answer.step_ms / 1000 > (series.usual_interval_s ?? 1) ? `, each of ${span(answer.step_ms / 1000)}` : ""}`,
    `lowest ${unit(average(min[low], field))} (${instant(times[low] * 1000)})`,
    `highest ${unit(average(max[high], field))} (${instant(times[high] * 1000)})`,
    `last ${unit(average(avg[end], field))}`,
  ];
  if (field.kind === "total" && max[end] >= min[0]) parts.push(`grew by ${unit(average(max[end] - min[0], field))}`);
  return `${parts.join(" · ")}.`;
}

function readOut(index) {
  const [times, min, max, avg] = plot?.data ?? [[]];
  if (index === null || times[index] === undefined || avg[index] === null) {
    setText(byId("detail-readout"), LOOK_CLOSER);
    return;
  }
  const spread = min[index] === max[index] ? "" : ` (${average(min[index], field)} to ${average(max[index], field)})`;
  setText(byId("detail-readout"), `${instant(times[index] * 1000)}: ${unit(average(avg[index], field))}${spread}`);
}

function showTable() {
  const found = answer?.plots[0] ?? { times: [] };
  const rows = found.times.map((at, index) => {
    return el("tr", {}, el("th", { scope: "row", title: utc(at * 1000) }, instant(at * 1000)),
      ...[found.avg, found.min, found.max].map((list) => el("td", {}, average(list[index], field))));
  }).reverse();
  byId("detail-table").replaceChildren(el("table", {},
    el("caption.unseen", {}, `${count(rows.length)} values of ${field?.name ?? ""}, newest first`),
    el("thead", {}, el("tr", {}, ["time", `average${field?.unit ? ` (${field.unit})` : ""}`, "least", "greatest"].map((it) => el("th", { scope: "col" }, it)))),
    el("tbody", {}, rows)));
}

// ---- Controls ----

byId("detail-ranges").append(...[...RANGES, ["own", "own…", 0]].map(([name, label]) => {
  return el("button.chip", { type: "button", "data-range": name, onclick: () => choose(name) }, label);
}));

function choose(name) {
  if (name === "own") {
    const [from, to] = bounds();
    look(from, to);
  } else {
    amend({ range: name, from: null, to: null }, { step: true });
  }
}

byId("detail-own").addEventListener("submit", (event) => {
  event.preventDefault();
  const from = new Date(byId("detail-from").value).getTime();
  const to = new Date(byId("detail-to").value).getTime();
  if (!(from < to)) {
    note(byId("detail-note"), "bad", el("p", {}, "“from” must be before “to”."));
    return;
  }
  amend({ range: "own", from, to }, { step: true });
});
byId("detail-earlier").addEventListener("click", () => move(-0.5));
byId("detail-later").addEventListener("click", () => move(0.5));
byId("detail-in").addEventListener("click", () => resize(0.5));
byId("detail-out").addEventListener("click", () => resize(2));
byId("detail-band").addEventListener("change", () => {
  if (plot !== null) showBand();
});
byId("detail-values").addEventListener("toggle", () => {
  if (byId("detail-values").open) showTable();
});
byId("detail-close").addEventListener("click", () => dialog.close());
dialog.addEventListener("close", () => {
  if (opened !== null) amend(CLOSED);
});
// A click beside the dialog closes it.
dialog.addEventListener("click", (event) => {
  if (event.target === dialog) dialog.close();
});

export const detail = {
  async enter(route) {
    const key = route.get("open");
    if (key === null || !key.includes("/")) {
      opened = null;
      stop?.abort();
      if (dialog.open) dialog.close();
      clear();
      return;
    }
    const isNew = key !== opened;
    opened = key;
    const from = Number(route.get("from"));
    const to = Number(route.get("to"));
    const name = route.get("range") ?? DEFAULT_RANGE;
    range = name === "own" && from > 0 && to > from
      ? { name, from, to }
      : { name: RANGES.some(([known]) => known === name) ? name : DEFAULT_RANGE, from: null, to: null };
    if (!dialog.open) dialog.showModal();
    note(byId("detail-note"), "bad");
    showRange();
    if (isNew) await load(key, route.get("device") ?? "");
    if (opened !== key || series === null) return;
    showSeries(route.get("field"));
    stop.abort();
    stop = new AbortController();
    if (field !== null) reading.now();
  },
  /** A range that ends now goes on with the device; a long one need not be read as often. */
  live(state) {
    if (opened === null || range.name === "own" || state.devices_written === written) return;
    written = state.devices_written;
    if (performance.now() - read_at >= length_ms() / 300) reading.ask();
  },
};

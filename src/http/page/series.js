// The list of series, a page at a time: a table for each measurement, with a column for each field, its last value and
// a small plot of the last quarter of an hour.
//
// The page is read again when the store has news of devices. Between two readings of the histories the last values are
// added to the small plots here, so that an open page asks the store for little.

import { get, repeated } from "./api.js";
import { byId, el, icon, keyed, mark, note, setText } from "./dom.js";
import { count, counted, now, setAge, span, value } from "./format.js";
import { askMeasurements, fieldsOf, isPlotted, measurement, measurements, onMeasurements, readMeasurements } from "./measurements.js";
import { destroy, spark } from "./plot.js";
import { amend } from "./route.js";

const PAGE = 25;
const SPARK_MS = 15 * 60_000;
/** While all is new, the small plots show the little there is, and are read more often. */
const SPARK_LEAST_MS = 60_000;
const SPARK_POINTS = 60;
/** More columns are no longer read at a glance; the plot of the series has all. */
const MAX_COLUMNS = 6;
const SERIES_EVERY_MS = 2000;
const HISTORY_EVERY_MS = 30_000;
const NEW_HISTORY_EVERY_MS = 6000;

let asked = { measurement: "", search: "", silent: false, page: 0 };
let active = false;
let stop = null;
let written = null;
let state = null;
let page = null;
/** The small plots' data: "MEASUREMENT/ID/FIELD" to {times, values}. */
let histories = new Map();
let histories_at = -Infinity;

const keyOf = (series) => `${series.measurement}/${series.id}`;

// ---- Reading ----

const reading = repeated(SERIES_EVERY_MS, async () => {
  if (!active) return;
  const { signal } = stop;
  try {
    const answer = await get("/api/series", {
      measurement: asked.measurement, search: asked.search, silent: asked.silent ? 1 : "",
      offset: asked.page * PAGE, limit: PAGE,
    }, signal);
    const sameSeries = page !== null && answer.series.map(keyOf).join() === page.series.map(keyOf).join();
    page = answer;
    // A page that has become shorter than the place in it.
    if (page.series.length === 0 && page.total > 0 && asked.page > 0) {
      amend({ page: Math.ceil(page.total / PAGE) });
      return;
    }
    show();
    if (sameSeries) addLastValues();
    if (!sameSeries) plots.now();
    else if (window_ms() < SPARK_MS || performance.now() - histories_at >= HISTORY_EVERY_MS) plots.ask();
  } catch (error) {
    if (error.name === "AbortError") return;
    note(byId("series-note"), "bad", el("p", {}, `The series cannot be read: ${error.message}`));
  }
});

/** So much is drawn: less while the oldest device of the page is younger. */
function window_ms() {
  const first = Math.min(...page.series.map((series) => series.first_seen ?? 0));
  return Math.max(SPARK_LEAST_MS, Math.min(SPARK_MS, now() - first));
}

const plots = repeated(NEW_HISTORY_EVERY_MS, async () => {
  if (!active || page === null) return;
  const { signal } = stop;
  const next = new Map();
  const [from, to] = [Math.round(now() - window_ms()), Math.round(now())];
  histories_at = performance.now();
  for (const [name, group] of grouped(page.series)) {
    const fields = columnsOf(name, group).filter(isPlotted).map((field) => field.name);
    if (fields.length === 0 || measurement(name) === null) continue;
    try {
      const answer = await get("/api/history", {
        measurement: name, series: group.map((series) => series.id).join(","), fields: fields.join(","),
        from, to, points: SPARK_POINTS,
      }, signal);
      for (const plot of answer.plots) {
        next.set(`${name}/${plot.series}/${plot.field}`, { times: plot.times, values: plot.avg });
      }
    } catch (error) {
      if (error.name === "AbortError") return;
      // The values stand there without their plots; why, the list itself will say.
    }
  }
  histories = next;
  drawAll();
});

/** What the last readings of the series add to the small plots; only a value that changed surely is a new one. */
function addLastValues() {
  for (const series of page.series) {
    for (const [field, last] of Object.entries(series.last)) {
      const history = histories.get(`${keyOf(series)}/${field}`);
      const number = typeof last === "boolean" ? Number(last) : last;
      if (!history || typeof number !== "number" || series.last_time === null) continue;
      const at = series.last_time / 1000;
      const { times, values } = history;
      if (values[values.length - 1] === number || (times.length > 0 && at <= times[times.length - 1])) continue;
      times.push(at);
      values.push(number);
    }
  }
  drawAll();
}

// ---- Small plots: only those in sight are drawn ----

const inSight = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    target.inSight = isIntersecting;
    if (isIntersecting) draw(target);
  }
}, { rootMargin: "200px" });

function drawAll() {
  for (const place of byId("series-groups").querySelectorAll(".spark")) if (place.inSight) draw(place);
}

function draw(place) {
  const history = histories.get(place.dataset.history);
  if (!history || history.times.length === 0) return;
  const end = now() / 1000;
  place.range_s = [end - window_ms() / 1000, end];
  const plot = place.plot ?? spark(place, place.dataset.type === "bool");
  plot.setData([history.times, history.values]);
}

function makeSpark(series, field) {
  const place = el("div.spark", { "aria-hidden": "true", "data-history": `${keyOf(series)}/${field.name}`, "data-type": field.type });
  inSight.observe(place);
  return place;
}

function dropSparks(row) {
  for (const place of row.querySelectorAll(".spark")) {
    inSight.unobserve(place);
    if (place.plot) destroy(place.plot, place);
  }
}

// ---- Tables ----

function grouped(list) {
  const groups = new Map();
  for (const series of list) {
    if (!groups.has(series.measurement)) groups.set(series.measurement, []);
    groups.get(series.measurement).push(series);
  }
  return groups;
}

/** The fields that any series of the page has a value of. */
function columnsOf(name, group) {
  const last = Object.assign({}, ...group.map((series) => series.last));
  return fieldsOf(name, last).filter((field) => last[field.name] !== undefined && last[field.name] !== null).slice(0, MAX_COLUMNS);
}

function hiddenColumns(name, group) {
  const last = Object.assign({}, ...group.map((series) => series.last));
  return Math.max(0, Object.values(last).filter((it) => it !== null).length - MAX_COLUMNS);
}

function show() {
  note(byId("series-note"), "empty");
  const groups = [...grouped(page.series)].map(([name, group]) => {
    const columns = columnsOf(name, group);
    // Other columns make another table.
    return { name, group, columns, key: `${name} ${columns.map((field) => field.name).join()}` };
  });
  keyed(byId("series-groups"), groups, (group) => group.key, makeGroup, updateGroup);
  if (page.total === 0) showWhyEmpty();
  const pager = byId("series-pager");
  pager.hidden = page.total <= PAGE;
  const first = asked.page * PAGE;
  setText(byId("page-place"), `${count(first + 1)}–${count(first + page.series.length)} of ${count(page.total)}`);
  byId("page-previous").disabled = asked.page === 0;
  byId("page-next").disabled = first + page.series.length >= page.total;
}

function makeGroup({ name, columns }) {
  const heads = columns.map((field) => {
    return el("th", { scope: "col", title: field.description ?? null }, field.name, field.unit ? el("small", {}, ` ${field.unit}`) : null);
  });
  const section = el("section.group", { "data-group": name },
    el("h3", {}, name, " ", el("small.hint")),
    el("div.scroll", {},
      el("table.series", {},
        el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "device"), heads, el("th.when", { scope: "col" }, "last heard"))),
        el("tbody"))));
  section.addEventListener("gone", () => dropSparks(section));
  return section;
}

function updateGroup(section, { name, group, columns }) {
  const more = hiddenColumns(name, group);
  const texts = [
    columns.some(isPlotted) ? `plots of the last ${span(window_ms() / 1000)}` : null,
    more > 0 ? `${counted(more, "more field")} in the plot of each device` : null,
  ];
  setText(section.querySelector("h3 small"), texts.filter((text) => text !== null).join(", "));
  keyed(section.querySelector("tbody"), group, keyOf, (series) => makeRow(series, columns), (row, series) => updateRow(row, series, columns));
}

function makeRow(series, columns) {
  const open = () => amend({ open: keyOf(series), device: series.device, field: null, range: null, from: null, to: null }, { step: true });
  const cells = columns.map((field) => {
    return el("td", { "data-field": field.name },
      el("span.label", { "aria-hidden": "true" }, field.name),
      el("span.reading", {}, el("span.value"), field.unit ? el("span.unit", {}, ` ${field.unit}`) : null),
      isPlotted(field) ? makeSpark(series, field) : null);
  });
  const row = el("tr", { "data-series": keyOf(series) },
    el("th", { scope: "row" }, el("button.device", { type: "button", "aria-haspopup": "dialog", onclick: open }), el("span.tags"), el("span.badges")),
    cells,
    el("td.when", {}, el("span.age")));
  // The whole row opens the plot for a mouse; the button is there for the keyboard.
  row.addEventListener("click", (event) => {
    if (event.target.closest("button, a") === null && getSelection().isCollapsed) open();
  });
  row.addEventListener("gone", () => dropSparks(row));
  return row;
}

/** The tags that the name of the device does not already say. */
export function tagsText(series) {
  const tags = Object.entries(series.tags ?? {}).filter(([, text]) => text !== "");
  const said = tags.map(([, text]) => text);
  if (said.length === 1 && said[0] === series.device) return tags[0][0];
  return tags.map(([name, text]) => `${name} ${text}`).join(" · ");
}

function updateRow(row, series, columns) {
  setText(row.querySelector(".device"), series.device === "" ? "(no tag)" : series.device);
  setText(row.querySelector(".tags"), tagsText(series));
  const badges = row.querySelector(".badges");
  const usual = series.usual_interval_s ? `usually every ${span(series.usual_interval_s)}` : "";
  const key = `${series.silent} ${series.retired} ${usual}`;
  if (badges.dataset.shown !== key) {
    badges.dataset.shown = key;
    badges.replaceChildren(...[
      series.silent ? el("span.badge.silent", {}, icon("silent"), "silent", usual ? el("small", {}, usual) : null) : null,
      series.retired ? el("span.badge", {}, "retired") : null,
    ].filter((it) => it !== null));
  }
  row.classList.toggle("is-silent", series.silent);
  for (const field of columns) {
    const cell = row.querySelector(`[data-field="${CSS.escape(field.name)}"]`);
    const last = series.last[field.name];
    const place = cell.querySelector(".value");
    const text = value(last, field);
    cell.classList.toggle("none", last === undefined || last === null);
    cell.classList.toggle("text", typeof last === "string");
    if (place.textContent === text) continue;
    const fresh = place.textContent === "";
    place.textContent = text;
    if (text.length > 24) place.title = text;
    else place.removeAttribute("title");
    if (!fresh) mark(place);
  }
  setAge(row.querySelector(".age"), series.last_seen ?? series.last_time);
}

// ---- Nothing to show ----

function showWhyEmpty() {
  const place = byId("series-note");
  const own = measurement(asked.measurement);
  if (own?.table) {
    note(place, "empty", el("p", {}, `${own.name} is written into a table of your own, ${own.table}: Amber keeps no list of its series.`));
  } else if (asked.search !== "" || asked.silent) {
    const words = [asked.search !== "" ? `“${asked.search}” is in no device or tag` : null, asked.silent ? "none is silent" : null];
    note(place, "empty", el("p", {}, `No series to show: ${words.filter((it) => it !== null).join(", or ")}.`),
      el("button", { type: "button", onclick: () => amend({ q: null, silent: null, page: null }) }, "Show all"));
  } else if ((state?.totals.rows ?? 0) > 0) {
    note(place, "empty",
      el("p", {}, el("b", {}, "Rows are being written; the devices come in a moment."),
        " Their list is written every few seconds, on SQLite every 30 s (", el("code", {}, "[store] devices_interval"), ")."));
  } else {
    const ignored = state?.ignored_by_reason?.unmapped ?? 0;
    note(place, "empty",
      el("p", {}, el("b", {}, "Nothing has come yet."), " A device shows up here a few seconds after its first message."),
      ignored > 0
        ? el("p", {}, `${counted(ignored, "message was", "messages were")} heard that no mapping takes: see `, el("a", { href: "#ignored" }, "Ignored"), ".")
        : el("p", {}, "Publish one on a topic of your ", el("a", { href: "#mapping" }, "mapping"), ", for instance:"),
      ignored > 0 ? null : el("pre", {}, `mosquitto_pub -q 1 -t ${exampleTopic()} -m '${examplePayload()}'`));
  }
}

function exampleTopic() {
  return "home/kitchen/climate";
}

function examplePayload() {
  const fields = (measurements()[0]?.fields ?? []).filter((field) => field.type === "float").slice(0, 2);
  if (fields.length === 0) return '{"temperature": 21.5}';
  return JSON.stringify(Object.fromEntries(fields.map((field) => [field.name, 21.5])));
}

// ---- Measurements, as a choice ----

function showMeasurements(list) {
  const known = list.map((it) => ({ name: it.name, label: it.name, series: it.series, silent: it.silent, table: it.table }));
  const total = known.reduce((sum, it) => sum + (it.series ?? 0), 0);
  const silent = known.reduce((sum, it) => sum + (it.silent ?? 0), 0);
  setText(byId("count-series"), total > 0 ? count(total) : "");
  keyed(byId("measurements"), [{ name: "", label: "All", series: total, silent }, ...known], (it) => it.name, (it) => {
    return el("button.chip", {
      type: "button", "data-measurement": it.name, onclick: () => amend({ m: it.name, page: null }, { step: true }),
    }, el("span.name"), " ", el("span.count"), el("span.silent"));
  }, (button, it) => {
    setText(button.querySelector(".name"), it.label);
    setText(button.querySelector(".count"), it.table ? "own table" : it.series === null ? "" : count(it.series));
    setText(button.querySelector(".silent"), it.silent > 0 ? ` ${count(it.silent)} silent` : "");
    button.setAttribute("aria-pressed", String(it.name === asked.measurement));
  });
}

onMeasurements((list) => {
  showMeasurements(list);
  if (active && page !== null) show();
});

// ---- The view ----

const TYPING_MS = 250;
let typing = null;

function search() {
  clearTimeout(typing);
  const q = byId("search").value.trim();
  if (q !== asked.search) amend({ q, page: null });
}

byId("search").addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(search, TYPING_MS);
});
byId("search").addEventListener("change", search);
byId("series-form").addEventListener("submit", (event) => {
  event.preventDefault();
  search();
});
byId("silent-only").addEventListener("change", (event) => amend({ silent: event.target.checked ? 1 : null, page: null }, { step: true }));
byId("page-previous").addEventListener("click", () => turn(-1));
byId("page-next").addEventListener("click", () => turn(1));

function turn(by) {
  amend({ page: asked.page + by > 0 ? asked.page + by + 1 : null }, { step: true });
  byId("view-series").scrollIntoView({ block: "start" });
}

export const seriesView = {
  enter(route) {
    const next = {
      measurement: route.get("m") ?? "",
      search: route.get("q") ?? "",
      silent: route.get("silent") === "1",
      page: Math.max(0, (Number.parseInt(route.get("page") ?? "1", 10) || 1) - 1),
    };
    const same = active && JSON.stringify(next) === JSON.stringify(asked);
    asked = next;
    if (document.activeElement !== byId("search")) byId("search").value = asked.search;
    byId("silent-only").checked = asked.silent;
    showMeasurements(measurements());
    if (same && page !== null) return;
    active = true;
    stop?.abort();
    stop = new AbortController();
    const ready = measurements().length > 0 ? Promise.resolve() : readMeasurements();
    ready.then(() => reading.now());
  },
  leave() {
    active = false;
    stop?.abort();
  },
  live(next) {
    state = next;
    if (next.devices_written === written) return;
    written = next.devices_written;
    askMeasurements();
    reading.ask();
    if (page?.total === 0) showWhyEmpty();
  },
  forget() {
    page = null;
    written = null;
    readMeasurements();
  },
};

// The mapping in force: its text, and the measurements that come of it.

import { get } from "./api.js";
import { byId, el, keyed, note } from "./dom.js";
import { onMeasurements, readMeasurements } from "./measurements.js";
import { address } from "./route.js";

let active = false;
let number = null;
let shown = null;

async function read() {
  try {
    const mapping = await get("/api/mapping");
    shown = mapping.number;
    note(byId("mapping-note"), "empty");
    keyed(byId("mapping-files"), mapping.files, (file) => file.name, (file) => {
      return el("section.file", { "data-file": file.name }, el("h3", {}, el("code", {}, file.name)), el("pre.toml", { tabindex: 0 }));
    }, (section, file) => section.querySelector("pre").replaceChildren(...coloured(file.text)));
    if (mapping.files.length === 0) note(byId("mapping-note"), "empty", el("p", {}, "There is no mapping yet: nothing is asked of the broker. ", el("code", {}, "amber discover"), " proposes one."));
  } catch (error) {
    note(byId("mapping-note"), "bad", el("p", {}, `The mapping cannot be read: ${error.message}`));
  }
}

/** Headings and comments told apart, so that a long file is found through; no more than that. */
function coloured(text) {
  return text.split(/(?<=\n)/).map((line) => {
    if (/^\s*\[/.test(line)) return el("span.heading", {}, line);
    const comment = line.match(/^((?:[^"'#]|"(?:[^"\\]|\\.)*"|'[^']*')*)(#.*)$/s);
    if (comment === null) return el("span", {}, line);
    return el("span", {}, comment[1], el("span.comment", {}, comment[2]));
  });
}

function fieldText(field) {
  const bounds = [field.min, field.max].every((it) => it === null || it === undefined)
    ? "" : `${field.min ?? "…"} to ${field.max ?? "…"}`;
  return [field.type, field.unit, field.kind === "total" ? "total" : null, bounds, field.description].filter((it) => it).join(", ");
}

onMeasurements((list) => {
  if (!active) return;
  keyed(byId("mapping-measurements"), list, (it) => `${it.name} ${JSON.stringify(it.fields)} ${it.tags} ${it.table}`, (it) => {
    return el("section.card", { "data-measurement": it.name },
      el("h4", {}, it.table ? it.name : el("a", { href: address("series", { m: it.name }) }, it.name), el("small.hint", {}, ` from ${it.mappings.join(", ")}${it.table ? `, into ${it.table}` : ""}`)),
      el("p", {}, it.tags.length > 0 ? ["tags ", ...it.tags.flatMap((tag, index) => [index > 0 ? ", " : "", el("b", {}, tag)])] : "no tags"),
      el("dl.facts", {}, it.fields.flatMap((field) => [el("dt", {}, field.name), el("dd", {}, fieldText(field))])));
  });
});

export const mappingView = {
  enter() {
    active = true;
    read();
    readMeasurements();
  },
  leave() {
    active = false;
  },
  live(state) {
    if (state.number === number) return;
    number = state.number;
    if (shown !== null && number !== shown) {
      read();
      readMeasurements();
    }
  },
};

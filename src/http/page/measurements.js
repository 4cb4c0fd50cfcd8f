// What the measurements are, as the server last said: names, fields with units and decimals, how many series.

import { get, repeated } from "./api.js";

let known = [];
const listeners = new Set();

const reading = repeated(10_000, async () => {
  try {
    known = (await get("/api/measurements")).measurements;
  } catch {
    // The list of series says what is wrong; what was known stays.
    return;
  }
  for (const listen of listeners) listen(known);
});

export function onMeasurements(listen) {
  listeners.add(listen);
}

/** Asks anew, in a while. */
export function askMeasurements() {
  reading.ask();
}

/** The same at once. */
export function readMeasurements() {
  return reading.now();
}

export function measurements() {
  return known;
}

export function measurement(name) {
  return known.find((it) => it.name === name) ?? null;
}

/** The fields of a measurement; for one that no mapping has any more, what its series have values of. */
export function fieldsOf(name, last) {
  return measurement(name)?.fields ?? Object.keys(last).map((field) => ({ name: field, type: typeof last[field] === "number" ? "float" : "text" }));
}

/** What can be drawn. */
export function isPlotted(field) {
  return ["float", "int", "bool"].includes(field.type);
}

// Numbers, times and ages for people: in the browser's locale, UTC in the title.

import { setText } from "./dom.js";

const whole = new Intl.NumberFormat(undefined, { maximumFractionDigits: 0 });
const plain = new Intl.NumberFormat(undefined, { maximumSignificantDigits: 6 });
const short = new Intl.NumberFormat(undefined, { notation: "compact", maximumFractionDigits: 1 });
const timeOfDay = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const dayAndTime = new Intl.DateTimeFormat(undefined, {
  year: "numeric", month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit",
});

// The server's clock counts, not the browser's: ages would be wrong by the difference.
let ahead_ms = 0;

export function setNow(server_ms) {
  ahead_ms = server_ms - Date.now();
}

export function now() {
  return Date.now() + ahead_ms;
}

export function count(number) {
  return whole.format(number);
}

/** The same where there is little room: `9.8M`. */
export function many(number) {
  return number < 1e6 ? count(number) : short.format(number);
}

/** `1 row`, `2 rows`. */
export function counted(number, one, many = `${one}s`) {
  return `${count(number)} ${number === 1 ? one : many}`;
}

/** Per second: small rates with a decimal, or they look like nothing. */
export function rate(number) {
  if (number === null || number === undefined) return "–";
  return number.toLocaleString(undefined, { maximumFractionDigits: number < 10 ? 1 : 0 });
}

const fixed = new Map();

function withDecimals(number, decimals) {
  if (!fixed.has(decimals)) {
    fixed.set(decimals, new Intl.NumberFormat(undefined, {
      minimumFractionDigits: decimals, maximumFractionDigits: decimals,
    }));
  }
  return fixed.get(decimals).format(number);
}

export function number(value, field) {
  if (field?.decimals !== null && field?.decimals !== undefined) return withDecimals(value, field.decimals);
  return Number.isInteger(value) && Math.abs(value) < 1e15 ? whole.format(value) : plain.format(value);
}

/** A value as it is shown, without its unit. */
export function value(value, field) {
  if (value === null || value === undefined) return "–";
  if (field?.type === "time") return instantText(value);
  if (typeof value === "number") return number(value, field);
  if (typeof value === "boolean") return value ? "true" : "false";
  if (typeof value === "string") return value;
  return JSON.stringify(value);
}

/** An average of a bool is a share; any other is a number with one decimal more than its values have. */
export function average(value, field) {
  if (field?.type === "bool") return value.toLocaleString(undefined, { maximumFractionDigits: 2 });
  if (field?.decimals !== null && field?.decimals !== undefined) return withDecimals(value, field.decimals);
  return plain.format(value);
}

export function withUnit(text, unit) {
  return unit ? `${text} ${unit}` : text;
}

function instantText(at) {
  const date = new Date(at);
  return Number.isNaN(date.getTime()) ? String(at) : dayAndTime.format(date);
}

/** The time of day if it is today's, otherwise with its date. */
export function instant(at_ms) {
  const date = new Date(at_ms);
  return date.toDateString() === new Date(now()).toDateString() ? timeOfDay.format(date) : dayAndTime.format(date);
}

export function utc(at_ms) {
  return `${new Date(at_ms).toISOString().replace("T", " ").replace(/\.\d+Z$/, "")} UTC`;
}

const STEPS = [[60, "s", 1], [3600, "min", 60], [48 * 3600, "h", 3600], [Infinity, "d", 86400]];

/** `12 s`, `3 min`, `5 h`, `9 d`. */
export function span(seconds) {
  const [, unit, size] = STEPS.find(([below]) => seconds < below);
  const amount = seconds / size;
  return `${amount < 10 && size > 1 ? Math.floor(amount * 10) / 10 : Math.floor(amount)} ${unit}`;
}

/** Milliseconds as a lag is read. */
export function lag(ms) {
  if (ms === null || ms === undefined) return "–";
  if (ms < 1000) return `${ms < 10 ? ms.toLocaleString(undefined, { maximumFractionDigits: 1 }) : Math.round(ms)} ms`;
  return span(ms / 1000);
}

export function bytes(amount) {
  if (amount < 1024) return `${amount} B`;
  const kib = amount / 1024;
  return kib < 1024 ? `${plainShort(kib)} KiB` : `${plainShort(kib / 1024)} MiB`;
}

function plainShort(amount) {
  return amount.toLocaleString(undefined, { maximumFractionDigits: 1 });
}

function ageText(at_ms) {
  const seconds = (now() - at_ms) / 1000;
  if (seconds < 1) return "now";
  return seconds < 60 || seconds >= 3600 ? `${span(seconds)} ago` : `${Math.floor(seconds / 60)} min ago`;
}

/** Sets an element to an age that `tickAges` keeps. */
export function setAge(element, at_ms) {
  if (at_ms === null || at_ms === undefined) {
    delete element.dataset.at;
    setText(element, "never");
    element.removeAttribute("title");
    return;
  }
  element.dataset.at = at_ms;
  element.title = `${instantText(at_ms)} · ${utc(at_ms)}`;
  setText(element, ageText(at_ms));
}

export function tickAges() {
  for (const element of document.querySelectorAll("[data-at]")) {
    if (element.offsetParent !== null) setText(element, ageText(Number(element.dataset.at)));
  }
}

// What `explain` says, as an element: in a word what becomes of the message, then the text, then the same as JSON.

import { el } from "./dom.js";

const WORDS = {
  rows: ["good", "It becomes rows."],
  ignored: ["plain", "It gives no row, and is no fault."],
  rejected: ["bad", "It is rejected."],
};

/** `{text, explanation}` as `/api/explain` gives it. */
export function answerElement({ text, explanation }) {
  const outcome = explanation?.outcome;
  const [kind, words] = WORDS[outcome] ?? ["plain", null];
  return el("div.answer", {},
    words === null ? null : el(`p.outcome.${kind}`, { "data-outcome": outcome }, words),
    el("pre", { tabindex: 0 }, text),
    explanation === undefined ? null : el("details", {}, el("summary", {}, "The same as JSON"), el("pre", { tabindex: 0 }, JSON.stringify(explanation, null, 2))));
}

// The form that asks what the mapping in force makes of a topic and a payload.

import { post } from "./api.js";
import { answerElement } from "./answer.js";
import { byId, el, note } from "./dom.js";
import { address, amend, go } from "./route.js";

/** A longer payload is kept out of the address line: browsers cut it somewhere. */
const MAX_IN_ADDRESS = 2000;

let entered = null;
let pending = null;
let stop = null;

function filled() {
  const isBase64 = byId("explain-format").value === "base64";
  return {
    topic: byId("explain-topic").value,
    [isBase64 ? "payload_base64" : "payload"]: byId("explain-payload").value,
    retain: byId("explain-retain").checked,
  };
}

function fill({ topic, payload, payload_base64, retain }) {
  const isBase64 = typeof payload_base64 === "string" && payload_base64 !== "";
  byId("explain-topic").value = topic ?? "";
  byId("explain-payload").value = (isBase64 ? payload_base64 : payload) ?? "";
  byId("explain-format").value = isBase64 ? "base64" : "text";
  byId("explain-retain").checked = retain === true;
}

function inAddress(message) {
  const asked = { topic: message.topic, payload: message.payload, base64: message.payload_base64, retain: message.retain ? 1 : null };
  for (const name of ["payload", "base64"]) if ((asked[name] ?? "").length > MAX_IN_ADDRESS) delete asked[name];
  return asked;
}

async function run() {
  stop?.abort();
  stop = new AbortController();
  const place = byId("explain-answer");
  try {
    place.replaceChildren(answerElement(await post("/api/explain", filled(), stop.signal)));
  } catch (error) {
    if (error.name === "AbortError") return;
    note(place, "bad", el("p", {}, error.message));
  }
}

byId("explain-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const asked = inAddress(filled());
  entered = address("explain", asked);
  amend({ topic: null, payload: null, base64: null, retain: null, ...asked });
  run();
});

/**
 * Goes to the form with this message in it, and its answer. Of a payload of which not all is known (`partial`), the
 * answer would be about another one.
 */
export function putIntoForm(message) {
  pending = message;
  const asked = message.partial ? {} : inAddress(message);
  if (address("explain", asked) === entered) entered = null;
  go("explain", asked);
}

export const explainView = {
  enter(asked) {
    const at = address("explain", Object.fromEntries(asked));
    if (pending !== null) {
      fill(pending);
      const { partial } = pending;
      pending = null;
      window.scrollTo({ top: byId("view-explain").offsetTop - 60 });
      byId(partial ? "explain-payload" : "explain-topic").focus({ preventScroll: true });
      if (partial) {
        stop?.abort();
        note(byId("explain-answer"), "empty", el("p", {}, "Only the beginning of this payload is known here, or it is no text: complete it, then ask."));
        entered = at;
        return;
      }
    } else if (asked.get("topic") === null || at === entered) {
      return;
    } else {
      fill({
        topic: asked.get("topic"), payload: asked.get("payload"), payload_base64: asked.get("base64"), retain: asked.get("retain") === "1",
      });
    }
    entered = at;
    run();
  },
};

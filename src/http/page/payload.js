// Payloads: text where it is text; bytes as hex (to look at) or base64 (to copy).

import { el } from "./dom.js";
import { bytes } from "./format.js";

function hex(base64) {
  const raw = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  const lines = [];
  for (let at = 0; at < raw.length; at += 16) {
    const row = [...raw.subarray(at, at + 16)];
    const digits = row.map((byte) => byte.toString(16).padStart(2, "0")).join(" ").padEnd(47);
    const letters = row.map((byte) => (byte >= 32 && byte < 127 ? String.fromCharCode(byte) : "·")).join("");
    lines.push(`${at.toString(16).padStart(4, "0")}  ${digits}  ${letters}`);
  }
  return lines.join("\n");
}

/** `{payload, payload_base64, payload_bytes, cut}` as an element. */
export function payloadElement(it) {
  const size = `${bytes(it.payload_bytes)}${it.cut ? ", cut here" : ""}`;
  if (it.payload_base64 === null || it.payload_base64 === undefined) {
    const text = it.payload ?? "";
    return el("div", {}, el("p.hint", {}, text === "" ? "payload: empty" : `payload, ${size}`), text === "" ? null : el("pre.payload", { tabindex: 0 }, text));
  }
  const place = el("pre.payload.bytes", { tabindex: 0 }, hex(it.payload_base64));
  let isHex = true;
  const button = el("button.small", {
    type: "button",
    onclick() {
      isHex = !isHex;
      place.textContent = isHex ? hex(it.payload_base64) : it.payload_base64;
      button.textContent = isHex ? "as base64" : "as hex";
    },
  }, "as base64");
  return el("div", {}, el("p.hint", {}, `payload, ${size}, not UTF-8 `, button), place);
}

// The stream of states from `/events`: opened while the tab is looked at, and again by itself when it breaks.

import { setNow } from "./format.js";

/** A stream that says nothing for so long is dead, whatever its connection looks like (a laptop that slept). */
const QUIET_MS = 6000;
const RETRY_MS = 2000;

export function startLive({ onState, onRates, onConnection, onRestart }) {
  let source = null;
  let retry = null;
  let heard_at = 0;
  let lost_at = null;
  let known = null;

  function open() {
    close();
    heard_at = Date.now();
    source = new EventSource("/events");
    source.addEventListener("rates", (event) => onRates(JSON.parse(event.data)));
    source.addEventListener("state", (event) => {
      heard_at = Date.now();
      lost_at = null;
      const state = JSON.parse(event.data);
      setNow(state.now);
      onConnection(null);
      const restarted = known !== null && known.started_at !== state.started_at;
      // A newer Amber has a newer page.
      if (known !== null && known.version !== state.version) location.reload();
      known = state;
      onState(state);
      if (restarted) onRestart();
    });
    source.addEventListener("error", () => lost());
  }

  function close() {
    source?.close();
    source = null;
    clearTimeout(retry);
    retry = null;
  }

  function lost(why = null) {
    close();
    lost_at ??= Date.now();
    onConnection(lost_at, why);
    if (!document.hidden) retry = setTimeout(askAgain, RETRY_MS);
  }

  // An EventSource does not say why it was refused; a fetch does.
  async function askAgain() {
    const stop = new AbortController();
    try {
      const response = await fetch("/events", { signal: stop.signal });
      if (response.status === 401) {
        location.assign("/login");
        return;
      }
      if (!response.ok) {
        lost((await response.json()).error ?? null);
        return;
      }
    } catch {
      lost();
      return;
    } finally {
      stop.abort();
    }
    open();
  }

  setInterval(() => {
    if (source !== null && Date.now() - heard_at > QUIET_MS) lost();
  }, 1000);

  // A browser opens few connections to one server: tabs that nobody looks at must not hold them.
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) close();
    else open();
  });
  window.addEventListener("pagehide", close);
  window.addEventListener("pageshow", (event) => {
    if (event.persisted) open();
  });
  if (!document.hidden) open();
}

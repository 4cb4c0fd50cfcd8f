// Asking the server.

/** What the server said against it, or that it could not be reached: a text for people. */
export class Refusal extends Error {}

async function read(path, options) {
  let response;
  try {
    response = await fetch(path, { headers: { Accept: "application/json" }, ...options });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refusal("Amber does not answer; is it running?");
  }
  if (response.status === 401) {
    location.assign("/login");
    throw new Refusal("a token is asked for");
  }
  let body;
  try {
    body = await response.json();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refusal(`the answer of ${path.split("?")[0]} is not readable (status ${response.status})`);
  }
  if (!response.ok) throw new Refusal(body.error ?? `status ${response.status}`);
  return body;
}

/** `get("/api/series", {offset: 0, search: "", …})`; what is empty is not asked. */
export function get(path, asked = {}, signal = undefined) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(asked)) {
    if (value !== null && value !== undefined && value !== "" && value !== false) query.set(name, String(value));
  }
  const text = query.toString();
  return read(text === "" ? path : `${path}?${text}`, { signal });
}

export function post(path, body, signal = undefined) {
  const headers = { Accept: "application/json", "Content-Type": "application/json" };
  return read(path, { method: "POST", headers, body: JSON.stringify(body), signal });
}

/**
 * A reading that is done again and again: one at a time, at most every `every_ms`, never while the tab is hidden.
 * What is asked for meanwhile is done once afterwards. `now()` waits for nothing but the one that runs.
 */
export function repeated(every_ms, run) {
  let last = -Infinity;
  let running = false;
  let again = false;
  let urgent = false;
  let timer = null;
  async function start() {
    timer = null;
    if (running || document.hidden) {
      again = true;
      return;
    }
    running = true;
    again = false;
    urgent = false;
    try {
      await run();
    } finally {
      running = false;
      last = urgent ? -Infinity : performance.now();
      if (again) ask();
    }
  }
  function ask() {
    if (running || document.hidden) again = true;
    else timer ??= setTimeout(start, Math.max(0, last + every_ms - performance.now()));
  }
  function now() {
    clearTimeout(timer);
    timer = null;
    last = -Infinity;
    urgent = true;
    return start();
  }
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && again) ask();
  });
  return { ask, now };
}

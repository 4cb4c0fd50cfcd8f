// The address line: `#VIEW?name=value&…`. A reload, a bookmark or a link sent to somebody shows the same.

const DEFAULT = "series";
let names = [];
let listener = () => {};

function current() {
  const [view, query = ""] = location.hash.slice(1).split(/\?(.*)/s);
  return { view: names.includes(view) ? view : DEFAULT, asked: new URLSearchParams(query) };
}

export function onRoute(listen) {
  listener = listen;
}

export function startRoutes(known) {
  names = known;
  window.addEventListener("hashchange", () => listener(current()));
  listener(current());
}

export function address(view, asked = {}) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(asked)) {
    if (value !== null && value !== undefined && value !== "" && value !== false) query.set(name, String(value));
  }
  const text = query.toString();
  return text === "" ? `#${view}` : `#${view}?${text}`;
}

/** Goes there, and is told of it as of a click on a link. */
export function go(view, asked = {}) {
  location.hash = address(view, asked);
}

/** Changes single values of what is asked and goes on in the same view, without a step back for each letter typed. */
export function amend(changes, { step = false } = {}) {
  const { view, asked } = current();
  for (const [name, value] of Object.entries(changes)) {
    if (value === null || value === undefined || value === "" || value === false) asked.delete(name);
    else asked.set(name, String(value));
  }
  const target = address(view, Object.fromEntries(asked));
  if (target === location.hash) return;
  if (step) history.pushState(null, "", target);
  else history.replaceState(null, "", target);
  listener(current());
}

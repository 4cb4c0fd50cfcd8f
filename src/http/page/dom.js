// Making elements. Data only ever becomes text or an attribute here, so a payload of `<script>` stays letters.

export function byId(id) {
  return document.getElementById(id);
}

/** `el("p.hint", {title: "…", onclick: f}, "text", element, null)`: attributes, listeners and children of one element. */
export function el(what, attributes = {}, ...children) {
  const [tag, ...classes] = what.split(".");
  const element = document.createElement(tag);
  if (classes.length > 0) element.className = classes.join(" ");
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

/** One of the shapes of index.html. They are copied, since only markup knows the namespace of SVG. */
export function icon(name) {
  const svg = document.querySelector("svg.icon").cloneNode(true);
  svg.querySelector("use").setAttribute("href", `#icon-${name}`);
  return svg;
}

/** Sets the text only where it is another: no needless layout, and a selection stays. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/**
 * Makes the children of `parent` those of `items`, in their order: elements of known keys are kept (and so are focus and
 * selection in them), others come and go.
 */
export function keyed(parent, items, keyOf, make, update) {
  const old = new Map();
  for (const child of parent.children) old.set(child.dataset.key, child);
  let place = parent.firstElementChild;
  for (const item of items) {
    const key = String(keyOf(item));
    let element = old.get(key);
    if (element) {
      old.delete(key);
    } else {
      element = make(item);
      element.dataset.key = key;
    }
    update?.(element, item);
    if (element === place) place = place.nextElementSibling;
    else parent.insertBefore(element, place);
  }
  for (const gone of old.values()) {
    gone.dispatchEvent(new Event("gone"));
    gone.remove();
  }
}

/** A note in place of content: what is so, and what to do. `kind`: "empty" or "bad". */
export function note(place, kind, ...children) {
  place.replaceChildren(...(children.length > 0 ? [el(`div.note.${kind}`, {}, ...children)] : []));
}

/** Marks for a moment what has just changed; style.css leaves it out where less motion is asked for. */
export function mark(element) {
  element.classList.remove("changed");
  void element.offsetWidth; // Starts the animation anew.
  element.classList.add("changed");
}

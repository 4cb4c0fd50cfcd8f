// The plots: uPlot (vendor/), in the colours of style.css and the browser's locale.

const uPlot = window.uPlot;
const dark = window.matchMedia("(prefers-color-scheme: dark)");
const all = new Set();
const colours = new Map();

/** A colour of style.css by the name of its variable; asked at each drawing, so that a plot follows light and dark. */
function colour(name) {
  if (!colours.has(name)) {
    colours.set(name, getComputedStyle(document.documentElement).getPropertyValue(name).trim());
  }
  return colours.get(name);
}

dark.addEventListener("change", () => {
  colours.clear();
  for (const plot of all) plot.redraw(false);
});

// A plot is as wide as its place, which changes with the window.
const resized = new ResizeObserver((entries) => {
  for (const { target, contentRect } of entries) {
    const plot = target.plot;
    const width = Math.floor(contentRect.width);
    if (plot && width > 0 && width !== plot.width) plot.setSize({ width, height: plot.height });
  }
});

/** A plot in `place`, from the second `place.range_s[0]` to the second `place.range_s[1]`. */
function made(place, options, data) {
  place.replaceChildren();
  const width = Math.max(Math.floor(place.clientWidth), 20);
  place.range_s ??= [0, 1];
  const plot = new uPlot({ width, ms: 1e-3, legend: { show: false }, ...options }, data, place);
  place.plot = plot;
  all.add(plot);
  resized.observe(place);
  return plot;
}

export function destroy(plot, place) {
  all.delete(plot);
  resized.unobserve(place);
  delete place.plot;
  plot.destroy();
}

const formats = {
  second: new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" }),
  minute: new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" }),
  day: new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" }),
};

/** Labels of a time axis; the date stands where another day begins. */
function timeLabels(plot, splits, _axis, _space, step_s) {
  const format = step_s < 60 ? formats.second : formats.minute;
  let day = null;
  const end = plot.bbox.width / devicePixelRatio - 24;
  return splits.map((at_s) => {
    // It would be cut at the edge.
    if (plot.valToPos(at_s, "x") > end) return "";
    const date = new Date(at_s * 1000);
    const itsDay = formats.day.format(date);
    if (step_s >= 86400) return itsDay;
    const first = day !== null && day !== itsDay;
    day = itsDay;
    return first ? `${format.format(date)}\n${itsDay}` : format.format(date);
  });
}

/** Labels with seconds are longer. */
function labelSpace(_plot, _axis, from, to) {
  return to - from < 600 ? 100 : 75;
}

const FONT = "12px system-ui, sans-serif";

function axes(valueText, { small = false } = {}) {
  const both = {
    font: FONT,
    stroke: () => colour("--quiet"),
    grid: { stroke: () => colour("--line"), width: 1 },
    ticks: { show: false },
  };
  return [
    { ...both, values: timeLabels, size: small ? 24 : 40, space: labelSpace, grid: { show: !small, ...both.grid } },
    {
      ...both,
      space: small ? 24 : 36,
      values: (_plot, splits) => splits.map((at) => (at === null ? "" : valueText(at))),
      size: (_plot, labels) => 14 + 7 * Math.max(3, ...(labels ?? []).map((label) => label.length)),
    },
  ];
}

function line(name, { fill = null, width = 1.5, stepped = false, ...more } = {}) {
  return {
    stroke: () => colour(name),
    width,
    points: { show: true, size: 2 * width + 1, fill: () => colour(name), filter: alone },
    ...(fill === null ? {} : { fill: () => colour(fill) }),
    ...(stepped ? { paths: uPlot.paths.stepped({ align: 1 }) } : {}),
    ...more,
  };
}

/** From nothing up, and never flat: rates and lags. */
function fromZero(_plot, _low, high) {
  return [0, high > 0 ? high * 1.1 : 1];
}

/** A little air above and below; a value that never changes runs through the middle. */
function around(_plot, low, high) {
  if (low === null || high === null) return [0, 1];
  const air = high > low ? (high - low) * 0.08 : Math.max(Math.abs(high) * 0.02, 0.5);
  return [low - air, high + air];
}

/** A plot of what was in the last minutes, with one line for each of `lines` ({name of colour, fill}). */
export function ratePlot(place, lines, valueText) {
  return made(place, {
    height: 96,
    padding: [8, 8, 0, 0],
    cursor: { show: false },
    scales: { x: { time: true, range: () => place.range_s }, y: { range: fromZero } },
    axes: axes(valueText, { small: true }),
    series: [{}, ...lines.map(({ name, fill }) => line(name, { fill }))],
  }, [[], ...lines.map(() => [])]);
}

/** A plot of the size of a word: no axes, no cursor. */
export function spark(place, isBool) {
  return made(place, {
    height: 26,
    padding: [2, 2, 2, 2],
    cursor: { show: false },
    scales: { x: { time: true, range: () => place.range_s }, y: { range: isBool ? () => [-0.15, 1.15] : around } },
    axes: [{ show: false }, { show: false }],
    series: [{}, line("--plot", { fill: isBool ? "--plot-band" : null, stepped: isBool, spanGaps: true })],
  }, [[], []]);
}

/**
 * The plot of one field over a chosen range: averages as a line, and the band from least to greatest.
 * `onZoom(from_ms, to_ms)` when a piece was drawn over, `onPoint(index | null)` as the cursor moves.
 */
export function rangePlot(place, { isBool, valueText, onZoom, onPoint }) {
  const plot = made(place, {
    height: Math.max(220, Math.min(360, Math.round(window.innerHeight * 0.4))),
    padding: [12, 12, 0, 0],
    cursor: { drag: { x: true, y: false, setScale: false }, points: { size: 7 } },
    select: { show: true },
    scales: {
      x: { time: true, range: () => place.range_s },
      y: { range: isBool ? () => [-0.1, 1.1] : around },
    },
    axes: axes(valueText),
    series: [
      {},
      line("--plot-edge", { width: 0, stepped: isBool, points: { show: false } }),
      line("--plot-edge", { width: 0, stepped: isBool, points: { show: false } }),
      line("--plot", { stepped: isBool, width: 2 }),
    ],
    bands: [{ series: [2, 1], fill: () => colour("--plot-band") }],
    hooks: {
      setSelect: [(it) => {
        if (it.select.width < 4) return;
        const from = it.posToVal(it.select.left, "x");
        const to = it.posToVal(it.select.left + it.select.width, "x");
        it.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
        onZoom(from * 1000, to * 1000);
      }],
      setCursor: [(it) => onPoint(it.cursor.idx ?? null)],
    },
  }, [[], [], [], []]);
  return plot;
}

/** Values without a neighbour would be no line: they are drawn as points. */
function alone(plot, index) {
  const values = plot.data[index];
  const has = (at) => values[at] !== null && values[at] !== undefined;
  const found = [];
  for (let at = 0; at < values.length; at += 1) {
    if (has(at) && !has(at - 1) && !has(at + 1)) found.push(at);
  }
  return found;
}

// The live page of Amber: joins the live state, the views and the address line. It shows what the server says and
// changes nothing there.
//
// Everything that comes from devices or files is set as text (`textContent`), never as markup.
//
// What tests and scripts may hold on to:
//
//   #state-broker #state-store #state-page    `data-condition`: up | starting | away | standing; the word in `.word`
//   #logout                                   hidden unless a token is asked for; login.html: #token
//   #announce                                 what a screen reader is told when a state changes
//   #banners > [data-banner]                  page | broker | store | refused | waits | after_restart | cut_off | ignored
//   #figure-messages #figure-rows #figure-lag #figure-rejects #figure-ignored #figure-dropped
//   #total-messages #total-rows               "12,345 in all", from a million on "1.2M in all", since the start
//   #plot-throughput #plot-lag                hold a `.uplot` once drawn
//   nav.views a[data-view]                    series | rejects | ignored | explain | mapping; `aria-current` on one
//   #view-series … #view-mapping              the section of each; all but one are `hidden`
//   #measurements button[data-measurement]    "" is all; `aria-pressed`
//   #search #silent-only #page-previous #page-next #page-place
//   [data-series="MEASUREMENT/ID"]            a row; in it `button.device`, [data-field="NAME"] with `.value` and
//                                             `.spark .uplot`, `.age[data-at]`, `.silent`
//   #series-dialog                            open after a click on `.device`: #detail-title #detail-close,
//                                             #detail-fields button[data-field], #detail-ranges button[data-range]
//                                             (15m 1h 6h 24h 7d 30d own), #detail-from #detail-to #detail-apply,
//                                             #detail-band #detail-earlier #detail-later #detail-in #detail-out,
//                                             #detail-plot .uplot, #detail-summary, #detail-values (table in it)
//   #rejects-counts button[data-reason][data-mapping]; #rejects-list [data-reject="ID"] with `.payload`,
//                                             `button.explain`, `.answer`, `button.to-form`; #rejects-more #rejects-new
//   #ignored-list [data-topic="TOPIC"]        a row, with `button.to-form`
//   #explain-topic #explain-payload #explain-format #explain-retain #explain-run; #explain-answer `.outcome`, `pre`
//   #mapping-files [data-file="NAME"] pre; #mapping-measurements [data-measurement]

import { byId } from "./dom.js";
import { startLive } from "./live.js";
import { showState, showRates, showConnection, tickHead } from "./head.js";
import { onRoute, startRoutes } from "./route.js";
import { seriesView } from "./series.js";
import { detail } from "./detail.js";
import { rejectsView } from "./rejects.js";
import { ignoredView } from "./ignored.js";
import { explainView } from "./explain.js";
import { mappingView } from "./mapping.js";
import { tickAges } from "./format.js";

const views = {
  series: seriesView,
  rejects: rejectsView,
  ignored: ignoredView,
  explain: explainView,
  mapping: mappingView,
};
let shown = null;

function show(route) {
  const before = shown;
  shown = route.view;
  for (const name of Object.keys(views)) {
    byId(`view-${name}`).hidden = name !== shown;
  }
  for (const link of document.querySelectorAll("nav.views a")) {
    if (link.dataset.view === shown) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (before !== null && before !== shown) {
    views[before].leave?.();
    // Another view begins at its beginning, under the bar.
    const top = byId("main").offsetTop - document.querySelector("nav.views").offsetHeight;
    if (window.scrollY > top) window.scrollTo({ top });
  }
  views[shown].enter(route.asked);
  detail.enter(shown === "series" ? route.asked : new URLSearchParams());
}

// The address line belongs to the views; the skip link must not change it.
byId("skip").addEventListener("click", (event) => {
  event.preventDefault();
  byId("main").focus();
});

onRoute(show);
startRoutes(Object.keys(views));

startLive({
  onState(state) {
    showState(state);
    views[shown].live?.(state);
    detail.live(state);
  },
  onRates: showRates,
  onConnection: showConnection,
  // Another Amber answers than before: what is on the page may be another's.
  onRestart() {
    for (const view of Object.values(views)) view.forget?.();
    views[shown].enter(new URLSearchParams(location.hash.split("?")[1] ?? ""));
  },
});

setInterval(() => {
  if (document.hidden) return;
  tickAges();
  tickHead();
}, 1000);

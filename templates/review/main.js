// The review page: which case, which event, what was said, and every key.
import * as wire from "./wire.js";
import { clock, rowAt } from "./clock.js";
import { Timeline } from "./timeline.js";
import { Viewer } from "./viewer.js";
import { showLibrary } from "./library.js";

const $ = (id) => document.getElementById(id);
const VERDICTS = { open: N_("to review"), confirmed: N_("confirmed"), struck: N_("not blood"), mended: N_("mended"), added: N_("added") };
const OVERLAYS = { outline: N_("Overlay: outline"), fill: N_("Overlay: fill"), off: N_("Overlay: off") };
const TOOLS = { brush: N_("Brush"), polygon: N_("Polygon") };
const SPEEDS = [1, 2, 4, 8, 16];
const FRAME_MS = 1000 / 6;

const page = { number: null, facts: null, review: null, timeS: 0, chosen: null, mark: null, stretch: null, isPlaying: false, isBusy: false };
const tell = (text, isRefusal = false) => { $("said").textContent = text || ""; $("said").classList.toggle("refused", isRefusal); };
const timeline = new Timeline($("timeline"), (timeS) => freely(() => { stop(); moveTo(timeS); }));
const viewer = new Viewer({ picture: $("picture"), overlay: $("overlay"), note: $("note"), stage: $("stage") }, (text) => tell(text, true));
viewer.onArea = (area) => { $("where").textContent = _("Mended mask: {area} of the view", { area: percent(area) }); };

async function reviewer() {
  const kept = localStorage.getItem("reviewer");
  if (kept) return kept;
  $("who").showModal();
  await new Promise((done) => $("who").addEventListener("close", done, { once: true }));
  const initials = $("initials").value.trim();
  if (!initials) return reviewer();
  localStorage.setItem("reviewer", initials);
  return initials;
}

async function openCase(number, atS = null) {
  const who = await reviewer();
  const [facts, review] = await Promise.all([wire.facts(number), wire.review(number, who)]);
  leaveMending(); // at once with the case: what is drawn on one is not said of another
  Object.assign(page, { number, who, facts, review });
  $("case").hidden = false; $("library").hidden = true;
  $("title").textContent = page.facts.case_id;
  $("subtitle").textContent = _("{duration} · measured with {model} · reviewer {who}", { duration: clock(page.facts.duration_s), model: page.facts.model, who: page.who });
  $("report").href = wire.reportPage(number);
  document.title = `${page.facts.case_id} · ${_("Review")} · ubereport`;
  viewer.open(number);
  showReview();
  if (atS === null) { chooseNextOpen() || moveTo(0); return; }
  const event = page.review.events.find((one) => one.onset_s <= atS && atS < one.end_s);
  if (event) choose(event);
  moveTo(atS);
}

function showReview() {
  timeline.show(page.facts, page.review);
  const r = page.review, missing = r.parts.filter((part) => part.state === "missing").length;
  $("progress").textContent = progressWords(r);
  $("headline").replaceChildren(...r.metrics.slice(0, 4).map((m) => {
    const box = document.createElement("div"), dt = document.createElement("dt"), dd = document.createElement("dd");
    const words = (value) => (value === null ? "–" : m.is_share ? percent(value) : decimal(value, 0));
    dt.textContent = m.title;
    if (words(m.measured) === words(m.reviewed)) dd.textContent = words(m.measured);
    else { const del = document.createElement("del"); del.textContent = words(m.measured); dd.append(del, words(m.reviewed)); }
    box.append(dt, dd); return box;
  }));
  $("done").hidden = !r.is_complete;
  $("done").textContent = _("This case is reviewed. Its reviewed numbers stand beside the measured ones.");
  const notes = [];
  if (missing && missing === r.parts.length) notes.push(_("The recording is not at hand: key frames only. Start with --recording to see every picture."));
  else if (missing) notes.push(_n("{n} part of the recording is not at hand: key frames only there.", "{n} parts of the recording are not at hand: key frames only there.", missing));
  if (r.parts.some((part) => part.state === "other")) notes.push(_("A file given with --recording is not the recording that was measured; its pictures are not shown."));
  if (r.stale.length) notes.push(_n("{n} earlier stroke no longer fits this case and must be looked at again: {where}.", "{n} earlier strokes no longer fit this case and must be looked at again: {where}.", r.stale.length, { where: r.stale.map((stroke) => _("line {line} at {time}", { line: stroke.line, time: clock(stroke.time_s) })).join("; ") }));
  if (r.estimated_s) notes.push(_("The area of {seconds} s is estimated between moments at which you said it.", { seconds: decimal(r.estimated_s, 1) }));
  tell(notes.join(" "));
  showEvents();
}

function progressWords(r) {
  if (!r.n_events) return _("no events were measured");
  const all = _n("{n} event", "{n} events", r.n_events);
  if (!r.n_open) return _("{events}, all decided", { events: all });
  return _n("{events}, {left} left, about {n} minute", "{events}, {left} left, about {n} minutes", r.minutes_left, { events: all, left: r.n_open });
}

function showEvents() {
  const rank = new Map(page.review.order.map(([onset], i) => [onset, i]));
  const events = [...page.review.events].sort((a, b) => (rank.get(a.onset_s) ?? 1e9) - (rank.get(b.onset_s) ?? 1e9) || a.onset_s - b.onset_s);
  page.listed = events;
  $("events").replaceChildren(...events.map((event) => {
    const item = document.createElement("li"), button = document.createElement("button");
    const [when, what, verdict] = ["span", "span", "span"].map((tag) => document.createElement(tag));
    when.textContent = clock(event.onset_s);
    what.textContent = [
      `${(event.end_s - event.onset_s).toFixed(0)} s`, event.is_cleared ? "" : _("clearing not seen"), _("peak {area}", { area: percent(event.peak_area_frac) }),
    ].filter(Boolean).join(" · ");
    verdict.textContent = _(VERDICTS[event.verdict]); verdict.className = `verdict ${event.verdict}`;
    if (event.verdict === "struck") what.className = "gone";
    button.append(when, what, verdict);
    button.setAttribute("aria-current", String(isChosen(event)));
    button.addEventListener("click", () => freely(() => choose(event)));
    item.append(button); return item;
  }));
}

const isChosen = (event) => page.chosen !== null && page.chosen.onset_s === event.onset_s && page.chosen.end_s === event.end_s;

function choose(event) {
  page.chosen = event;
  leaveStretch(); // else what is said next would be said of a stretch that is out of sight
  showEvents();
  showStrip(event);
  moveTo(event.peak_s);
  $("events").querySelector('[aria-current="true"]')?.scrollIntoView({ block: "nearest" });
}

function showStrip(event) {
  const n = 8, step = (event.end_s - event.onset_s) / n;
  $("strip").replaceChildren(...Array.from({ length: n }, (_item, i) => {
    const timeS = event.onset_s + (i + 0.5) * step, button = document.createElement("button"), image = document.createElement("img");
    image.src = wire.smallUrl(page.number, timeS); image.alt = _("Picture at {time}", { time: clock(timeS) }); image.loading = "lazy";
    button.append(image); button.addEventListener("click", () => freely(() => moveTo(timeS))); return button;
  }));
}

function chooseNextOpen() {
  const next = page.review.events.find((event) => page.review.order.length && event.onset_s === page.review.order[0][0] && event.is_open);
  if (next) choose(next);
  return Boolean(next);
}

function chooseBeside(direction) {
  const standing = [...page.review.events].sort((a, b) => a.onset_s - b.onset_s);
  if (!standing.length) return;
  const at = page.chosen ? standing.findIndex(isChosen) : -1;
  choose(standing[(at + direction + standing.length) % standing.length]);
}

function moveTo(timeS, isPlaying = false) {
  page.timeS = Math.min(page.facts.duration_s - 1e-3, Math.max(0, timeS));
  leaveMending();
  timeline.at(page.timeS, page.chosen, page.stretch);
  $("where").textContent = timeline.words(page.timeS);
  if (!isPlaying) viewer.show(page.timeS);
}

function moveBySample(direction) {
  const s = page.review.reviewed_series, row = rowAt(s, page.timeS);
  const next = Math.min(s.time_s.length - 1, Math.max(0, row + direction));
  moveTo(s.time_s[next]);
}

async function play() {
  if (page.isPlaying) { stop(); return; }
  page.isPlaying = true; $("play").firstChild.textContent = `${_("Stop")} `;
  const startedMs = performance.now(), fromS = page.timeS;
  while (page.isPlaying && page.timeS < page.facts.duration_s - 0.1) {
    const askedMs = performance.now(), speed = SPEEDS[$("speed").selectedIndex];
    moveTo(fromS + (speed * (askedMs - startedMs)) / 1000, true);
    if (speed <= 2) await viewer.show(page.timeS, true); else await viewer.showNear(page.timeS);
    await new Promise((done) => setTimeout(done, Math.max(0, FRAME_MS - (performance.now() - askedMs))));
  }
  stop();
}

function stop() {
  if (!page.isPlaying) return;
  page.isPlaying = false; $("play").firstChild.textContent = `${_("Play")} `;
  viewer.show(page.timeS);
}

// While one stroke is on its way what follows waits: no key is lost, and each meets what the one before it left.
const waiting = [];
const inTurn = (act) => (page.isBusy ? waiting.push(act) : act());
const freely = (act) => inTurn(() => { if (isFree()) act(); });

// `content` may be still on its way.
async function say(action, content = {}, isNextOpen = false) {
  page.isBusy = true;
  try {
    const before = page.chosen;
    page.review = await wire.say(page.number, { action, reviewer: page.who, ...(await content) });
    leaveMending(); leaveStretch();
    showReview();
    if (isNextOpen && chooseNextOpen()) return;
    page.chosen = page.review.events.find((event) => before && event.onset_s <= page.timeS + 0.01 && event.end_s >= page.timeS - 0.01)
      || page.review.events.find((event) => before && event.onset_s === before.onset_s) || null;
    showEvents(); timeline.at(page.timeS, page.chosen, page.stretch);
    if (page.chosen && (page.chosen.onset_s !== before.onset_s || page.chosen.end_s !== before.end_s)) showStrip(page.chosen);
    $("where").textContent = timeline.words(page.timeS);
  } catch (error) {
    tell(error.message, true); waiting.length = 0; // they were said of what has not happened
  } finally {
    page.isBusy = false;
    while (waiting.length && !page.isBusy) waiting.shift()();
  }
}

const chosenEvent = () => {
  if (page.chosen && page.chosen.verdict !== "struck") return { event: [page.chosen.onset_s, page.chosen.end_s] };
  tell(_("Choose an event first: n goes to the next one."), true);
  return null;
};
const onEvent = (action, content, isNextOpen) => { const event = chosenEvent(); if (event) say(action, { ...event, ...content }, isNextOpen); };

function markStretch(end) {
  if (end === "from") page.mark = page.timeS;
  if (end === "to" && page.mark === null) { tell(_("Set where the stretch begins first: [ at its first moment."), true); return; }
  if (end === "to") page.stretch = page.mark < page.timeS ? [page.mark, page.timeS] : [page.timeS, page.mark];
  $("stretch").hidden = page.stretch === null;
  tell(page.stretch
    ? _("Stretch {start} to {end}: k not blood, l view lost, a blood.", { start: clock(page.stretch[0]), end: clock(page.stretch[1]) })
    : _("Stretch from {start}; ] sets its end.", { start: clock(page.mark) }));
  timeline.at(page.timeS, page.chosen, page.stretch);
}
function leaveStretch() { page.stretch = null; page.mark = null; $("stretch").hidden = true; }
const onStretch = (action, content = {}) => (page.stretch && page.stretch[1] > page.stretch[0] ? say(action, { stretch: page.stretch, ...content }) : tell(_("Mark a stretch first: [ where it begins, ] where it ends."), true));

// What a person sees of the picture shown is a number to type; it starts from what stands there.
function askArea() {
  const s = page.review.reviewed_series, row = rowAt(s, page.timeS), area = row < 0 ? null : s.area_frac[row];
  if (!page.stretch && area !== null) $("area").value = Math.round(100 * area);
  $("area").focus(); $("area").select();
}
function setArea() {
  const area = $("area").valueAsNumber / 100;
  $("area").blur();
  if (!(area >= 0 && area <= 1)) { tell(_("An area is a number from 0 to 100 % of the view."), true); return; }
  if (page.stretch) onStretch("blood", { area_frac: area }); else say("area", { time_s: page.timeS, area_frac: area });
}

function showTool() {
  $("tool").firstChild.textContent = `${_(TOOLS[viewer.tool])} `;
  $("erase").setAttribute("aria-pressed", String(viewer.isErasing));
}
async function mend() {
  if (viewer.mending) { isFree(); return; }
  stop(); // what is drawn on stands still
  try { if (!(await viewer.mend())) return; } catch (error) { tell(error.message, true); return; }
  $("brush").hidden = false; $("draw").setAttribute("aria-pressed", "true");
  showTool(); // each drawing begins with the brush, whatever the one before ended with
}
function leaveMending() {
  const wasMending = viewer.mending !== null;
  viewer.leave();
  if (!wasMending) return;
  $("note").textContent = ""; $("brush").hidden = true; $("draw").setAttribute("aria-pressed", "false");
  $("where").textContent = timeline.words(page.timeS);
}
const tellUnkept = () => tell(_("Keep what you drew first: Enter keeps it, Esc leaves it."), true);
// Leaves a mask on which nothing is drawn yet; one that is drawn on is left by its own keys only.
function isFree() {
  if (viewer.isSaving) return true; // `a` alone does not wait for the answer, and moves no picture
  if (viewer.isDrawn) { tellUnkept(); return false; }
  leaveMending();
  return true;
}
async function keepMask() {
  if (!viewer.mending) return;
  viewer.closePolygon();
  viewer.isSaving = true; // what is drawn from here on would not be in it
  await say("mask", viewer.stroke());
  viewer.isSaving = false; // if it is refused, what was drawn is still there
}

const STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
// While a mask is mended, keys draw; returns whether the key was one of those.
function drawByKey(event) {
  if (!viewer.mending || viewer.isSaving || event.altKey || event.metaKey || event.ctrlKey) return false;
  const step = STEPS[event.key], pixels = event.shiftKey ? 20 : 2;
  if (step) viewer.moveCursor(pixels * step[0], pixels * step[1]);
  else if (!viewer.cursor) return false;
  else if (event.key === "Enter") viewer.putPoint();
  else if (event.key === "Backspace") viewer.takePoint();
  else if (event.key === " " && viewer.polygon?.length > 2) { viewer.closePolygon(); return true; }
  else if (event.key === " ") { tell(_("A polygon needs three points: Enter puts one."), true); return true; }
  else return false;
  tell("");
  showTool();
  $("note").textContent = viewer.cursorWords(); // a status: it is read aloud
  return true;
}

const KEYS = {
  " ": play,
  n: () => chooseBeside(1), p: () => chooseBeside(-1),
  c: () => onEvent("confirm", {}, true), x: () => onEvent("strike", {}, true),
  b: () => onEvent("set_onset", { time_s: page.timeS }), e: () => onEvent("set_clear", { time_s: page.timeS }),
  m: () => onEvent("merge"), s: () => onEvent("split", { time_s: page.timeS }),
  "+": () => { page.chosen = { onset_s: page.timeS, end_s: page.timeS }; say("add", { time_s: page.timeS }); },
  u: () => say("undo"), f: () => say("finish"),
  "[": () => markStretch("from"), "]": () => markStretch("to"),
  k: () => onStretch("not_blood"), l: () => onStretch("view_lost"),
  a: askArea,
  o: () => { $("drawn").firstChild.textContent = `${_(OVERLAYS[viewer.nextDrawn()])} `; },
  d: mend, Enter: keepMask, Escape: leaveMending,
  g: () => { viewer.tool = viewer.tool === "brush" ? "polygon" : "brush"; viewer.polygon = null; showTool(); },
  r: () => { viewer.isErasing = !viewer.isErasing; showTool(); },
};

// What a drawing is made with.
const DRAWING = new Set(["o", "d", "Enter", "Escape", "g", "r"]);
function press(key) { tell(""); if (DRAWING.has(key) || isFree()) KEYS[key](); }

// Far moves: a minute, or to one of the ends.
const FAR = { PageUp: () => page.timeS - 60, PageDown: () => page.timeS + 60, Home: () => 0, End: () => page.facts.duration_s };

document.addEventListener("keydown", (event) => {
  if ($("case").hidden || $("who").open) return;
  const isTyping = event.target.matches("input, select");
  if (isTyping && event.key === "Escape") { event.target.blur(); return; }
  if (isTyping) { if (event.target.id === "area" && event.key === "Enter") { event.preventDefault(); freely(setArea); } return; }
  if (drawByKey(event)) { event.preventDefault(); return; }
  if (event.key === "ArrowLeft" || event.key === "ArrowRight") {
    const direction = event.key === "ArrowLeft" ? -1 : 1;
    const move = event.ctrlKey ? () => moveTo(page.timeS + 10 * direction) : event.shiftKey ? () => moveTo(page.timeS + direction) : () => moveBySample(direction);
    event.preventDefault(); stop(); freely(move); return;
  }
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  if (FAR[event.key]) { event.preventDefault(); stop(); freely(() => moveTo(FAR[event.key]())); return; }
  if (event.target.matches("button, a, summary") && (event.key === " " || event.key === "Enter")) return;
  if (/^[1-5]$/.test(event.key)) { $("speed").selectedIndex = Number(event.key) - 1; event.preventDefault(); return; }
  if (!KEYS[event.key]) return;
  event.preventDefault();
  const act = () => press(event.key);
  if (event.key === "a") act(); // the number is typed at once
  else if (!event.repeat || event.key === "n" || event.key === "p") inTurn(act); // a key held down strikes one event, not all
});
document.addEventListener("click", (event) => { const key = event.target.closest("button[data-key]")?.dataset.key; if (key) inTurn(() => press(key)); });
$("setarea").addEventListener("click", () => freely(setArea));
$("render").addEventListener("click", async () => {
  $("render").disabled = true; $("render").textContent = _("Rendering…");
  try { await wire.render(page.number); tell(_("The report is rendered again with your review.")); } catch (error) { tell(error.message, true); }
  $("render").disabled = false; $("render").textContent = _("Render the report again");
});

async function route() {
  try {
    const rows = await wire.library(), chosen = /^#case-(\d+)/.exec(location.hash), at = /^#(?:case-\d+-)?at-(\d+(?:\.\d+)?)$/.exec(location.hash);
    $("back").hidden = rows.length < 2;
    if (rows.length === 1 || chosen) await openCase(chosen ? Number(chosen[1]) : 0, at ? Number(at[1]) : null);
    else { $("case").hidden = true; $("library").hidden = false; $("title").textContent = _("Cases"); $("progress").textContent = ""; $("headline").replaceChildren(); $("subtitle").textContent = ""; showLibrary(rows); }
  } catch (error) { tell(error.message, true); $("subtitle").textContent = error.message; }
}
window.addEventListener("hashchange", (event) => {
  if (viewer.isDrawn) { history.pushState(null, "", event.oldURL); tellUnkept(); return; }
  leaveMending(); route();
});
window.addEventListener("beforeunload", (event) => { if (viewer.isDrawn) event.preventDefault(); });
route();

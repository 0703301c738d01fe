// The sheet of candidate masks: an answer and, where it helps, some strokes for each still.
"use strict";
const proposal = JSON.parse(document.getElementById("proposal").textContent);
const rows = proposal.candidates;
const ANSWERS = {
  a: ["accept", N_("Accept: this is the blood, and all of it")],
  z: ["zero", N_("Zero: no blood in this still")],
  u: ["undecided", N_("Undecided: what is marked counts neither way")],
  r: ["reject", N_("Reject: to be drawn by hand elsewhere")]};
const BRUSHES = {
  1: ["blood", N_("Add blood")], 2: ["clear", N_("Take away")], 3: ["ignore", N_("Undecided region")]};
const COLORS = {blood: [0, 255, 90], ignore: [255, 200, 0]};
const store = proposal.schema + ":" + proposal.key;
const byId = id => document.getElementById(id);
const canvas = byId("canvas"), pen = canvas.getContext("2d");
let answers = {}, drawn = {}, undo = [], at = 0, brush = null, isShown = true, stroke = null;
let isSaved = true, paces = [], since = Date.now(), still = null, mask = null;

function node(tag, properties, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}
function warn(text) { byId("warning").textContent = text; byId("warning").hidden = !text; }
const LOST = _("This browser keeps nothing between visits: save the answers before you go.");
function keep() {
  try { localStorage.setItem(store, JSON.stringify({answers, drawn, at})); }
  catch (e) { isSaved = false; warn(LOST); }
}
function recall() {
  try {
    const kept = JSON.parse(localStorage.getItem(store) || "{}");
    answers = kept.answers || {}; drawn = kept.drawn || {};
    at = Math.min(kept.at || 0, rows.length - 1);
  } catch (e) { warn(LOST); }
}
const name = () => rows[at].name;
const edits = () => drawn[name()] || [];

function layer() {
  const made = document.createElement("canvas");
  made.width = canvas.width; made.height = canvas.height;
  return made.getContext("2d");
}
function outline(points) {
  const path = new Path2D();
  const x = canvas.width / rows[at].width_px, y = canvas.height / rows[at].height_px;
  points.forEach((p, i) => i ? path.lineTo(p[0] * x, p[1] * y) : path.moveTo(p[0] * x, p[1] * y));
  path.closePath();
  return path;
}
function layers() {
  const made = {blood: layer(), ignore: layer()};
  made.blood.drawImage(mask, 0, 0, canvas.width, canvas.height);
  for (const [kind, points] of edits())
    for (const [own, target] of Object.entries(made)) {
      target.globalCompositeOperation = own === kind ? "source-over" : "destination-out";
      target.fillStyle = "#fff";
      target.fill(outline(points), "evenodd");
    }
  return made;
}
function tint(source, color) {
  const edge = layer(), area = layer(), rgb = "rgb(" + color.join(",") + ")";
  for (const [dx, dy] of [[2,0],[-2,0],[0,2],[0,-2],[1,1],[-1,1],[1,-1],[-1,-1]])
    edge.drawImage(source.canvas, dx, dy);
  edge.globalCompositeOperation = "destination-out";
  edge.drawImage(source.canvas, 0, 0);
  area.drawImage(source.canvas, 0, 0);
  for (const own of [edge, area]) {
    own.globalCompositeOperation = "source-in";
    own.fillStyle = rgb;
    own.fillRect(0, 0, canvas.width, canvas.height);
  }
  pen.globalAlpha = 0.18; pen.drawImage(area.canvas, 0, 0);
  pen.globalAlpha = 1; pen.drawImage(edge.canvas, 0, 0);
}
function paint() {
  if (!still || !still.complete || !mask.complete || !still.naturalWidth) return;
  canvas.width = still.naturalWidth; canvas.height = still.naturalHeight;
  pen.drawImage(still, 0, 0);
  const made = layers();
  if (isShown) for (const kind of ["blood", "ignore"]) tint(made[kind], COLORS[kind]);
  if (stroke && stroke.length > 1) {
    pen.strokeStyle = "#fff"; pen.lineWidth = 2;
    pen.stroke(outline(stroke));
  }
  canvas.dataset.ready = name();
}
function picture(source) {
  const made = new Image();
  made.onload = paint; made.src = source;
  return made;
}
function left() {
  const open = rows.length - Object.keys(answers).length;
  if (!open) return _("all answered: save them");
  if (paces.length < 5) return "";
  const middle = [...paces].sort((a, b) => a - b)[Math.floor(paces.length / 2)];
  return _("about {n} min left at your pace", {n: Math.ceil(open * middle / 60000)});
}
function tell() {
  const given = answers[name()];
  for (const button of document.querySelectorAll("#answers button"))
    button.setAttribute("aria-pressed", String(button.value === given));
  for (const button of document.querySelectorAll("#brushes button"))
    button.setAttribute("aria-pressed", String(button.value === brush));
  byId("stage").className = brush ? "drawing" : "";
  byId("name").textContent = (at + 1) + ". " + name();
  byId("share").textContent = [
    _("{area} proposed as blood", {area: percent(rows[at].blood_frac)}),
    edits().length ? _n("{n} stroke drawn", "{n} strokes drawn", edits().length) : "",
  ].filter(Boolean).join(" · ");
  const nAnswered = Object.keys(answers).length;
  byId("count").textContent = [
    _n("{answered} of {n} still", "{answered} of {n} stills", rows.length, {answered: nAnswered}), left(),
  ].filter(Boolean).join(" · ");
  [...byId("map").children].forEach((cell, i) => {
    cell.className = answers[rows[i].name] || "";
    cell.setAttribute("aria-current", String(i === at));
  });
}
function go(to) {
  at = Math.max(0, Math.min(rows.length - 1, to));
  stroke = null; brush = null; isShown = true; since = Date.now();
  still = picture(rows[at].still); mask = picture(rows[at].mask);
  tell(); paint();
  byId("map").children[at].scrollIntoView({block: "nearest"});
}
function next() {
  for (let step = 1; step < rows.length; step++) {
    const to = (at + step) % rows.length;
    if (!(rows[to].name in answers)) return go(to);
  }
  tell();
}
function remember() {
  const own = name();
  undo.push([at, answers[own], edits().slice()]);
}
function answer(value) {
  remember();
  answers[name()] = value;
  paces.push(Math.min(Date.now() - since, 180000)); paces = paces.slice(-25);
  next(); keep();
}
function revert() {
  const last = undo.pop();
  if (!last) return;
  const own = rows[last[0]].name;
  if (last[1]) answers[own] = last[1]; else delete answers[own];
  if (last[2].length) drawn[own] = last[2]; else delete drawn[own];
  const chosen = brush;
  go(last[0]); brush = chosen; tell(); keep();
}
function place(event) {
  // The picture is fitted into the canvas's box, so that there may be bars beside it.
  const box = canvas.getBoundingClientRect();
  const scale = Math.min(box.width / canvas.width, box.height / canvas.height);
  const x = 0.5 + (event.clientX - box.left - box.width / 2) / (scale * canvas.width);
  const y = 0.5 + (event.clientY - box.top - box.height / 2) / (scale * canvas.height);
  const round = v => Math.round(10 * v) / 10;
  return [round(x * rows[at].width_px), round(y * rows[at].height_px)];
}
canvas.onpointerdown = event => {
  if (!brush) return;
  canvas.setPointerCapture(event.pointerId);
  stroke = [place(event)];
};
canvas.onpointermove = event => {
  if (!stroke) return;
  const point = place(event), last = stroke[stroke.length - 1];
  if (Math.hypot(point[0] - last[0], point[1] - last[1]) >= 1) { stroke.push(point); paint(); }
};
canvas.onpointerup = () => {
  if (!stroke) return;
  const points = stroke;
  stroke = null;
  if (points.length > 2) {
    remember();
    drawn[name()] = [...edits(), [brush, points]];
    isShown = true;
    keep();
  }
  tell(); paint();
};
canvas.onpointercancel = () => { stroke = null; paint(); };
function choose(value) { brush = brush === value ? null : value; tell(); }
function save() {
  const given = {};
  for (const [own, value] of Object.entries(answers))
    given[own] = {answer: value, edits: drawn[own] || []};
  const text = JSON.stringify({schema: proposal.schema, key: proposal.key, answers: given}, null, 1);
  const link = node("a", {download: "answers.json",
    href: URL.createObjectURL(new Blob([text], {type: "application/json"}))});
  link.click();
  isSaved = true;
  return text;
}
byId("save").onclick = save;
byId("load").onclick = () => byId("file").click();
byId("file").onchange = async event => {
  try {
    const table = JSON.parse(await event.target.files[0].text());
    if (table.schema !== proposal.schema || table.key !== proposal.key) throw new Error();
    for (const [own, value] of Object.entries(table.answers)) {
      answers[own] = value.answer;
      if (value.edits.length) drawn[own] = value.edits; else delete drawn[own];
    }
    warn(""); next(); keep();
  } catch (e) { warn(_("This file holds no answers of this sheet.")); }
};
const acts = {
  " ": () => { isShown = !isShown; paint(); }, ArrowLeft: () => go(at - 1),
  ArrowRight: () => go(at + 1), n: next, Backspace: revert, s: save,
  Escape: () => { stroke = null; brush = null; tell(); paint(); }};
for (const [key, [value]] of Object.entries(ANSWERS)) acts[key] = () => answer(value);
for (const [key, [value]] of Object.entries(BRUSHES)) acts[key] = () => choose(value);
document.addEventListener("keydown", event => {
  const isUndo = (event.ctrlKey || event.metaKey) && event.key === "z";
  if (!isUndo && (event.ctrlKey || event.metaKey || event.altKey)) return;
  const act = isUndo ? revert : acts[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (act) { event.preventDefault(); act(); }
});
// A button that keeps the focus after a click would take the space bar for itself.
document.addEventListener("click", event => {
  if (event.detail && document.activeElement) document.activeElement.blur();
});
window.addEventListener("beforeunload", event => { if (!isSaved) event.preventDefault(); });
for (const [key, [value, words]] of Object.entries(ANSWERS))
  byId("answers").append(node("button", {type: "button", value, onclick: () => answer(value)},
    node("kbd", {textContent: key}), node("i", {className: value}), _(words)));
for (const [key, [value, words]] of Object.entries(BRUSHES))
  byId("brushes").append(node("button", {type: "button", value, onclick: () => choose(value)},
    node("kbd", {textContent: key}), _(words)));
rows.forEach((row, i) => byId("map").append(
  node("button", {type: "button", title: row.name, onclick: () => go(i)})));
recall();
if (rows.length) go(at);

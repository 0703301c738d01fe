// The case as one picture: area, thresholds, events, lost stretches, parts, and where we are.
import { clock, rowAt } from "./clock.js";

const COLORS = { area: "#b3123a", was: "#9aa7b2", lost: "#d5dbe0", line: "#c9d2d9", veil: "#ffffff8c", ink: "#12202b", quiet: "#4a5a67",
  open: "#7a8894", confirmed: "#0b6b4f", mended: "#0b6b4f", added: "#0b6b4f", struck: "#b3123a" };

export class Timeline {
  constructor(canvas, onMove) {
    this.canvas = canvas;
    this.onMove = onMove;
    this.timeS = 0;
    new ResizeObserver(() => this.draw()).observe(canvas);
    let isHeld = false;
    const to = (event) => this.onMove(this.timeAt(event.offsetX));
    canvas.addEventListener("pointerdown", (event) => { isHeld = true; canvas.setPointerCapture(event.pointerId); to(event); });
    canvas.addEventListener("pointermove", (event) => { if (isHeld) to(event); });
    for (const end of ["pointerup", "pointercancel", "lostpointercapture"]) canvas.addEventListener(end, () => { isHeld = false; });
  }

  show(facts, review) {
    this.facts = facts; this.review = review;
    this.canvas.setAttribute("aria-valuemax", facts.duration_s.toFixed(1));
    this.draw();
  }

  at(timeS, chosen, stretch) {
    this.timeS = timeS; this.chosen = chosen; this.stretch = stretch;
    this.canvas.setAttribute("aria-valuenow", timeS.toFixed(1));
    this.canvas.setAttribute("aria-valuetext", this.words(timeS));
    this.draw();
  }

  words(timeS) {
    if (!this.review) return clock(timeS);
    const series = this.review.reviewed_series, row = rowAt(series, timeS);
    if (row < 0) return `${clock(timeS)} · ${_("nothing recorded")}`;
    const area = series.area_frac[row];
    const state = area === null ? this.facts.loss_words[series.reason[row]] || _("view lost") : _("{area} of the view obscured", { area: percent(area) });
    return `${clock(timeS)} · ${state}${this.review.is_estimated[row] ? ` ${_("(estimated)")}` : ""}`;
  }

  timeAt(x) { return Math.min(this.facts.duration_s, Math.max(0, (x / this.canvas.clientWidth) * this.facts.duration_s)); }

  draw() {
    if (!this.facts) return;
    const ratio = window.devicePixelRatio || 1, width = this.canvas.clientWidth, height = this.canvas.clientHeight;
    this.canvas.width = Math.round(width * ratio); this.canvas.height = Math.round(height * ratio);
    const c = this.canvas.getContext("2d");
    c.scale(ratio, ratio);
    const plot = { x: (t) => (t / this.facts.duration_s) * width, top: 20, bottom: height - 16, width };
    // Square root: 5 % must be seen beside 80 %.
    plot.y = (a) => plot.bottom - Math.sqrt(Math.min(1, a)) * (plot.bottom - plot.top);
    this.drawLost(c, plot); this.drawThresholds(c, plot);
    this.drawArea(c, plot, this.facts.series, COLORS.was, false);
    this.drawArea(c, plot, this.review.reviewed_series, COLORS.area, true);
    this.drawJudged(c, plot); this.nameThresholds(c, plot); this.drawEvents(c, plot); this.drawAxis(c, plot, height); this.drawCursor(c, plot, height);
  }

  drawLost(c, plot) {
    const s = this.review.reviewed_series;
    c.fillStyle = COLORS.lost;
    for (let i = 0; i < s.time_s.length; i += 1) {
      if (s.area_frac[i] === null) c.fillRect(plot.x(s.time_s[i]), plot.top, Math.max(0.5, plot.x(s.duration_s[i])), plot.bottom - plot.top);
    }
    c.strokeStyle = COLORS.quiet; c.setLineDash([2, 3]);
    for (const part of this.review.parts.slice(1)) { c.beginPath(); c.moveTo(plot.x(part.start_s), plot.top); c.lineTo(plot.x(part.start_s), plot.bottom); c.stroke(); }
    c.setLineDash([]);
  }

  drawThresholds(c, plot) {
    for (const frac of [this.facts.onset_frac, this.facts.impaired_frac]) {
      c.strokeStyle = COLORS.line; c.beginPath(); c.moveTo(0, plot.y(frac)); c.lineTo(plot.width, plot.y(frac)); c.stroke();
    }
  }

  // Over the area, on a ground of their own: a case that begins in blood hides them otherwise.
  nameThresholds(c, plot) {
    c.font = "11px Inter, 'BIZ UDPGothic', sans-serif"; c.textBaseline = "bottom";
    for (const [frac, words] of [[this.facts.onset_frac, _("onset {area}", { area: percent(this.facts.onset_frac, 0) })], [this.facts.impaired_frac, _("impaired {area}", { area: percent(this.facts.impaired_frac, 0) })]]) {
      c.fillStyle = "#ffffffd9"; c.fillRect(2, plot.y(frac) - 14, c.measureText(words).width + 4, 13);
      c.fillStyle = COLORS.quiet; c.fillText(words, 4, plot.y(frac) - 1);
    }
  }

  // The largest area that falls on each column of pixels: no peak is lost, however long the case.
  drawArea(c, plot, s, color, isFilled) {
    const tops = new Float32Array(Math.ceil(plot.width) + 1).fill(-1);
    for (let i = 0; i < s.time_s.length; i += 1) {
      if (s.area_frac[i] === null) continue;
      const from = Math.floor(plot.x(s.time_s[i])), to = Math.ceil(plot.x(s.time_s[i] + s.duration_s[i]));
      for (let x = from; x < Math.max(to, from + 1) && x < tops.length; x += 1) tops[x] = Math.max(tops[x], s.area_frac[i]);
    }
    c.fillStyle = color;
    tops.forEach((area, x) => {
      if (area < 0) return;
      const y = plot.y(area);
      if (isFilled) c.fillRect(x, y, 1, Math.max(1, plot.bottom - y)); else c.fillRect(x, y, 1, 1.5);
    });
  }

  // Rings where a person said or drew the area; a pale veil where it is estimated between them.
  drawJudged(c, plot) {
    const s = this.review.reviewed_series;
    c.fillStyle = COLORS.veil;
    this.review.is_estimated.forEach((isEstimated, i) => {
      if (isEstimated) c.fillRect(plot.x(s.time_s[i]), plot.y(s.area_frac[i]), Math.max(0.5, plot.x(s.duration_s[i])), plot.bottom - plot.y(s.area_frac[i]));
    });
    c.strokeStyle = COLORS.ink; c.fillStyle = "#fff";
    for (const timeS of this.review.judged_s) {
      const row = rowAt(s, timeS);
      if (row < 0 || s.area_frac[row] === null) continue;
      c.beginPath(); c.arc(plot.x(timeS), plot.y(s.area_frac[row]), 3, 0, 2 * Math.PI); c.fill(); c.stroke();
    }
  }

  drawEvents(c, plot) {
    for (const event of this.review.events) {
      const x = plot.x(event.onset_s), w = Math.max(2, plot.x(event.end_s) - x);
      const isChosen = this.chosen && this.chosen.onset_s === event.onset_s && this.chosen.end_s === event.end_s;
      c.fillStyle = COLORS[event.verdict];
      if (event.verdict === "struck") { c.fillRect(x, 11, w, 1.5); } else if (event.verdict === "open") { c.strokeStyle = COLORS.open; c.strokeRect(x + 0.5, 7.5, Math.max(1, w - 1), 7); } else { c.fillRect(x, 7, w, 8); }
      if (isChosen) { c.strokeStyle = "#0a5ea8"; c.lineWidth = 2; c.strokeRect(x - 1, 4, w + 2, plot.bottom - 3); c.lineWidth = 1; }
    }
    if (this.stretch) {
      c.fillStyle = "#0a5ea833";
      c.fillRect(plot.x(this.stretch[0]), plot.top, Math.max(1, plot.x(this.stretch[1] - this.stretch[0])), plot.bottom - plot.top);
    }
  }

  drawAxis(c, plot, height) {
    const steps = [10, 30, 60, 120, 300, 600, 900, 1800, 3600];
    const step = steps.find((s) => plot.x(s) > 70) || 7200;
    c.fillStyle = COLORS.quiet; c.textBaseline = "alphabetic";
    for (let t = 0; t <= this.facts.duration_s; t += step) c.fillText(clock(t).replace(/[.,]0$/, ""), plot.x(t) + 2, height - 4);
  }

  drawCursor(c, plot, height) {
    c.strokeStyle = COLORS.ink; c.beginPath(); c.moveTo(plot.x(this.timeS), 0); c.lineTo(plot.x(this.timeS), height); c.stroke();
  }
}

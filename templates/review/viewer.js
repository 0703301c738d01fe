// The picture of a moment: the nearest at once, then the exact one; its mask; and mending it.
import * as wire from "./wire.js";
import { clock } from "./clock.js";

const DRAWN = ["outline", "fill", "off"];

export class Viewer {
  constructor(elements, onTold) {
    Object.assign(this, elements); // picture, overlay, note, stage
    this.onTold = onTold;
    this.drawn = "outline";
    this.mending = null; // the mask that is drawn on, with the moment of its picture
    this.isSaving = false;
    this.nShown = 0;
    this.asking = new AbortController();
    this.toMend = new AbortController();
    this.showing = Promise.resolve();
    new ResizeObserver(() => this.fit()).observe(this.stage);
    this.overlay.addEventListener("pointerdown", (event) => this.pen(event, true));
    this.overlay.addEventListener("pointermove", (event) => this.pen(event, event.buttons === 1));
    this.overlay.addEventListener("dblclick", () => this.closePolygon());
  }

  open(number) {
    this.leave(); this.asking.abort();
    this.number = number; this.shownS = null; this.mask = null; this.nShown += 1;
  }

  get width() { return Math.min(1920, Math.round(this.stage.clientWidth * (window.devicePixelRatio || 1))); }

  // Newest wins: a moment that is passed over is not waited for, on either side of the wire.
  show(timeS, isPlaying = false) {
    return this.instead(async (signal) => {
      this.wantedS = timeS;
      if (!isPlaying) this.paint(await this.newest(timeS, false, signal));
      const shown = await this.newest(timeS, true, signal);
      this.paint(shown);
      // A key frame stands in where the recording is not at hand: nobody asked for a mask of it.
      if (shown.isExact && !isPlaying) await this.showMask(signal);
    });
  }

  // Faster than the recording decodes: the key pictures on the way.
  showNear(timeS) {
    return this.instead(async (signal) => this.paint(await wire.picture(this.number, timeS, false, this.width, signal)));
  }

  // On its way a request may be overtaken by an earlier one, which the server then takes for the newest: it
  // is asked again, a few times only, since another tab may be asking too.
  async newest(timeS, isExact, signal) {
    for (let nLeft = 5; ; nLeft -= 1) {
      try {
        return await wire.picture(this.number, timeS, isExact, this.width, signal);
      } catch (error) {
        if (!error.isSuperseded || signal.aborted || !nLeft) throw error;
      }
    }
  }

  // Ends what was asked before, also a mask to draw on: it would be one of a picture that is gone.
  instead(ask) {
    this.asking.abort(); this.toMend.abort();
    this.asking = new AbortController();
    this.showing = ask(this.asking.signal).catch((error) => this.complain(error));
    return this.showing;
  }

  complain(error) { if (error.name !== "AbortError" && !error.isSuperseded) this.onTold(error.message); }

  paint({ bitmap, timeS, isExact }) {
    this.shownS = timeS; this.bitmap = bitmap; this.mask = null; this.nShown += 1;
    this.picture.width = bitmap.width; this.picture.height = bitmap.height;
    this.picture.getContext("2d").drawImage(bitmap, 0, 0);
    this.picture.setAttribute("aria-label", _("Picture at {time}", { time: clock(timeS) }));
    const off = Math.abs(timeS - this.wantedS);
    this.note.textContent = isExact || off < 0.05 ? "" : _("{time}: the nearest picture at hand", { time: clock(timeS) });
    this.picture.dataset.exact = isExact ? "1" : "0";
    this.fit(); this.drawMask();
  }

  fit() {
    if (!this.bitmap) return;
    const scale = Math.min(this.stage.clientWidth / this.bitmap.width, this.stage.clientHeight / this.bitmap.height);
    for (const canvas of [this.picture, this.overlay]) {
      canvas.style.width = `${this.bitmap.width * scale}px`; canvas.style.height = `${this.bitmap.height * scale}px`;
    }
  }

  async showMask(signal) {
    if (this.drawn === "off") return;
    await this.takeMask(signal);
    this.drawMask();
  }

  // Returns whether the mask is that of the picture on screen: another may have come meanwhile.
  async takeMask(signal) {
    const nShown = this.nShown;
    const told = await wire.mask(this.number, this.shownS, signal);
    const mask = await pixels(told.mask_png), field = await pixels(told.field_png);
    if (signal.aborted || nShown !== this.nShown || Math.abs(told.time_s - this.shownS) > 0.05) return false;
    this.mask = mask; this.field = field;
    return true;
  }

  drawMask() {
    const mask = this.mending || this.mask;
    const canvas = this.overlay, c = canvas.getContext("2d");
    if (!mask) { canvas.width = 1; canvas.height = 1; return; }
    canvas.width = mask.width * 3; canvas.height = mask.height * 3;
    if (this.drawn === "off" && !this.mending) return;
    c.fillStyle = this.drawn === "fill" || this.mending ? "#00d8ff66" : "#00d8ff";
    const isSet = (x, y) => x >= 0 && y >= 0 && x < mask.width && y < mask.height && mask.on[y * mask.width + x];
    for (let y = 0; y < mask.height; y += 1) {
      for (let x = 0; x < mask.width; x += 1) {
        if (!isSet(x, y)) continue;
        if (this.drawn === "fill" || this.mending) { c.fillRect(3 * x, 3 * y, 3, 3); continue; }
        if (!isSet(x - 1, y)) c.fillRect(3 * x, 3 * y, 1, 3);
        if (!isSet(x + 1, y)) c.fillRect(3 * x + 2, 3 * y, 1, 3);
        if (!isSet(x, y - 1)) c.fillRect(3 * x, 3 * y, 3, 1);
        if (!isSet(x, y + 1)) c.fillRect(3 * x, 3 * y + 2, 3, 1);
      }
    }
    if (this.cursor && this.mending) this.drawCursor(c, canvas);
    if (this.polygon) { c.strokeStyle = "#ffd400"; c.lineWidth = 2; c.beginPath(); this.polygon.forEach(([x, y], i) => (i ? c.lineTo(3 * x, 3 * y) : c.moveTo(3 * x, 3 * y))); c.stroke(); c.fillStyle = "#ffd400"; this.polygon.forEach(([x, y]) => c.fillRect(3 * x - 4, 3 * y - 4, 8, 8)); }
  }

  nextDrawn() {
    this.drawn = DRAWN[(DRAWN.indexOf(this.drawn) + 1) % DRAWN.length];
    this.drawMask();
    if (this.shownS !== null && !this.mask) this.showMask(this.asking.signal).catch((error) => this.complain(error));
    return this.drawn;
  }

  // Returns whether there is a mask to draw on: not if the page moved on while it was on its way.
  async mend() {
    this.toMend.abort();
    const { signal } = (this.toMend = new AbortController());
    await this.showing; // the picture asked for, and not the one that stands in for it
    if (signal.aborted || this.shownS === null) return false;
    try {
      if (!this.mask && !(await this.takeMask(signal))) return false;
    } catch (error) {
      if (error.name === "AbortError") return false;
      throw error;
    }
    this.mending = { timeS: this.shownS, width: this.mask.width, height: this.mask.height, on: this.mask.on.slice(), before: this.mask.on };
    this.tool = "brush"; this.isErasing = false; this.polygon = null;
    this.overlay.classList.add("drawing"); this.drawMask();
    return true;
  }

  // Drawing by keys: a cursor of its own, moved in pixels of the mask, whose points are a polygon's.
  moveCursor(dx, dy) {
    const m = this.mending, last = this.cursor || this.lastCursor || [m.width / 2, m.height / 2];
    const within = (at, size) => Math.min(size - 1, Math.max(0, at));
    this.cursor = [within(last[0] + dx, m.width), within(last[1] + dy, m.height)];
    this.tool = "polygon"; this.drawMask();
  }

  putPoint() { (this.polygon ||= []).push([...this.cursor]); this.drawMask(); }
  takePoint() { this.polygon?.pop(); this.drawMask(); }

  cursorWords() {
    const m = this.mending, [x, y] = this.cursor, n = this.polygon?.length || 0;
    const isBlood = m.on[Math.floor(y) * m.width + Math.floor(x)];
    const places = { across: percent(x / m.width, 0), down: percent(y / m.height, 0) };
    const where = isBlood ? _("Cursor {across} across, {down} down, on blood", places) : _("Cursor {across} across, {down} down, on no blood", places);
    return `${where}; ${_n("{n} point", "{n} points", n)}`;
  }

  drawCursor(c, canvas) {
    const [x, y] = [3 * this.cursor[0], 3 * this.cursor[1]];
    for (const [color, width] of [["#12202b", 5], ["#ffd400", 2]]) { // seen on any picture
      c.strokeStyle = color; c.lineWidth = width; c.beginPath();
      c.moveTo(x, 0); c.lineTo(x, canvas.height); c.moveTo(0, y); c.lineTo(canvas.width, y); c.stroke();
      c.strokeRect(x - 9, y - 9, 18, 18);
    }
  }

  // Whether leaving would lose something.
  get isDrawn() {
    const m = this.mending;
    return m !== null && (Boolean(this.polygon?.length) || m.on.some((on, i) => on !== m.before[i]));
  }

  leave() {
    this.toMend.abort();
    if (!this.mending) return;
    this.mending = null; this.isSaving = false; this.polygon = null; this.cursor = null; this.lastCursor = null; this.overlay.classList.remove("drawing"); this.drawMask();
  }

  pen(event, isDown) {
    if (!this.mending || this.isSaving || !isDown) return;
    const x = (event.offsetX / this.overlay.clientWidth) * this.mending.width, y = (event.offsetY / this.overlay.clientHeight) * this.mending.height;
    if (this.tool === "polygon") { if (event.type === "pointerdown") { (this.polygon ||= []).push([x, y]); this.drawMask(); } return; }
    const radius = this.mending.width / 40;
    this.each((px, py) => (px - x) ** 2 + (py - y) ** 2 <= radius ** 2);
  }

  closePolygon() {
    if (!this.mending || this.isSaving || !this.polygon || this.polygon.length < 3) return;
    const p = this.polygon;
    this.polygon = null;
    this.lastCursor = this.cursor || this.lastCursor; this.cursor = null;
    this.each((x, y) => { // even–odd rule
      let isIn = false;
      for (let i = 0, j = p.length - 1; i < p.length; j = i, i += 1) {
        if (p[i][1] > y !== p[j][1] > y && x < ((p[j][0] - p[i][0]) * (y - p[i][1])) / (p[j][1] - p[i][1]) + p[i][0]) isIn = !isIn;
      }
      return isIn;
    });
  }

  each(isInside) {
    const m = this.mending;
    for (let y = 0; y < m.height; y += 1) for (let x = 0; x < m.width; x += 1) if (isInside(x + 0.5, y + 0.5)) m.on[y * m.width + x] = this.isErasing ? 0 : 1;
    this.drawMask(); this.onArea(this.area());
  }

  area() {
    let n = 0, all = 0;
    this.field.on.forEach((inField, i) => { if (inField) { all += 1; n += this.mending.on[i]; } });
    return n / all;
  }

  // What is drawn, as a stroke of the journal.
  async stroke() { return { time_s: this.mending.timeS, mask_png: await this.drawnPng() }; }

  async drawnPng() {
    const m = this.mending, canvas = new OffscreenCanvas(m.width, m.height), c = canvas.getContext("2d"), image = c.createImageData(m.width, m.height);
    m.on.forEach((on, i) => image.data.set(on ? [255, 255, 255, 255] : [0, 0, 0, 255], 4 * i));
    c.putImageData(image, 0, 0);
    const bytes = new Uint8Array(await (await canvas.convertToBlob({ type: "image/png" })).arrayBuffer());
    let text = ""; bytes.forEach((byte) => { text += String.fromCharCode(byte); });
    return btoa(text);
  }
}

async function pixels(base64) {
  const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
  const bitmap = await createImageBitmap(new Blob([bytes], { type: "image/png" }));
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height), c = canvas.getContext("2d");
  c.drawImage(bitmap, 0, 0);
  const rgba = c.getImageData(0, 0, bitmap.width, bitmap.height).data, on = new Uint8Array(bitmap.width * bitmap.height);
  for (let i = 0; i < on.length; i += 1) on[i] = rgba[4 * i] > 127 ? 1 : 0;
  return { width: bitmap.width, height: bitmap.height, on };
}

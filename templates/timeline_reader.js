// Reads the timeline of a static report: hover it, or focus it and press keys, and a line below
// tells time, area or why the view was lost there. Everything comes from the page's own data block;
// without scripts the drawing stays as it is. The page's policy allows this very text by its hash.
"use strict";
(() => {
  const drawing = document.querySelector("#figure-timeline .drawing");
  const held = document.getElementById("case-data"), wording = document.getElementById("timeline-words");
  if (!drawing || !held || !wording) return;
  const { series, events } = JSON.parse(held.textContent), words = JSON.parse(wording.textContent);
  const starts = series.time_s, n = starts.length, end = starts[n - 1] + series.duration_s[n - 1];
  const language = document.documentElement.lang;

  const made = (tag, name, parent) => Object.assign(parent.appendChild(document.createElement(tag)), { className: name });
  const frame = made("div", "time-frame", drawing);
  frame.append(drawing.querySelector("svg"));
  const reader = made("div", "time-reader", frame), line = made("div", "time-line", reader);
  const said = made("p", "time-said", drawing.parentNode);
  drawing.after(said);
  reader.style.left = `${100 * words.left_frac}%`;
  reader.style.right = `${100 * words.right_frac}%`;
  reader.tabIndex = 0;
  said.textContent = words.hint;
  for (const [name, value] of Object.entries({
    role: "slider", "aria-label": words.name, "aria-valuemin": 0, "aria-valuemax": Math.round(end),
    "aria-valuenow": 0, "aria-valuetext": words.hint,
  })) reader.setAttribute(name, value);

  const clock = seconds => {
    const whole = Math.floor(seconds), two = value => String(value).padStart(2, "0");
    return `${Math.floor(whole / 3600)}:${two(Math.floor(whole / 60) % 60)}:${two(whole % 60)}`;
  };
  const filled = (text, values) => text.replace(/\{(\w+)\}/g, (_, name) => values[name]);
  const eventAt = seconds => events.findIndex(event => event.onset_s <= seconds && seconds < event.end_s);
  // The last row that starts at or before a moment: rows are in order and do not overlap.
  const rowAt = seconds => {
    let low = 0, high = n - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (starts[middle] <= seconds) low = middle; else high = middle - 1;
    }
    return low;
  };
  const percent = frac => {
    const tenths = frac > 0 && frac < 0.0005 ? 0.1 : 100 * frac;
    const number = tenths.toLocaleString(language, { minimumFractionDigits: 1, maximumFractionDigits: 1 });
    return `${frac > 0 && frac < 0.0005 ? "<\u00a0" : ""}${number}\u00a0%`;
  };
  const sentence = row => {
    const area = series.area_frac[row], reason = series.reason[row], number = eventAt(starts[row]);
    const state = area === null
      ? filled(words.lost, { reason: words.reasons[reason] })
      : filled(words.obscured, { area: percent(area) });
    const parts = [clock(starts[row]), state];
    if (number >= 0) parts.push(filled(words.event, { number: number + 1 }));
    return parts.join(" · ");
  };

  let row = 0;
  const show = wanted => {
    row = Math.min(Math.max(wanted, 0), n - 1);
    const text = sentence(row);
    line.style.left = `${100 * (starts[row] + series.duration_s[row] / 2) / end}%`;
    reader.classList.add("is-read");
    said.textContent = text;
    reader.setAttribute("aria-valuenow", Math.round(starts[row]));
    reader.setAttribute("aria-valuetext", text);
  };
  const pointed = moved => {
    const box = reader.getBoundingClientRect();
    return end * Math.min(Math.max((moved.clientX - box.left) / box.width, 0), 1);
  };
  // An event's pictures if it has any, else its row in the table.
  const jump = number => {
    if (number < 0) return;
    const pictures = `event-${number + 1}-stills`;
    location.hash = document.getElementById(pictures) ? pictures : `event-${number + 1}`;
  };
  const neighbor = step => {
    const onsets = events.map(event => event.onset_s);
    const next = step > 0
      ? onsets.find(onset => rowAt(onset) > row)
      : onsets.findLast(onset => rowAt(onset) < row);
    return next === undefined ? row : rowAt(next);
  };
  const keys = {
    ArrowRight: () => show(row + 1), ArrowLeft: () => show(row - 1),
    ArrowUp: () => show(row + 1), ArrowDown: () => show(row - 1),
    PageDown: () => show(neighbor(1)), PageUp: () => show(neighbor(-1)),
    Home: () => show(0), End: () => show(n - 1),
    Enter: () => jump(eventAt(starts[row])),
  };
  // The review page shows this report in a frame and asks for links to its moments; the file by itself
  // has nobody to tell, and keeps times in words.
  window.addEventListener("message", asked => {
    if (window.parent === window || asked.source !== window.parent || asked.data !== "moments") return;
    for (const place of document.querySelectorAll("tr[data-time-s] > :first-child, [data-at-s] > h4")) {
      const { timeS, atS } = place.parentNode.dataset, link = made("button", "moment", place);
      link.textContent = words.open;
      link.addEventListener("click", () => window.parent.postMessage(Number(timeS ?? atS), "*"));
    }
  });
  reader.addEventListener("pointermove", moved => show(rowAt(pointed(moved))));
  reader.addEventListener("click", clicked => jump(eventAt(pointed(clicked))));
  reader.addEventListener("focus", () => show(row));
  reader.addEventListener("keydown", pressed => {
    if (!keys[pressed.key]) return;
    pressed.preventDefault();
    keys[pressed.key]();
  });
})();

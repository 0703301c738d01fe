// A report while `ubereport review` runs: the file in a frame, whose moments open in the review page.
import * as wire from "./wire.js";

const number = Number(/^#case-(\d+)$/.exec(location.hash)?.[1] ?? 0), frame = document.getElementById("report");

// The frame may do nothing but show itself and name a moment: it is sandboxed and of no origin.
window.addEventListener("message", ({ source, data }) => {
  if (source === frame.contentWindow && Number.isFinite(data) && data >= 0) location.assign(`/#case-${number}-at-${data.toFixed(3)}`);
});
frame.addEventListener("load", () => frame.contentWindow.postMessage("moments", "*"));
try {
  await wire.hasReport(number);
  frame.src = wire.reportUrl(number);
} catch (error) { document.getElementById("said").textContent = error.message; }

// What the page asks of the server. Every answer that is no success carries one sentence.
export class Refused extends Error {}

async function asked(path, options) {
  let answer;
  try {
    answer = await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused(_("The review server does not answer. Start `ubereport review` again; what was said is kept."));
  }
  if (answer.ok) return answer;
  const text = await answer.text();
  let told = {};
  try { told = JSON.parse(text); } catch { told = { error: text }; }
  const refused = new Refused(told.error || _("The server answered {status}.", { status: answer.status }));
  refused.isSuperseded = told.superseded === true;
  throw refused;
}

// Rounded shorter, a moment may lie before the picture that begins at it: the one before is meant then.
const inFull = (timeS) => timeS.toFixed(6);
const json = async (path, options) => (await asked(path, options)).json();

export const library = () => json("/api/library");
export const facts = (n) => json(`/api/cases/${n}/facts`);
export const review = (n, who) => json(`/api/cases/${n}/review?reviewer=${encodeURIComponent(who)}`);
export const mask = (n, timeS, signal) => json(`/api/cases/${n}/mask?time_s=${inFull(timeS)}`, { signal });
export const say = (n, stroke) => json(`/api/cases/${n}/strokes`, {
  method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(stroke),
});
export const render = (n) => json(`/api/cases/${n}/render`, { method: "POST" });
export const smallUrl = (n, timeS) => `/api/cases/${n}/small?time_s=${timeS.toFixed(3)}&width=160`;
export const reportUrl = (n) => `/api/cases/${n}/report`;
export const hasReport = (n) => asked(reportUrl(n));
export const reportPage = (n) => `/report#case-${n}`;

export async function picture(n, timeS, isExact, width, signal) {
  const answer = await asked(
    `/api/cases/${n}/picture?time_s=${inFull(timeS)}&exact=${isExact ? 1 : 0}&width=${width}`, { signal });
  const bitmap = await createImageBitmap(await answer.blob());
  signal.throwIfAborted(); // making a bitmap is not ended by the signal
  return { bitmap, timeS: Number(answer.headers.get("X-Time-S")), isExact: answer.headers.get("X-Exact") === "1" };
}

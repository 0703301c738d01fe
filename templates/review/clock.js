// Times as a reviewer needs them: tenths of seconds, since onsets are set by them, and no row outside of
// the case. timeline_reader.js has its own: a static report is one file that imports nothing, tells whole
// seconds as its printed pages do, and has a row under every point of its drawing.
export function clock(seconds) {
  const s = Math.round(10 * Math.max(0, seconds)) / 10; // 119.96 s are 2:00.0, not 1:60.0
  const h = Math.floor(s / 3600), m = Math.floor(s / 60) % 60, rest = decimal(s % 60, 1).padStart(4, "0");
  return h ? `${h}:${String(m).padStart(2, "0")}:${rest}` : `${m}:${rest}`;
}

// The row of a series that holds a moment, or -1: rows are in order and do not overlap.
export function rowAt(series, timeS) {
  let low = 0, high = series.time_s.length;
  while (low < high) {
    const mid = (low + high) >> 1;
    if (series.time_s[mid] <= timeS + 1e-6) low = mid + 1; else high = mid;
  }
  const row = low - 1;
  return row >= 0 && timeS < series.time_s[row] + series.duration_s[row] + 1e-6 ? row : -1;
}

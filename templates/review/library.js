// All cases: find, sort, filter, open.
import { reportPage } from "./wire.js";

const COLUMNS = [
  ["case_id", N_("Case"), (row) => row.case_id || row.folder, false],
  ["impaired_share_20", N_("View obscured ≥ 20 %"), (row) => percent(row.impaired_share_20), true],
  ["event_count", N_("Events"), (row) => row.event_count ?? "–", true],
  ["coverage_frac", N_("Coverage"), (row) => percent(row.coverage_frac), true],
  ["n_warnings", N_("Warnings"), (row) => row.n_warnings || "", true],
  ["n_strokes", N_("Review"), (row) => (row.problem ? row.problem : row.n_strokes ? `${_n("{n} stroke", "{n} strokes", row.n_strokes)} · ${row.numbers === "reviewed" ? _("numbers reviewed") : _("numbers as measured")}` : _("not begun")), false],
  ["report", N_("Report"), (row) => (row.problem ? "" : _("open")), false],
];
const $ = (id) => document.getElementById(id);
let rows = [], sorted = { key: "case_id", isUp: true };

export function showLibrary(all) {
  rows = all;
  $("columns").replaceChildren(...COLUMNS.map(([key, title, , isNumber]) => {
    const cell = document.createElement("th"), button = document.createElement("button");
    button.textContent = _(title); cell.className = isNumber ? "number" : ""; cell.scope = "col";
    cell.setAttribute("aria-sort", sorted.key === key ? (sorted.isUp ? "ascending" : "descending") : "none");
    button.addEventListener("click", () => { sorted = { key, isUp: sorted.key === key ? !sorted.isUp : true }; showLibrary(rows); });
    cell.append(button); return cell;
  }));
  $("find").oninput = fill; $("unreviewed").onchange = fill;
  fill();
}

function fill() {
  const wanted = $("find").value.toLowerCase();
  const shown = rows.filter((row) => (!wanted || `${row.case_id} ${row.folder}`.toLowerCase().includes(wanted)) && (!$("unreviewed").checked || !row.n_strokes));
  const sign = sorted.isUp ? 1 : -1;
  shown.sort((a, b) => { const x = a[sorted.key], y = b[sorted.key]; if (x === y) return 0; if (x === null || x === undefined) return 1; if (y === null || y === undefined) return -1; return x > y ? sign : -sign; });
  $("count").textContent = _n("{shown} of {n} case", "{shown} of {n} cases", rows.length, { shown: shown.length });
  $("rows").replaceChildren(...shown.map((row) => {
    const line = document.createElement("tr");
    COLUMNS.forEach(([key, , words, isNumber], i) => {
      const cell = document.createElement("td");
      cell.className = isNumber ? "number" : "";
      const address = row.problem ? null : i === 0 ? `#case-${row.number}` : key === "report" ? reportPage(row.number) : null;
      if (address) { const link = document.createElement("a"); link.href = address; link.textContent = words(row); cell.append(link); } else cell.textContent = words(row);
      line.append(cell);
    });
    return line;
  }));
}

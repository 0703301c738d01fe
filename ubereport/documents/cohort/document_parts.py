"""What comparison, audit and evaluation have in common on paper: numbers, small tables, files."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote

from ubereport.cohort.comparison_results import DropCount, ModelUse, UnreadCase
from ubereport.cohort.wording import p_text, value_text
from ubereport.core.choices import PdfChoice
from ubereport.core.covariates import column_title
from ubereport.core.errors import OutputError
from ubereport.core.metrics import MetricSpec
from ubereport.core.version import __version__
from ubereport.documents.page.blocks import Pair, TableBlock, table_of
from ubereport.documents.page.document import (
    Document,
    DocumentView,
    Section,
    build_document_view,
    render_document_html,
    render_document_pdf,
    told_document,
)
from ubereport.documents.page.drawing import Axis, Unit
from ubereport.documents.page.row_drawings import ForestRow
from ubereport.documents.page.text import DASH, decimal, label_percent, percent
from ubereport.files.atomic import publish_folder
from ubereport.language.speaking import N_, _, _n, day, paragraph, told
from ubereport.metrics.registry import METRICS, installed_metrics, metric_spec
from ubereport.statistics.estimates import Estimate

SOFTWARE = f"ubereport {__version__}"
_MAX_NAMES = 12
_SHORT_TITLES = {
    "impaired_share_20": N_("Obscured ≥ 20 %"),
    "area_mean_frac": N_("Mean area"),
    "closing_area_mean_frac": N_("Closing area"),
    "coverage_frac": N_("Coverage"),
    "event_count": N_("Events"),
    "event_rate_per_10min": N_("Events per 10 min"),
    "longest_run_20_s": N_("Longest run ≥ 20 %"),
}
_KEY = re.compile(r"[a-z]+(?:_[a-z0-9]+)+")
_MARKS = "¹²³⁴⁵⁶"


@dataclass(frozen=True, slots=True)
class Written:
    """A folder of results that is complete; `files` are the names in it.

    `pdf` is None where nothing was printed; `pdf_problem` is then one sentence, or empty where
    nobody asked for it.
    """

    folder: Path
    html: Path
    pdf: Path | None
    json: Path
    files: tuple[str, ...]
    pdf_problem: str = ""
    pdf_remark: str = ""


def publish_document(
    out: Path,
    stem: str,
    document: Document,
    files: Mapping[str, bytes],
    paper: Document | None = None,
    pdf: PdfChoice = PdfChoice.AUTO,
) -> Written:
    """Write ``stem.html``, ``stem.pdf`` where it can be printed, and `files`, in one step.

    `paper` is printed in place of `document` where given.

    Raises
    ------
    OutputError
        If `out` cannot be written, or has files of others in it.
    """
    # Figures are drawn once, for the page and for paper.
    view = build_document_view(document)
    on_paper = view if paper is None else _same_drawings(view, paper)
    printed = render_document_pdf(on_paper, choice=pdf)
    content = {
        f"{stem}.html": render_document_html(view).encode(),
        **({} if printed.pdf is None else {f"{stem}.pdf": printed.pdf}),
        **files,
    }
    # An earlier PDF would show earlier numbers.
    publish_folder(out, content, gives_way=(f"{stem}.pdf",))
    return Written(
        out,
        out / f"{stem}.html",
        None if printed.pdf is None else out / f"{stem}.pdf",
        out / f"{stem}.json",
        tuple(content),
        printed.problem,
        printed.remark,
    )


def check_out(out: Path, library: Path) -> None:
    """Refuse, before any work is done, a folder that cannot take a report.

    Raises
    ------
    OutputError
        If `out` is the library or a file.
    """
    # Publishing replaces a folder as a whole.
    if out.resolve() == library.resolve():
        raise OutputError(
            "The output is the library itself, whose cases would be lost. Give another --out, such "
            "as a folder beside or inside the library."
        )
    if out.exists() and not out.is_dir():
        raise OutputError("The output is a file where a folder is needed. Give another --out.")


def _same_drawings(view: DocumentView, paper: Document) -> DocumentView:
    """Return `view` with the words and tables of `paper`: nothing is drawn twice."""
    paper = told_document(paper)
    sections = tuple(
        replace(whole, paragraphs=printed.paragraphs, tables=printed.tables, notes=printed.notes)
        for whole, printed in zip(view.document.sections, paper.sections, strict=True)
    )
    return replace(view, document=replace(view.document, sections=sections))


def number_cell(value: float | None, n_decimals: int = 2, factor: float = 1.0) -> str:
    """Return a number for a cell; a dash where there is none."""
    return DASH if value is None else decimal(factor * value, n_decimals)


def share_cell(share: float | None) -> str:
    """Return a share for a cell in whole percent; a dash where there is none."""
    return DASH if share is None else percent(share, 0)


def level_text(level: str) -> str:
    """Return a level of a covariate; a flag's in words."""
    return {"True": _("yes"), "yes": _("yes"), "False": _("no"), "no": _("no")}.get(level, level)


def axis_of(spec: MetricSpec) -> Axis:
    """Return the axis that values of a metric are drawn on."""
    if spec.is_share:
        return Axis(spec.title, Unit.PERCENT, low=0.0)
    if spec.unit == "s":
        return Axis(spec.title, Unit.SECONDS, low=0.0)
    return Axis(
        _with_unit(told(spec.title), spec), Unit.COUNT if spec.unit == "1" else Unit.NUMBER, 0.0
    )


def difference_axis(label: str, spec: MetricSpec) -> Axis:
    """Return the axis that differences of a metric are drawn on."""
    if spec.is_share:
        return Axis(_("{label}, percentage points", label=label), Unit.NUMBER)
    return Axis(_with_unit(label, spec), Unit.NUMBER)


def difference_unit(spec: MetricSpec) -> str:
    """Return the unit of a difference in words."""
    if spec.is_share:
        return _("percentage points")
    return {
        "1": _("the count"),
        "s": _("seconds"),
        "/(10.min)": _("events per 10 minutes at risk"),
        "min/h": _("minutes per hour"),
    }.get(spec.unit, spec.unit)


def _with_unit(label: str, spec: MetricSpec) -> str:
    unit = {"1": "", "s": "s", "/(10.min)": _("per 10 min"), "min/h": _("min per h")}.get(
        spec.unit, spec.unit
    )
    return f"{label} ({unit})" if unit and unit not in label else label


def gap_text(estimate: Estimate, spec: MetricSpec) -> str:
    """Return a difference with its interval: "−3.1 (−7.0 to 0.5)", percentage points for shares."""
    return estimate_text(estimate, 100.0 if spec.is_share else 1.0, is_signed=True)


def pair_text(group: str, reference: str) -> str:
    """Name a difference between two groups, as it is subtracted."""
    return f"{group} − {reference}"


def share_text(estimate: Estimate, n_decimals: int = 0) -> str:
    """Return a share with its interval in percent.

    >>> share_text(Estimate(0.5, 0.25, 0.75, "Wilson"))
    '50 % (25 to 75)'
    """
    if estimate.value is None:
        return _("not available: {reason}", reason=estimate.reason)
    value = f"{decimal(100 * estimate.value, n_decimals)} %"
    if estimate.low is None or estimate.high is None:
        return value
    low, high = (decimal(100 * limit, n_decimals) for limit in (estimate.low, estimate.high))
    return _("{value} ({low} to {high})", value=value, low=low, high=high)


def delta_text(estimate: Estimate) -> str:
    """Return a number between −1 and 1, such as Cliff’s delta, with its interval."""
    return estimate_text(estimate, n_decimals=2, is_signed=True)


def reasons_once(rows: Sequence[Sequence[Estimate]], note: str) -> tuple[list[list[Estimate]], str]:
    """Say once, in the note beneath a table, why numbers are missing that share a reason.

    Returned are the rows, with a raised figure in place of such a reason, and the longer note.
    """
    counts = Counter(e.reason for row in rows for e in row if e.low is None or e.high is None)
    # A reason that occurs once stays in its cell: a mark would send the eye away for nothing.
    shared = [reason for reason, n in counts.items() if n > 1 and reason]
    marks = dict(zip(shared, _MARKS, strict=False))
    marked = [[replace(e, reason=marks.get(e.reason, e.reason)) for e in row] for row in rows]
    return marked, paragraph(note, *(f"{mark} {told(r)}." for r, mark in marks.items()))


def estimate_text(
    estimate: Estimate, factor: float = 1.0, n_decimals: int | None = None, *, is_signed: bool
) -> str:
    """Return a number with its interval, all at the same number of decimals.

    >>> estimate_text(Estimate(0.4, -0.02, 0.81, "m"), n_decimals=2, is_signed=True)
    '+0.40 (−0.02 to +0.81)'
    """
    if estimate.value is None:
        return _("not available: {reason}", reason=estimate.reason)
    if n_decimals is None:
        # Three digits are more than any of these numbers is known to.
        n_decimals = 0 if abs(factor * estimate.value) >= 100 else 1

    def text(value: float) -> str:
        # Rounded to zero it is neither above nor below: a sign would claim a direction.
        is_above = is_signed and round(factor * value, n_decimals) > 0
        return f"{'+' if is_above else ''}{decimal(factor * value, n_decimals)}"

    if estimate.low is None or estimate.high is None:
        return _(
            "{value} (no interval: {reason})", value=text(estimate.value), reason=estimate.reason
        )
    return _(
        "{value} ({low} to {high})",
        value=text(estimate.value),
        low=text(estimate.low),
        high=text(estimate.high),
    )


def p_cell(p_value: float | None) -> str:
    """Return a p-value as a cell of a table."""
    if p_value is None:
        return _("not given")
    return p_text(p_value).removeprefix("p ").removeprefix("= ")


def capitalized(text: str) -> str:
    """Return a text with a capital letter at its start."""
    return text[:1].upper() + text[1:]


def short_title(key: str) -> str:
    """Return what a metric is called in the head of a narrow column."""
    short = _SHORT_TITLES.get(key)
    return told(metric_spec(key).title) if short is None else _(short)


def forest_row(
    label: str, estimate: Estimate, factor: float = 1.0, n_decimals: int | None = None
) -> ForestRow:
    """Return a difference as a row of a forest, in the unit that `factor` makes of it.

    Why a number or its interval is missing has no room in a picture: its table says so.
    """
    value, low, high = (
        None if number is None else factor * number
        for number in (estimate.value, estimate.low, estimate.high)
    )
    text = estimate_text(estimate, factor, n_decimals, is_signed=True)
    if value is None:
        text = _("not available")
    elif low is None or high is None:
        # Beside a bar there is room for the number only.
        text = text.partition(" (")[0]
    return ForestRow(label, value, low, high, text)


def names_text(names: Sequence[str]) -> str:
    """Return names one after the other, long lists cut and counted."""
    shown = ", ".join(names[:_MAX_NAMES])
    n_more = len(names) - _MAX_NAMES
    return _("{shown} and {n_more} more", shown=shown, n_more=n_more) if n_more > 0 else shown


def drops_table(caption: str, dropped: Sequence[DropCount]) -> TableBlock:
    """Return the cases that a result leaves out, with their number and ids."""
    return table_of(
        caption,
        dropped,
        (_("Reason"), lambda drop: _plain(drop.reason)),
        (_("#Cases"), lambda drop: str(drop.n_cases)),
        ("*" + _("Case ids"), lambda drop: names_text(drop.case_ids)),
    )


def _plain(reason: str) -> str:
    """Put names of metrics and columns in a reason into words."""
    metrics = (*METRICS, *installed_metrics().metrics)
    titles = {metric.spec.key: metric.spec.title for metric in metrics}
    return _KEY.sub(lambda match: titles.get(match[0], column_title(match[0])), reason)


def _models_table(models: Sequence[ModelUse]) -> TableBlock:
    def date_cell(date: str) -> str:
        return day(date) if date else DASH

    return table_of(
        _("How the cases were measured"),
        models,
        (_("Model"), lambda model: f"{model.name} {model.version}"),
        (_("Bundle"), lambda model: model.sha256[:10]),
        (_("Settings"), lambda model: model.settings_sha256[:10]),
        (_("#Cases"), lambda model: str(model.n_cases)),
        (_("First case"), lambda model: date_cell(model.first_date)),
        (_("Last case"), lambda model: date_cell(model.last_date)),
        (
            _("Use"),
            lambda model: _("results rest on it") if model.is_used else _("set aside, never mixed"),
        ),
        note=_(
            "Bundle and settings by the first ten characters of their sha256. Cases of one row "
            "were measured in the same way."
        ),
    )


def model_sections(models: Sequence[ModelUse]) -> tuple[Section, ...]:
    """Return what measured: model, whom it learned from, what it errs; nothing where not told."""
    used = next(model for model in models if model.is_used)
    facts = used.facts
    figures = [
        f"{name} {label_percent(value)}"
        for name, value in (
            (_("sensitivity"), facts.sensitivity),
            (_("specificity"), facts.specificity),
        )
        if value is not None
    ]
    terms = [
        Pair(_("Model"), _("{name}, version {version}", name=used.name, version=used.version)),
        Pair(_("Trained on"), facts.training_population or _("the bundle does not say")),
        Pair(_("Limits"), facts.limits or _("the bundle does not say")),
        Pair(
            _("Is there blood in a picture"),
            f"{', '.join(figures) or _('not stated')}; "
            f"{told(facts.evaluated_on) or _('no test is stated')}",
        ),
        Pair(
            _("Unseen operations"),
            _("{operations} with their own errors", operations=len(facts.operations))
            if facts.operations
            else _("the bundle does not say what it erred on each"),
        ),
    ]
    return (Section(_("What measured"), terms=tuple(terms)),)


def left_out_section(
    dropped: Sequence[DropCount], unread: Sequence[UnreadCase], models: Sequence[ModelUse]
) -> Section:
    """Return what a result leaves out, why, and how the cases were measured."""
    tables = []
    if dropped:
        tables.append(drops_table(_("Cases left out"), dropped))
    if unread:
        tables.append(
            table_of(
                _("Case folders that could not be read"),
                unread,
                (_("Folder"), lambda case: case.folder),
                ("*" + _("Reason"), lambda case: case.reason),
            )
        )
    tables.append(_models_table(models))
    text = _(
        "{cases} left out; {folders} not readable.",
        cases=_n("{n} case", "{n} cases", sum(drop.n_cases for drop in dropped)),
        folders=_n("{n} folder", "{n} folders", len(unread)),
    )
    if not dropped and not unread:
        text = _("No case is left out.")
    return Section(_("Cases left out, and how cases were measured"), (text,), tables=tuple(tables))


def report_links(library: Path, out: Path, folders: Sequence[str]) -> tuple[str, ...] | None:
    """Return the relative link from `out` to each case's report; "" where there is none.

    None where `out` lies neither inside the library nor beside it: a link would then carry the
    names of folders that are nobody's business.
    """
    here, there = out.resolve(), library.resolve()
    # Links are relative and go through the folder that holds both, so that a copied report with its
    # library still leads to the cases and names no other folder.
    if not here.is_relative_to(there.parent):
        return None
    steps = Path(os.path.relpath(there, here)).as_posix()
    return tuple(
        quote(f"{steps}/{folder}/report.html")
        if (library / folder / "report.html").is_file()
        else ""
        for folder in folders
    )


def metric_text(value: float | None, spec: MetricSpec) -> str:
    """Return a value of a metric as a cell: no unit but percent; a dash where there is none."""
    if value is None:
        return DASH
    if spec.is_share:
        return value_text(value, spec)
    return f"{value:.0f}" if value.is_integer() or value >= 100 else decimal(value, 1)

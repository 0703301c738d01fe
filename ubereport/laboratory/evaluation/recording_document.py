"""Cases held against the truth of their recordings, as a document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ubereport.core.arrays import FloatArray
from ubereport.core.case import CaseRecord
from ubereport.core.series import LossReason
from ubereport.documents.cohort.number_words import estimate_text, number_cell, share_cell
from ubereport.documents.cohort.shared_sections import SOFTWARE
from ubereport.documents.page.blocks import Pair, TableBlock, columns, table_block
from ubereport.documents.page.curve_drawings import Curve, CurveFigure
from ubereport.documents.page.document import Document, Figure, Section
from ubereport.documents.page.drawing import Axis, Unit
from ubereport.documents.page.row_drawings import Bar, BarFigure
from ubereport.documents.page.text import clock, decimal
from ubereport.laboratory.evaluation.results import EventMatch, ReasonScore, RecordingEvaluation
from ubereport.laboratory.evaluation.truth import RecordingTruth
from ubereport.language.speaking import N_, _, _n, localized, paragraph
from ubereport.statistics.estimates import Estimate

_MAX_DRAWN = 1500
_CAVEATS = (
    N_(
        "The numbers hold for recordings like these. A simulated recording is easier to judge "
        "than a real one, or harder in other ways."
    ),
    N_(
        "Time that either side holds for lost is not compared; how well lost time is found stands "
        "on its own."
    ),
    N_("The area is visible blood, not an active bleeder, and is not blood loss."),
)
_TITLES = {
    "area_mae_frac": (N_("Area, absolute error, mean"), 100.0, 2, N_("points")),
    "area_bias_frac": (N_("Area, measured minus true, mean"), 100.0, 2, N_("points")),
    "event_f1_10": (N_("Events found, F1 at temporal IoU 0.1"), 1.0, 2, ""),
    "event_f1_25": (N_("Events found, F1 at temporal IoU 0.25"), 1.0, 2, ""),
    "event_f1_50": (N_("Events found, F1 at temporal IoU 0.5"), 1.0, 2, ""),
    "onset_error_median_s": (N_("Onset, absolute error, median"), 1.0, 2, "s"),
    "clear_error_median_s": (N_("Clearing, absolute error, median"), 1.0, 2, "s"),
    "false_events_per_hour": (N_("False events per hour"), 1.0, 2, N_("per h")),
    "lost_precision": (N_("Lost time, precision"), 100.0, 1, "%"),
    "lost_recall": (N_("Lost time, recall"), 100.0, 1, "%"),
}


@dataclass(frozen=True, slots=True, eq=False)
class RecordingResult:
    """One case, the truth of its recording, and how they compare."""

    record: CaseRecord
    truth: RecordingTruth
    evaluation: RecordingEvaluation


def recording_document(
    results: Sequence[RecordingResult], over_all: Mapping[str, Estimate]
) -> Document:
    """Lay an evaluation of recordings out; `over_all` holds the means over recordings."""
    model = results[0].record.provenance.model
    compared_s = sum(result.evaluation.compared_s for result in results)
    return Document(
        title=_("Cases evaluated against the truth"),
        subtitle=_(
            "{recordings}, {compared} compared; {name} {version}",
            recordings=_n("{n} recording", "{n} recordings", len(results)),
            compared=clock(compared_s),
            name=model.name,
            version=model.version,
        ),
        kicker=_("Evaluation"),
        software=SOFTWARE,
        lead=tuple(_lead(result) for result in results[:3]),
        facts=_facts(over_all),
        caveats=_CAVEATS,
        sections=(
            *((_over_section(over_all, len(results)),) if len(results) > 1 else ()),
            *(_case_section(i, result) for i, result in enumerate(results, start=1)),
            _method_section(),
        ),
    )


def _lead(result: RecordingResult) -> str:
    evaluation = result.evaluation
    score = evaluation.event_score(0.5)
    area = (
        _("No time can be compared")
        if evaluation.area_mae_frac is None
        else _(
            "The measured area was off by {area_mae} percentage points on average",
            area_mae=decimal(100 * evaluation.area_mae_frac, 2),
        )
    )
    events = _(
        "{n_matched} of {true_events} were found with half their time or more in common; {n_false} "
        "of {found_events} belong to no true one.",
        n_matched=score.n_matched,
        true_events=_n("{n} true event", "{n} true events", score.n_true),
        # False is what touches no true event even at the laxest overlap; at one half a late onset
        # would count as false and as missed.
        n_false=score.n_found - evaluation.event_score(0.1).n_matched,
        found_events=_n("{n} found event", "{n} found events", score.n_found),
    )
    return paragraph(_("{label}: {text}.", label=result.record.case_id, text=area), events)


def _facts(over_all: Mapping[str, Estimate]) -> tuple[Pair, ...]:
    keys = ("area_mae_frac", "event_f1_50", "onset_error_median_s", "clear_error_median_s")
    return tuple(Pair(*_row(key, over_all[key].value)) for key in keys)


def _row(key: str, value: float | None) -> tuple[str, str]:
    title, factor, n_decimals, unit = _TITLES[key]
    if value is None:
        return title, _("not available")
    return title, f"{decimal(factor * value, n_decimals)} {unit and _(unit)}".rstrip()


def _over_section(over_all: Mapping[str, Estimate], n: int) -> Section:
    def mean_text(key: str) -> str:
        _title, factor, n_decimals, _unit = _TITLES[key]
        return estimate_text(over_all[key], factor, n_decimals, is_signed=False)

    table = table_block(
        _("Over {recordings}", recordings=_n("{n} recording", "{n} recordings", n)),
        _TITLES,
        (_("Number"), lambda key: _TITLES[key][0]),
        (_("#Mean over recordings (95 % interval)"), mean_text),
        (_("Unit"), lambda key: _(_TITLES[key][3]) if _TITLES[key][3] else "1"),
    )
    return Section(_("Over all recordings"), tables=(table,))


def _case_section(number: int, result: RecordingResult) -> Section:
    evaluation = result.evaluation
    tables = [_numbers_table(evaluation), _events_table(evaluation)]
    if evaluation.matches:
        tables.append(_matches_table(evaluation.matches))
    tables.append(_reasons_table(evaluation.reasons))
    return Section(
        _("Case {case_id}", case_id=result.record.case_id),
        (),
        (_area_figure(number, result), _events_figure(number, evaluation)),
        tuple(tables),
    )


def _area_figure(number: int, result: RecordingResult) -> Figure:
    series, truth = result.record.series, result.truth
    # Not a number, so that the line breaks there: a line drawn across a loss would claim areas that
    # nobody saw.
    area = np.where(series.is_valid, series.area_frac, np.nan)
    true = np.where(truth.is_valid, truth.area_frac, np.nan)
    end_s = float(max(series.end_time_s[-1], truth.edges_s[-1]))
    areas = np.concatenate([area[~np.isnan(area)], true[~np.isnan(true)]])
    top = min(1.0, 1.05 * max(0.05, float(areas.max(initial=0.0))))
    return Figure(
        f"area-{number}",
        _("Area over time"),
        _(
            "Both lines on one clock; where a line is interrupted, that side holds the view for "
            "lost. Where they run apart, the model calls too much or too little."
        ),
        CurveFigure(
            (
                _curve(_("true"), truth.time_s, true),
                _curve("measured", series.time_s, area),
            ),
            Axis(_("Time"), Unit.SECONDS, 0.0, end_s),
            Axis(_("View obscured by blood"), Unit.PERCENT, 0.0, top),
            is_step=False,
        ),
    )


def _curve(name: str, time_s: FloatArray, area: FloatArray) -> Curve:
    """Thin a line evenly to what a page can show."""
    every = max(1, -(-len(time_s) // _MAX_DRAWN))
    return Curve(name, tuple(time_s[::every].tolist()), tuple(area[::every].tolist()))


def _events_figure(number: int, evaluation: RecordingEvaluation) -> Figure:
    return Figure(
        f"events-{number}",
        _("Events found"),
        _(
            "F1 counts a true and a found event as one if they share at least this part of their "
            "joint time; 100 % is all found and none invented."
        ),
        BarFigure(
            tuple(
                Bar(_("IoU ≥ {min_iou}", min_iou=localized(f"{score.min_iou:g}")), score.f1)
                for score in evaluation.events
            ),
            Axis("F1", Unit.PERCENT, 0.0, 1.0),
        ),
        is_half=True,
    )


def _numbers_table(evaluation: RecordingEvaluation) -> TableBlock:
    def bias_text(quartiles: tuple[float, float, float] | None) -> str:
        if quartiles is None:
            return _("not available")
        low, middle, high = (decimal(value, 2) for value in quartiles)
        return _("{middle} ({low} to {high}) s", middle=middle, low=low, high=high)

    limits = evaluation.area_limits_frac
    rows = (
        _row("area_mae_frac", evaluation.area_mae_frac),
        _row("area_bias_frac", evaluation.area_bias_frac),
        (
            _("Area, limits of agreement"),
            _("not available")
            if limits is None
            else _(
                "{limits} to {limits_2} points",
                limits=decimal(100 * limits[0], 2),
                limits_2=decimal(100 * limits[1], 2),
            ),
        ),
        _row("onset_error_median_s", evaluation.onset_error_median_s),
        (_("Onset, found minus true (quartiles)"), bias_text(evaluation.onset_bias_quartiles_s)),
        _row("clear_error_median_s", evaluation.clear_error_median_s),
        (_("Clearing, found minus true (quartiles)"), bias_text(evaluation.clear_bias_quartiles_s)),
        _row("false_events_per_hour", evaluation.false_events_per_hour),
        (
            _("Compared"),
            _(
                "{compared} of {true_valid}",
                compared=clock(evaluation.compared_s),
                true_valid=clock(evaluation.true_valid_s),
            ),
        ),
    )
    return TableBlock(_("Area and times"), columns(_("Number"), _("#Value")), rows)


def _events_table(evaluation: RecordingEvaluation) -> TableBlock:
    return table_block(
        _("Events, matched one to one"),
        evaluation.events,
        (_("Temporal IoU"), lambda score: localized(f"≥ {score.min_iou:g}")),
        (_("#True"), lambda score: str(score.n_true)),
        (_("#Found"), lambda score: str(score.n_found)),
        (_("#Matched"), lambda score: str(score.n_matched)),
        (_("#Precision"), lambda score: number_cell(score.precision)),
        (_("#Recall"), lambda score: number_cell(score.recall)),
        ("#F1", lambda score: number_cell(score.f1)),
    )


def _matches_table(matches: Sequence[EventMatch]) -> TableBlock:
    def text(error_s: float | None) -> str:
        return _("not seen") if error_s is None else decimal(error_s, 2)

    return table_block(
        _("Matched events"),
        matches,
        (_("True onset"), lambda match: clock(match.true_onset_s)),
        (_("#Found onset"), lambda match: clock(match.found_onset_s)),
        (_("#IoU"), lambda match: decimal(match.iou, 2)),
        (_("#Onset error, s"), lambda match: text(match.onset_error_s)),
        (_("#Clearing error, s"), lambda match: text(match.clear_error_s)),
        note=_(
            "Found minus true. Not seen: the onset or the clearing was not observed on both sides."
        ),
    )


def _reasons_table(reasons: Sequence[ReasonScore]) -> TableBlock:
    def reason_text(reason: LossReason | None) -> str:
        return _("any reason") if reason is None else reason.value.replace("_", " ")

    return table_block(
        _("Lost view, by reason"),
        reasons,
        (_("Reason"), lambda score: reason_text(score.reason)),
        (_("#True, s"), lambda score: decimal(score.true_s, 1)),
        (_("#Found, s"), lambda score: decimal(score.found_s, 1)),
        (_("#Both, s"), lambda score: decimal(score.both_s, 1)),
        (_("#Precision"), lambda score: share_cell(score.precision)),
        (_("#Recall"), lambda score: share_cell(score.recall)),
        note=_(
            "Precision: share of the time found lost that truly is. Recall: share of truly lost "
            "time."
        ),
    )


def _method_section() -> Section:
    terms = (
        Pair(_("Area"), _("weighted with the time of each sample, where both sides are valid")),
        Pair(_("Matching"), _("as many pairs as possible, then of the largest total overlap")),
        Pair(
            _("Errors"),
            _("from the pairs at temporal IoU 0.1 whose moments were seen on both sides"),
        ),
    )
    return Section(_("How it was counted"), terms=terms)

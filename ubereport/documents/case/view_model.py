"""From a case record to the view that HTML and PDF are laid out from: page 1 and the assembly."""

from __future__ import annotations

from pathlib import Path

from ubereport.core.case import CaseRecord, Flag, FlagLevel, worst_first
from ubereport.core.config import EventConfig, MetricConfig
from ubereport.core.disclaimer import DISCLAIMER
from ubereport.core.held_out import share_band
from ubereport.core.series import LossReason
from ubereport.documents.case.case_text import CaseMetrics
from ubereport.documents.case.course_drawings import (
    ClearingDrawing,
    StripDrawing,
    clearing_statement,
    has_too_few,
)
from ubereport.documents.case.data_block import case_data_json, timeline_words_json
from ubereport.documents.case.extension import SectionView
from ubereport.documents.case.recording_notes import recording_notes
from ubereport.documents.case.review_view import review_headline, review_view
from ubereport.documents.case.timeline_drawing import TimelineDrawing, loss_swatch
from ubereport.documents.case.view_details import (
    event_cards,
    events_view,
    libraries_text,
    metric_rows,
    operating_rows,
    part_rows,
    reader_rows,
)
from ubereport.documents.case.views import (
    CaseView,
    CoverageView,
    FlagView,
    Headline,
    ImpairmentRow,
    LossRow,
)
from ubereport.documents.page.blocks import FigureBlock, PageHead
from ubereport.documents.page.marks import LOSS_WORDS
from ubereport.documents.page.text import (
    band,
    clock,
    duration,
    first_sentences,
    number_word,
    percent,
    printable,
    sentence_of,
    short_number,
    shorten,
)
from ubereport.documents.page.wording import FIXED_CAVEATS
from ubereport.language.speaking import N_, _, naming, spoken, told
from ubereport.metrics.registry import METRICS, metric_spec
from ubereport.metrics.strip import strip_blocks
from ubereport.statistics.survival import KaplanMeierCurve, kaplan_meier

_MAX_FRONT_FLAGS = 3
_MAX_FRONT_CHARACTERS = 130
_FLAG_WORDS = {
    FlagLevel.WARNING: N_("Warning"),
    FlagLevel.CAUTION: N_("Caution"),
    FlagLevel.INFO: N_("Note"),
}


def build_view_model(
    record: CaseRecord,
    frames_dir: Path | None,
    event_config: EventConfig,
    metric_config: MetricConfig,
    sections: tuple[SectionView, ...] = (),
) -> CaseView:
    """Format everything that a case report says.

    Parameters
    ----------
    record
        The case, with its events and metrics as computed under the two configurations.
    frames_dir
        The case folder, for the key frames; None leaves them out and says so.
    event_config, metric_config
        What the record's events and metrics were computed with; printed as methods.
    sections
        What installed packages add.
    """
    with naming((record.case_id,)):
        return _case_view(record, frames_dir, event_config, metric_config, sections)


def _case_view(
    record: CaseRecord,
    frames_dir: Path | None,
    event_config: EventConfig,
    metric_config: MetricConfig,
    sections: tuple[SectionView, ...],
) -> CaseView:
    specs = {m.spec.key: m.spec for m in METRICS}
    # Metrics of packages that are no longer installed stand in the record and are shown; what they
    # mean is known by their key and unit alone.
    specs |= {m.key: metric_spec(m.key, m.unit) for m in record.metrics if m.key not in specs}
    metrics = CaseMetrics(record, specs)
    flags = _flags(record)
    cards = event_cards(record, frames_dir)
    curve = kaplan_meier(record.events)
    return CaseView(
        page=_page(record),
        record=record,
        event_config=event_config,
        metric_config=metric_config,
        headline=_headline(record, metrics, review_headline(record, specs)),
        impairment=tuple(_impairment(record, metrics, key) for key in ("5", "20", "50")),
        values=metrics,
        timeline=_timeline(record, metric_config),
        timeline_words=timeline_words_json() if len(record.series) else "",
        coverage=_coverage(record),
        caveats=_caveats(record),
        front_flags=_front_flags(flags),
        review=review_view(record, specs),
        events=events_view(record, cards, event_config),
        cards=cards,
        strip=_strip(record, metric_config),
        clearing=_clearing(curve, metric_config),
        clearing_statement=clearing_statement(curve, metric_config.kaplan_meier_min_events),
        metric_rows=metric_rows(record, metrics, specs),
        flags=flags,
        part_rows=part_rows(record),
        recording_notes=recording_notes(record, event_config),
        operating_rows=operating_rows(record.provenance.model),
        libraries=libraries_text(record),
        reader_rows=reader_rows(record),
        data_json=case_data_json(record, event_config),
        sections=sections,
    )


def _page(record: CaseRecord) -> PageHead:
    case_id = printable(record.case_id)
    model = record.provenance.model
    version = printable(record.provenance.ubereport_version)
    return PageHead(
        kicker=_("Case report"),
        title=_("Case {case_id}", case_id=case_id),
        running=shorten(_("Case {case_id}", case_id=case_id), 70),
        software=_(
            "ubereport {version} · model {model} {model_version}",
            version=version,
            model=printable(model.name),
            model_version=printable(model.version),
        ),
        disclaimer=told(DISCLAIMER),
        language=spoken().language.tag,
    )


def _flags(record: CaseRecord) -> tuple[FlagView, ...]:
    return tuple(_flag_view(flag) for flag in worst_first(record.flags))


def _flag_view(flag: Flag) -> FlagView:
    return FlagView(str(flag.level), _(_FLAG_WORDS[flag.level]), told(printable(flag.message)))


def _front_flags(flags: tuple[FlagView, ...]) -> tuple[FlagView, ...]:
    # Page 1 holds three short warnings and keeps its length; all flags stand in full further on.
    serious = [flag for flag in flags if flag.level != FlagLevel.INFO]
    return tuple(
        FlagView(flag.level, flag.word, shorten(flag.message, _MAX_FRONT_CHARACTERS))
        for flag in serious[:_MAX_FRONT_FLAGS]
    )


def _headline(record: CaseRecord, metrics: CaseMetrics, review_notes: tuple[str, ...]) -> Headline:
    key = "impaired_share_20"
    share = metrics.value(key)
    if share is None:
        return Headline(metrics.text(key), False, ())
    evaluable_s = record.series.evaluable_s
    part = duration(share * evaluable_s, evaluable_s)
    notes = [_("{part} of {evaluable}", part=part, evaluable=duration(evaluable_s, evaluable_s))]
    if metrics.band(key):
        notes.append(_("{range} with a stricter or laxer model", range=metrics.band(key)))
    notes.append(_model_error_note(record, share))
    return Headline(metrics.short_text(key), True, (*review_notes, *notes))


def _model_error_note(record: CaseRecord, share: float) -> str:
    """Say where the headline would lie with what the model erred on operations it had not seen.

    A range that leaves the measured share out looks like a mistake unless its reason is told.
    """
    series = record.series
    area_frac, weight_s = series.area_frac[series.is_valid], series.duration_s[series.is_valid]
    errors = share_band(area_frac, weight_s, 0.20, record.provenance.model.held_out_operations)
    if errors is None:
        return _("how far the model errs from operation to operation is not stated")
    note = _(
        "{range} with what the model erred on {level} of {n_operations} unseen operations",
        range=band(errors.low_frac, errors.high_frac),
        level=percent(errors.level, 0),
        n_operations=errors.n_operations,
    )
    # Said because a range that leaves the measured number out looks like a mistake: the model errs
    # to one side, and which one the reader has to know.
    if share < errors.low_frac:
        return _("{told}; there it missed blood more than it painted clean view", told=note)
    if share > errors.high_frac:
        return _("{told}; there it painted clean view more than it missed blood", told=note)
    return note


def _impairment(record: CaseRecord, metrics: CaseMetrics, level: str) -> ImpairmentRow:
    key = f"impaired_share_{level}"
    share = metrics.value(key)
    entry = metrics.entry(key)
    # Without a band the bar is as wide as the number: drawn at zero it would claim a range down to
    # none.
    low = share if entry is None or entry.band_low is None else entry.band_low
    high = share if entry is None or entry.band_high is None else entry.band_high
    if share is None or low is None or high is None:
        share = low = high = 0.0
        time = "–"
    else:
        # One form for all rows: a column that changes from minutes to seconds cannot be compared.
        time = clock(share * record.series.evaluable_s)
    return ImpairmentRow(
        threshold=f"≥\xa0{level}\xa0%",
        share=metrics.short_text(key),
        duration=time,
        band=metrics.band(key),
        is_headline=level == "20",
        css_width=f"{100 * share:.2f}%",
        css_band_left=f"{100 * low:.2f}%",
        css_band_width=f"{100 * (high - low):.2f}%",
    )


def _timeline(record: CaseRecord, config: MetricConfig) -> FigureBlock | None:
    if len(record.series) == 0:
        return None
    return TimelineDrawing.of(record, config.closing_window_s).block(
        "timeline",
        _("Share of the view obscured by blood over the case, with events and lost time"),
        _(
            "Area of the view obscured by blood over case time (h:mm). Dark: mean; light: largest "
            "value at that moment. Shaded and numbered: hemostasis events, open boxes where the "
            "clearing was not seen. Hatched: lost time, by reason. Dotted lines: 5, 20 and "
            "50\u00a0% of the view."
        ),
    )


def _strip(record: CaseRecord, config: MetricConfig) -> FigureBlock | None:
    blocks = strip_blocks(record.series, config)
    if not blocks:
        return None
    return StripDrawing(blocks).block(
        "strip",
        _("Blocks of the case: share of time with at least 20 % obscured, and mean area"),
        _(
            "Blocks of {minutes}\u00a0min of case time, named by their start (h:mm). Bar "
            "and number: share of the block's evaluable time with at least 20\u00a0% of the view "
            "obscured by blood. Diamond: mean area. Hatched: nothing evaluable.",
            minutes=short_number(config.strip_block_s / 60),
        ),
    )


def _clearing(curve: KaplanMeierCurve, config: MetricConfig) -> FigureBlock | None:
    if has_too_few(curve, config.kaplan_meier_min_events):
        return None
    return ClearingDrawing(curve).block(
        "time-to-clear",
        _("Share of hemostasis events cleared over time since onset (Kaplan–Meier)"),
        _(
            "Share of events whose view was clear again, over time since onset (Kaplan–Meier). "
            "Shaded: 95\u00a0% limits for independent events, which events of one case are not. "
            "Upright ticks: the clearing was not seen."
        ),
    )


def _coverage(record: CaseRecord) -> CoverageView:
    series = record.series
    recorded_s = series.recorded_s
    losses = tuple(
        LossRow(
            loss_swatch(reason),
            _(LOSS_WORDS[reason]),
            clock(lost_s),
            percent(lost_s / recorded_s) if reason.is_recorded else _("not recorded"),
        )
        for reason, lost_s in sorted(series.lost_s().items(), key=_loss_order)
    )
    coverage = series.coverage_frac
    return CoverageView(
        share=_("not available") if coverage is None else percent(coverage),
        losses=losses,
        damage=_damage(record),
    )


def _loss_order(item: tuple[LossReason, float]) -> tuple[bool, float]:
    # What the recording lost comes before what was never recorded: only the first takes from the
    # coverage.
    return (not item[0].is_recorded, -item[1])


def _damage(record: CaseRecord) -> tuple[str, ...]:
    """Say what is broken in the files, whether or not the analysis raised a flag about it."""
    lines = []
    for number, part in enumerate(record.parts, start=1):
        faults = []
        # Less than a second is how containers round their length.
        if part.duration_s - part.found_duration_s > 1.0:
            missing_s = part.duration_s - part.found_duration_s
            faults.append(
                _("{missing} of its declared length are missing", missing=clock(missing_s))
            )
        if part.n_corrupt or part.n_undecoded:
            n_bad = number_word(part.n_corrupt + part.n_undecoded)
            faults.append(
                _(
                    "{n_bad} of {n_samples} samples damaged or unreadable",
                    n_bad=n_bad,
                    n_samples=number_word(part.n_samples),
                )
            )
        if faults:
            lines.append(_("Part {number}: {damage}", number=number, damage=sentence_of(faults)))
    return tuple(lines)


def _caveats(record: CaseRecord) -> tuple[str, ...]:
    model = record.provenance.model
    rates = dict(model.operating_characteristics)
    limits = first_sentences(told(printable(model.limits)), 230)
    caveats = [
        *(_(caveat) for caveat in FIXED_CAVEATS),
        _("Model {name}: {limits}", name=printable(model.name), limits=limits),
    ]
    if {"sensitivity", "specificity"} <= rates.keys():
        caveats.append(
            _(
                "Picture by picture the model finds {sensitivity} of pictures with blood and is "
                "right about {specificity} of those without; small areas weigh little. Measured "
                "on {test_set}.",
                sensitivity=percent(rates["sensitivity"], 0),
                specificity=percent(rates["specificity"], 0),
                test_set=told(printable(model.evaluated_on)).rstrip("."),
            )
        )
    return tuple(caveats)

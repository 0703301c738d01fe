"""What a case report says, against the record it was made from."""

import re
from dataclasses import replace
from html import unescape

import pytest
from documents import sample_record

from ubereport.core.case import Flag, FlagLevel
from ubereport.core.config import EventConfig, MetricConfig
from ubereport.core.disclaimer import DISCLAIMER
from ubereport.core.events import CensorReason
from ubereport.core.held_out import HeldOutOperation
from ubereport.core.intervals import Interval
from ubereport.core.series import LossReason
from ubereport.documents.case.case_text import CaseMetrics, format_metric
from ubereport.documents.case.timeline_drawing import PartSpan, TimelineDrawing
from ubereport.documents.case.view_model import build_view_model
from ubereport.documents.page.html import Medium, render_page
from ubereport.documents.page.text import clock, percent
from ubereport.documents.page.wording import band_of_peak
from ubereport.metrics.registry import METRICS

NBSP = "\u00a0"


def plain(text):
    return text.replace(NBSP, " ").replace("\u2009", " ")


def words(markup):
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", markup)).split())


def section(view, name):
    """Return one section of the rendered page, as markup."""
    page = render_page("case.html", view.page, Medium.SCREEN, view=view)
    return re.search(rf'<section[^>]* id="{name}">.*?</section>', page, re.DOTALL)[0]


def cells(markup, column):
    """Return a column of the first table in `markup`."""
    table = re.search(r"<table.*?</table>", markup, re.DOTALL)[0]
    heads, *rows = [
        [words(cell) for cell in re.findall(r"<t[hd].*?</t[hd]>", row, re.DOTALL)]
        for row in re.findall(r"<tr.*?</tr>", table, re.DOTALL)
    ]
    return [row[heads.index(column)] for row in rows]


def facts(view):
    """Return the value and the lines below it of each fact on page 1, by its term."""
    page = render_page("case.html", view.page, Medium.SCREEN, view=view)
    found = re.findall(r'<div class="fact">(.*?)</div>', page, re.DOTALL)
    read = [
        [words(text) for text in re.findall(r"<d[td].*?</d[td]>", fact, re.DOTALL)]
        for fact in found
    ]
    return {term: (value, lines) for term, value, *lines in read}


def front(view):
    page = render_page("case.html", view.page, Medium.SCREEN, view=view)
    return words(re.search(r'<section class="front".*?<section class="events"', page, re.DOTALL)[0])


def terms(markup):
    """Return what the definition lists in `markup` say, by their terms."""
    pairs = re.findall(r"<dt>(.*?)</dt>\s*<dd>(.*?)</dd>", markup, re.DOTALL)
    return {words(term): words(value) for term, value in pairs}


def test_the_headline_is_the_share_at_20_percent_with_its_band(usual_record, usual_view):
    metric = usual_record.metric("impaired_share_20")
    headline = usual_view.headline
    assert plain(headline.value) == f"{100 * metric.value:.1f} %"
    low, high = 100 * metric.band_low, 100 * metric.band_high
    assert f"{low:.1f}–{high:.1f} %" in plain(headline.notes[1])
    evaluable_min = usual_record.series.evaluable_s / 60
    assert plain(headline.notes[0]) == (
        f"{metric.value * evaluable_min:.1f} min of {evaluable_min:.1f} min"
    )
    assert "of the evaluable time, blood obscured" in front(usual_view)


@pytest.mark.parametrize(
    ("measured", "said"),
    [
        ((0.03, 0.04), "there it missed blood more than it painted clean view"),
        ((0.2, 0.3), "there it painted clean view more than it missed blood"),
        ((0.04, 0.3), ""),
    ],
)
def test_a_range_beside_the_measured_share_says_why(usual_record, measured, said):
    # A tenth of the view was obscured; half of the operations measured the one, half the other.
    operations = tuple(
        HeldOutOperation(f"op{i}", 20, 10, 0.1, area, 0.01, 0.5, area - 0.1)
        for i, area in enumerate(10 * measured)
    )
    model = replace(usual_record.provenance.model, held_out_operations=operations)
    record = replace(usual_record, provenance=replace(usual_record.provenance, model=model))
    headline = build_view_model(record, None, EventConfig(), MetricConfig()).headline
    note = plain(headline.notes[-1])
    assert "with what the model erred on" in note
    assert note.endswith(f"; {said}" if said else "unseen operations")
    # The range lies on that side of what was measured.
    low, high = (float(x) for x in re.match(r"([\d.]+)–([\d.]+) %", note).groups())
    share = round(100 * record.metric("impaired_share_20").value, 1)
    assert (low > share) == said.startswith("there it missed")
    assert (high < share) == said.startswith("there it painted")


def test_all_three_thresholds_have_shares_bars_and_bands(usual_record, usual_view):
    for row, key in zip(usual_view.impairment, ("5", "20", "50"), strict=True):
        metric = usual_record.metric(f"impaired_share_{key}")
        assert plain(row.threshold) == f"≥ {key} %"
        assert plain(row.share) == plain(percent(metric.value))
        assert row.css_width == f"{100 * metric.value:.2f}%"
        assert row.css_band_left == f"{100 * metric.band_low:.2f}%"
    assert [row.is_headline for row in usual_view.impairment] == [False, True, False]


def test_lost_time_is_listed_by_reason_and_adds_up(usual_record, usual_view):
    lost = usual_record.series.lost_s()
    listed = {row.words: row.duration for row in usual_view.coverage.losses}
    assert len(listed) == len(lost)
    assert listed["out of body"] == clock(lost[LossReason.OUT_OF_BODY])
    pause = usual_view.coverage.losses[-1]
    assert (pause.words, pause.share) == ("pause between parts", "not recorded")
    recorded = usual_record.series.recorded_s
    evaluable = usual_record.series.evaluable_s
    assert sum(s for r, s in lost.items() if r.is_recorded) == pytest.approx(recorded - evaluable)
    assert plain(usual_view.coverage.share) == f"{100 * evaluable / recorded:.1f} %"


def test_damage_is_said_even_where_no_flag_was_raised(build_view):
    view = build_view(sample_record.case_record(flags=()))
    assert view.front_flags == ()
    (line,) = view.coverage.damage
    assert plain(line).startswith("Part 2: 0:01:30 of its declared length are missing; 56 of")


def test_flags_come_worst_first_and_none_is_said(usual_view, build_view):
    assert [flag.word for flag in usual_view.flags] == ["Warning", "Caution", "Caution", "Note"]
    assert [flag.word for flag in usual_view.front_flags] == ["Warning", "Caution", "Caution"]
    assert "1 more flag under" in front(usual_view)
    without = build_view(sample_record.case_record(flags=()))
    assert "No quality flag was raised." in front(without)


def test_long_flags_are_cut_on_page_one_only(build_view):
    view = build_view(sample_record.long_flags())
    assert all(len(flag.message) <= 130 for flag in view.front_flags)
    assert all(len(flag.message) > 500 for flag in view.flags)
    assert "9 more flags" in front(view)


def test_notes_alone_do_not_reach_page_one(build_view):
    flag = Flag("reader_changed", FlagLevel.INFO, "The reader changed.")
    view = build_view(sample_record.case_record(flags=(flag,)))
    assert view.front_flags == ()
    assert "1 note under “Quality flags”." in front(view)


def test_every_event_has_a_row_with_its_times(usual_record, usual_view):
    table = section(usual_view, "events")
    assert cells(table, "Event") == [str(k) for k in range(1, 10)]
    assert cells(table, "Onset")[0] == "0:02:30"
    assert cells(table, "Onset")[7] == "before 1:00:20"
    assert cells(table, "Clear")[3] == "after 0:18:10"
    assert cells(table, "Time to clear")[0] == "0:00:35"
    assert cells(table, "Time to clear")[3] == "> 0:03:10"
    assert cells(table, "Peak area")[3] == "57.0 %"
    assert cells(table, "Band of peak")[:4] == ["< 20 %", "20–50 %", "20–50 %", "≥ 50 %"]
    remarks = cells(table, "Remarks")
    assert remarks[2] == "re-bleed"
    assert remarks[3] == "clearing not seen: view lost"
    assert remarks[8] == "clearing not seen: recording ended"
    assert "onset not seen" in remarks[7]
    assert usual_view.events.row_ids[2] == "event-3"
    assert float(usual_view.events.row_seconds[2]) == usual_record.events[2].onset_s


def test_an_event_that_is_open_when_a_part_ends_says_so(build_view, usual_record):
    at_end = replace(usual_record.events[3], censor_reason=CensorReason.PART_ENDED)
    view = build_view(replace(usual_record, events=(at_end,)))
    assert cells(section(view, "events"), "Remarks") == ["clearing not seen: part ended"]


def test_key_frames_are_paired_and_described(usual_view):
    cards = usual_view.cards
    assert [len(card.stills) for card in cards] == [3, 3, 3, 2, 3, 3, 3, 3, 2]
    peak = cards[3].stills[1]
    assert (peak.moment, peak.time, plain(peak.area)) == ("Peak", "0:15:40", "57.0 %")
    assert peak.raw.uri != peak.overlay.uri
    assert "Event 4, peak at 0:15:40" in peak.raw.alt


def test_missing_stills_are_said(build_view, usual_record, tmp_path):
    without = build_view(usual_record, None)
    assert without.cards == ()
    assert "no stills were kept" in section(without, "events")
    empty = build_view(usual_record, tmp_path)
    assert empty.cards[0].stills[0].raw.missing == "the still is missing"


def test_events_without_stills_are_counted(build_view, tmp_path):
    record = sample_record.case_record(n_key_frame_events=4)
    view = build_view(record, tmp_path)
    assert "5 events without stills" in section(view, "events")


def test_key_frames_of_unknown_events_are_dropped(build_view, usual_record, tmp_path):
    stray = replace(usual_record.key_frames[0], event_index=99)
    record = replace(usual_record, key_frames=(stray,))
    assert build_view(record, tmp_path).cards == ()


def test_no_events_is_said_in_words(build_view):
    view = build_view(sample_record.no_events())
    events = section(view, "events")
    assert "<table" not in events
    assert "No hemostasis event: the steadied area never" in words(events)
    assert "5 % for 3 s" in words(events)
    assert view.clearing is None
    assert "at least 5 are needed" in words(section(view, "time-to-clear"))
    assert facts(view)["Hemostasis events"][0] == "0"
    value, (line,) = facts(view)["Median time to clear"]
    assert value == "–"
    assert line.startswith("not available: ")


def test_nothing_evaluable_is_never_shown_as_zero(build_view):
    view = build_view(sample_record.nothing_evaluable())
    assert not view.headline.is_available
    assert view.headline.value == "not available: no evaluable time"
    assert [row.share for row in view.impairment] == ["–", "–", "–"]
    assert [value for value, _ in facts(view).values()] == ["–"] * 5
    assert "Events are not available" in section(view, "events")
    table = section(view, "metrics")
    values = dict(zip(cells(table, "Metric"), cells(table, "Value"), strict=True))
    assert values["Mean area"] == "not available: no evaluable time"
    assert values["Coverage"] == "0 %"
    assert "not available" in view.strip.table.rows[0]
    assert {row[2] for row in view.timeline.table.rows} == {"not available"}


def test_a_record_without_any_sample_still_has_a_report(build_view, usual_record):
    series = sample_record.series_of(0.4, (), ())
    empty = replace(
        series,
        **{name: getattr(series, name)[:0] for name in series.COLUMNS},
    )
    record = replace(
        usual_record, series=empty, events=(), key_frames=(), metrics=(), pauses=(), flags=()
    )
    view = build_view(record)
    assert view.timeline is None
    assert view.strip is None
    assert "written without it" in view.headline.value


def test_twenty_seconds_are_told_in_seconds(build_view):
    view = build_view(sample_record.twenty_seconds())
    assert view.headline.notes[0] == "0:00:04 of 0:00:19"
    assert facts(view)["Closing field"][1][0] == "mean of the last 0:00:19"
    assert view.clearing is None


def test_four_hours_with_eighty_events(build_view):
    view = build_view(sample_record.four_hours())
    assert len(view.events.rows) == 80
    assert len(view.strip.table.rows) == 24
    assert len(view.timeline.table.rows) <= 24
    assert view.clearing is not None
    assert len(view.timeline.svg) < 400_000


def test_the_survival_table_counts_everyone(usual_record, usual_view):
    table = section(usual_view, "time-to-clear")
    seen = [event for event in usual_record.events if event.is_onset_observed]
    assert cells(table, "Still watched")[0] == str(len(seen))
    cleared = [event for event in seen if not event.is_censored]
    assert sum(int(n) for n in cells(table, "Cleared then")) == len(cleared)
    # Kaplan and Meier by hand: durations 31, 35, 74, 92, 58, 151, 190+, 170+.
    assert cells(table, "Cleared so far")[-1] == "75.0 %"
    assert "1 event with an unseen onset left out" in usual_view.clearing_statement


def test_every_metric_of_the_record_is_defined_in_the_table(usual_record, usual_view):
    specs = {metric.spec.key: metric.spec for metric in METRICS}
    table = section(usual_view, "metrics")
    titles = cells(table, "Metric")
    assert titles == [plain(specs[value.key].title) for value in usual_record.metrics]
    assert all(text for text in cells(table, "What it is"))


def test_metric_formats_follow_the_units():
    specs = {metric.spec.key: metric.spec for metric in METRICS}
    assert plain(format_metric(0.25, specs["area_mean_frac"])) == "25.0 %"
    assert format_metric(74.0, specs["time_to_clear_median_s"]) == "0:01:14"
    assert format_metric(9.0, specs["event_count"]) == "9"
    assert plain(format_metric(2.968, specs["area_time_frac_min"])) == "296.8 %·min"
    assert plain(format_metric(0.5, specs["area_time_frac_min_per_h"])) == "50.0 %·min/h"
    assert plain(format_metric(1.414, specs["event_rate_per_10min"])) == "1.41 per 10 min"


def test_unknown_metrics_are_missing_not_zero(usual_record):
    metrics = CaseMetrics(replace(usual_record, metrics=()), {})
    assert metrics.value("coverage_frac") is None
    assert metrics.short_text("coverage_frac") == "–"
    assert metrics.band("coverage_frac") == ""
    assert metrics.text("coverage_frac").startswith("not available")


def test_methods_print_the_thresholds_that_were_used(usual_record):
    events = EventConfig(onset_frac=0.08, offset_frac=0.04, clear_hold_s=7.5)
    metrics = MetricConfig(closing_window_s=240.0)
    view = build_view_model(usual_record, None, events, metrics)
    said = words(section(view, "methods"))
    assert "reaches 8 %" in said
    assert "below 4 % and stays below for 7.5 s" in said
    assert "last 0:04:00 of evaluable time" in said
    assert band_of_peak(0.5, events).startswith("≥")


def test_the_model_is_named_with_its_population_and_limits(usual_view):
    said = terms(section(usual_view, "model"))
    assert said["Name and version"] == "ube-blood, version 0.3.0"
    assert "laparoscopic" in said["Trained on"]
    assert "no recording of unilateral biportal endoscopy" in said["Limits"]
    rates = {name: values for name, *values in usual_view.operating_rows}
    value, interval = (plain(text) for text in rates["Sensitivity, picture by picture"])
    assert (value, interval) == ("93.0 %", "88.0 % to 96.0 %")
    assert rates["Median Dice where there is blood"] == ["0.79", "–"]
    assert rates["Pictures with blood"] == ["120", "–"]
    assert not any("low" in name or "high" in name or "_" in name for name in rates)
    caveats = plain(" ".join(usual_view.caveats))
    assert "93 % of pictures with blood" in caveats
    assert "60 % of those without" in caveats
    assert "pressure can hide a bleeder" in caveats


def test_a_model_without_measured_rates_says_so(build_view, usual_record):
    made = usual_record.provenance
    model = replace(made.model, operating_characteristics=())
    view = build_view(replace(usual_record, provenance=replace(made, model=model)))
    assert view.operating_rows == ()
    assert "not available" in section(view, "model")
    assert len(view.caveats) == 3


def test_provenance_names_hashes_versions_and_the_whole_configuration(usual_record, usual_view):
    page = section(usual_view, "provenance")
    values = " ".join(terms(page).values())
    made = usual_record.provenance
    for part in usual_record.parts:
        assert part.sha256 in values
    assert made.model.sha256 in values
    assert made.config_sha256 in values
    assert "decord 0.6.0" in values
    config = unescape(re.search(r"<pre[^>]*>(.*?)</pre>", page, re.DOTALL)[1])
    assert config.split("\n")[:-1] == made.config_toml.splitlines()
    assert usual_view.page.disclaimer == DISCLAIMER
    assert len(usual_view.reader_rows) == 3


def test_figures_refuse_what_cannot_be_drawn():
    series = sample_record.series_of(0.4, (), ())
    empty = replace(series, **{name: getattr(series, name)[:0] for name in series.COLUMNS})
    with pytest.raises(ValueError, match="0 rows"):
        TimelineDrawing(empty, (), (), None).svg("timeline", "")


def test_the_closing_field_is_labeled_clear_of_the_parts(usual_record):
    series = usual_record.series
    whole = PartSpan("Part 1", Interval(0.0, 4350.0))
    second = PartSpan("Part 2", Interval(4050.0, 4350.0))
    closing = Interval(4080.0, 4260.0)

    def anchor(parts):
        svg = TimelineDrawing(series, (), parts, closing).svg("timeline", "")
        label = re.search(r'<text style="([^"]*)"[^>]*>closing field<', svg)
        return re.search(r"text-anchor: (\w+)", label[1])[1]

    assert anchor((whole,)) == "end"
    assert anchor((whole, second)) == "middle"


def test_no_event_gives_no_curve_even_where_none_is_asked_for():
    config = MetricConfig(kaplan_meier_min_events=0)
    view = build_view_model(sample_record.no_events(), None, EventConfig(), config)
    assert view.clearing is None
    assert view.clearing_statement == (
        "The curve is not available: there is no event with a seen onset."
    )

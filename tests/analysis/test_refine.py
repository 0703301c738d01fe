"""Where to look next, one rule at a time."""

import numpy as np
import pytest

from ubereport.analysis.refine import N_PLAIN_PASSES, next_looks, restlessness
from ubereport.core.config import EventConfig, SamplingConfig
from ubereport.core.series import AreaSeries, LossReason
from ubereport.video.candidates import Candidates

STEPS = 6  # coarse samples lie 3 s apart on the 2 Hz grid
NO_EVENTS = EventConfig(onset_frac=1.0, offset_frac=1.0)
NONE, BLACK, CORRUPT = LossReason.NONE, LossReason.BLACK, LossReason.CORRUPT


def candidates(n_coarse: int, keys=()) -> Candidates:
    n = (n_coarse - 1) * STEPS + 1
    rows = np.arange(n)
    return Candidates(
        part_index=np.zeros(n),
        frame_index=rows,
        time_s=rows * 0.5,
        is_first=rows % STEPS == 0,
        is_full_rate=np.ones(n),
        is_key=np.isin(rows, keys),
        run_index=np.zeros(n),
        run_end_s=np.array([n * 0.5]),
    )


def looks(areas, reasons=None, keys=(), n_passes=1, events=NO_EVENTS, near_sd=0.0, **sampling):
    made = candidates(len(areas), keys)
    seen = np.flatnonzero(made.is_first)
    series = seen_series(made, seen, areas, reasons)
    config = SamplingConfig(near_sd=near_sd, **sampling)
    return next_looks(made, seen, series, events, config, n_passes).tolist()


def seen_series(made, seen, areas, reasons=None) -> AreaSeries:
    reasons = [NONE] * len(areas) if reasons is None else reasons
    area = np.array([a if r is NONE else np.nan for a, r in zip(areas, reasons, strict=True)])
    return AreaSeries(
        made.time_s[seen], made.durations_s(seen), made.part_index[seen], area, area, area,
        np.array([r is NONE for r in reasons]), tuple(reasons),
    )  # fmt: skip


def test_nothing_is_wanted_where_nothing_happens():
    assert looks([0.0, 0.01, 0.03, 0.01]) == []
    assert looks([0.3] * 4) == []


@pytest.mark.parametrize("level", [0.05, 0.20, 0.50])
def test_a_threshold_between_two_samples_fills_the_gap(level):
    areas = [level - 0.08, level - 0.07, level + 0.06, level + 0.07]
    areas = [max(0.0, a) for a in areas]
    assert looks(areas) == list(range(7, 12))


def test_nearing_a_threshold_counts_within_the_margin():
    assert looks([0.30, 0.225, 0.30], change_frac=1.0) == []
    assert looks([0.30, 0.215, 0.30], change_frac=1.0) == [*range(1, 6), *range(7, 12)]
    assert looks([0.30, 0.215, 0.30], change_frac=1.0, near_frac=0.0) == []


def restlessness_of(areas, reasons=None):
    made = candidates(len(areas))
    return restlessness(seen_series(made, np.flatnonzero(made.is_first), areas, reasons))


def test_restlessness_is_the_standard_deviation_around_a_steady_line():
    rng = np.random.default_rng(5)
    areas = np.linspace(0.2, 0.4, 4000) + rng.normal(0.0, 0.01, 4000)
    found = restlessness_of(areas)
    assert np.mean(found) == pytest.approx(0.01, rel=0.05)
    assert np.max(restlessness_of(np.linspace(0.0, 0.9, 50))) < 1e-7


def test_restlessness_knows_nothing_of_lost_views_single_jumps_and_what_is_far():
    areas = [0.1, 0.5, 0.1, 0.5, *[0.1] * 13]
    found = restlessness_of(areas)
    assert found[0] > 0.1
    assert found[-1] == 0.0
    reasons = [NONE, BLACK, NONE, BLACK, *[NONE] * 13]
    assert np.max(restlessness_of(areas, reasons)) == 0.0
    assert np.max(restlessness_of([*[0.1] * 9, *[0.6] * 9])) == 0.0  # one jump is none
    assert restlessness_of([0.1, 0.2]).tolist() == [0.0]
    assert restlessness_of([0.1]).tolist() == []


def test_a_restless_area_nears_a_threshold_from_farther_away():
    areas = [0.02, 0.04, 0.02, 0.04, 0.02]
    # Off the line by 0.02 each, over sqrt(1 + 1/4 + 1/4) and 0.6745: 0.0242.
    assert looks(areas, near_sd=0.3) == []
    assert looks(areas, near_sd=0.5) == [row for row in range(25) if row % STEPS]
    assert looks([0.02] * 5, near_sd=10.0) == []


def test_a_fast_change_fills_the_gap_even_between_thresholds():
    assert looks([0.62, 0.8, 0.8], change_frac=0.15) == list(range(1, 6))
    assert looks([0.62, 0.8, 0.8], change_frac=0.20) == []


def test_the_offset_counts_only_while_an_event_is_open():
    closed = [0.0, 0.03, 0.0, 0.03]
    assert looks(closed, events=EventConfig()) == []
    opened = [0.3, 0.3, 0.04, 0.026, 0.026]
    assert set(range(19, 24)) <= set(looks(opened, events=EventConfig()))


def test_where_the_view_is_lost_or_found_the_gap_is_filled():
    reasons = [NONE, BLACK, BLACK, NONE]
    assert looks([0.0] * 4, reasons) == [*range(1, 6), *range(13, 18)]


def test_between_two_damaged_pictures_everything_is_looked_at():
    assert set(range(7, 12)) <= set(looks([0.0] * 4, [NONE, CORRUPT, CORRUPT, NONE]))


def test_keyframes_narrow_a_gap_before_the_grid_fills_it():
    assert looks([0.55, 0.8, 0.8], keys=[2, 4, 8]) == [2, 4]


def test_between_two_samples_near_one_threshold_no_keyframe_narrows_anything():
    keys = [3, 9, 15]
    assert looks([0.19, 0.21, 0.19, 0.30], keys=keys) == [*range(1, 6), *range(7, 12), 15]
    assert looks([0.19, 0.21, 0.19, 0.30], keys=keys, near_frac=0.0) == [3, 9, 15]


def test_the_stay_that_confirms_an_onset_waits_until_its_beginning_is_known():
    areas = [0.0, 0.3, 0.3, 0.3]
    assert looks(areas, events=EventConfig()) == list(range(1, 6))
    flat = EventConfig(onset_frac=0.3, offset_frac=0.2)
    assert set(looks([0.3] * 4, events=flat)) >= set(range(1, 6))  # begins with the recording


def test_late_passes_reach_out_so_that_there_are_few():
    areas = [0.0] * 6 + [0.3] * 6
    early = looks(areas, events=EventConfig())
    late = looks(areas, n_passes=N_PLAIN_PASSES + 2, events=EventConfig())
    assert set(early) < set(late)
    assert min(late) * 0.5 <= 15.0 - 12.0 + 0.5

import numpy as np
import pytest

from ubereport.analysis.measurement import Measurement, assemble_series
from ubereport.core.frames import SamplingPlan
from ubereport.core.intervals import Interval
from ubereport.core.series import LossReason
from ubereport.video.timeline import LostStretch


def measurement(areas, reasons=None):
    n = len(areas)
    reasons = [LossReason.NONE] * n if reasons is None else reasons
    columns = np.array([[a + 0.01, a, a - 0.01, 2 * a] for a in areas]).reshape(n, 4)
    columns[[r is not LossReason.NONE for r in reasons]] = np.nan
    flags = np.zeros(n, dtype=bool)
    return Measurement(
        columns, tuple(reasons), flags, flags, np.full(n, np.nan), np.full(n, np.nan)
    )


def plan(times, duration_s=0.5):
    n = len(times)
    return SamplingPlan(np.zeros(n), np.arange(n), times, np.full(n, duration_s), "test")


def test_samples_and_lost_stretches_become_one_series_in_time_order():
    lost = [
        LostStretch(Interval(1.0, 3.0), 0, LossReason.GAP),
        LostStretch(Interval(4.0, 5.0), -1, LossReason.PAUSE),
        LostStretch(Interval(9.0, 9.0), 0, LossReason.GAP),
    ]
    series = assemble_series(plan([0.0, 0.5, 3.0, 3.5]), measurement([0.1, 0.2, 0.3, 0.4]), lost)
    assert series.time_s.tolist() == [0.0, 0.5, 1.0, 3.0, 3.5, 4.0]
    assert series.reason == ("", "", "gap", "", "", "pause")
    assert series.area_frac[[0, 1, 3, 4]] == pytest.approx([0.1, 0.2, 0.3, 0.4])
    assert series.area_frac_lenient[0] == pytest.approx(0.11)
    assert series.area_frac_strict[0] == pytest.approx(0.09)
    assert series.part_index.tolist() == [0, 0, 0, 0, 0, -1]
    assert series.recorded_s == pytest.approx(4.0)
    assert series.evaluable_s == pytest.approx(2.0)
    assert series.coverage_frac == pytest.approx(0.5)


def test_a_lost_sample_is_missing_and_not_zero():
    reasons = [LossReason.NONE, LossReason.BLACK]
    series = assemble_series(plan([0.0, 0.5]), measurement([0.1, 0.0], reasons), [])
    assert np.isnan(series.area_frac[1])
    assert not series.is_valid[1]


def test_areas_over_tissue_are_a_column_only_where_they_were_measured():
    areas = measurement([0.1, 0.2])
    gap = [LostStretch(Interval(1.0, 3.0), 0, LossReason.GAP)]
    without = assemble_series(plan([0.0, 0.5]), areas, gap)
    assert without.area_frac_of_tissue is None
    assert "area_frac_of_tissue" not in without.columns
    told = assemble_series(plan([0.0, 0.5]), areas, gap, has_tissue=True)
    np.testing.assert_allclose(told.area_frac_of_tissue, [0.2, 0.4, np.nan])
    np.testing.assert_array_equal(told.area_frac, without.area_frac)


def test_a_measurement_of_another_plan_is_refused():
    with pytest.raises(ValueError, match="1 measured samples for a plan of 2"):
        assemble_series(plan([0.0, 0.5]), measurement([0.1]), [])


def test_pieces_join_and_rows_are_taken():
    joined = Measurement.concatenate([measurement([0.1, 0.2]), measurement([0.3])])
    assert joined.area_frac[:, 1] == pytest.approx([0.1, 0.2, 0.3])
    assert joined.rows(np.array([2, 0])).area_frac[:, 1] == pytest.approx([0.3, 0.1])
    assert len(Measurement.concatenate([])) == 0


def test_a_sample_lost_afterwards_loses_its_area():
    lost = measurement([0.1, 0.2]).with_reason((LossReason.FROZEN, LossReason.NONE))
    assert np.isnan(lost.area_frac[0]).all()
    assert lost.area_frac[1, 1] == pytest.approx(0.2)


@pytest.mark.parametrize(
    "broken",
    [
        {"area_frac": np.zeros((2, 3))},
        {"is_corrupt": np.zeros(3, bool)},
        {"moved_frac": np.zeros(1)},
        {"moved_from_s": np.zeros(1)},
    ],
)
def test_lengths_are_checked(broken):
    good = {
        "area_frac": np.zeros((2, 4)),
        "reason": (LossReason.NONE, LossReason.NONE),
        "is_undecoded": np.zeros(2, bool),
        "is_corrupt": np.zeros(2, bool),
        "moved_frac": np.zeros(2),
        "moved_from_s": np.zeros(2),
    }
    with pytest.raises(ValueError, match=r"shape"):
        Measurement(**{**good, **broken})

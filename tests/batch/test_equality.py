"""What must not change the area of a case: the reader, the size of batches, the precision."""

import pytest
from perf.equality import SETTINGS, difference_points, measured

pytestmark = pytest.mark.slow


def test_readers_batches_and_precisions_give_the_same_areas(bleeding_recording, tmp_path):
    first, how = measured([bleeding_recording], "ube-blood", 1.0, next(iter(SETTINGS)), tmp_path)
    assert how == "pyav, fp32"
    assert first.area_frac[first.is_valid].max() > 0.1
    for setting in list(SETTINGS)[1:]:
        series, how = measured([bleeding_recording], "ube-blood", 1.0, setting, tmp_path)
        assert how.startswith("decord" if setting == "decord" else "pyav")
        points = difference_points(first, series)
        assert len(points) >= 20
        assert points.max() < 0.2, setting

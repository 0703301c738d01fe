"""A view that changes in mid-part."""

from __future__ import annotations

import numpy as np
import pytest

from ubereport.analysis.view.view_changes import (
    detect_view_changes,
    fit_view_stretches,
)
from ubereport.core.config import ViewConfig
from ubereport.core.frames import FieldShape
from ubereport.core.intervals import Interval
from ubereport.core.recording import PlacedPart

CONFIG = ViewConfig()


def joined(views, names_and_counts, seed=0):
    frames = [
        views.probes(views.outlines[name][1][::2, ::2], n=n, seed=seed + i)
        for i, (name, n) in enumerate(names_and_counts)
    ]
    return np.concatenate(frames)


@pytest.mark.parametrize(
    ("first", "second"),
    [("circle", "squashed_circle"), ("full", "window")],
)
def test_a_change_is_placed_between_the_two_pictures_around_it(views, first, second):
    frames = joined(views, [(first, 6), (second, 7)])
    time_s = np.arange(13) * 10.0
    assert detect_view_changes(time_s, frames, CONFIG) == (55.0,)


def test_two_changes(views):
    frames = joined(views, [("circle", 6), ("full", 5), ("circle", 6)])
    assert detect_view_changes(np.arange(17) * 1.0, frames, CONFIG) == (5.5, 10.5)


@pytest.mark.parametrize("name", ["full", "circle_cut_top_and_bottom"])
def test_one_view_has_no_change(views, name):
    frames = joined(views, [(name, 12)])
    assert detect_view_changes(np.arange(12) * 1.0, frames, CONFIG) == ()


def test_slates_and_dark_tissue_are_no_change(views):
    frames = joined(views, [("circle", 14)])
    frames[3] = 0
    frames[4:6] = (12, 28, 170)
    frames[8:11, :, 150:] = np.minimum(frames[8:11, :, 150:], 6)
    assert detect_view_changes(np.arange(14) * 1.0, frames, CONFIG) == ()


def test_too_few_pictures_show_no_change(views):
    frames = joined(views, [("circle", 3), ("full", 3)])
    assert detect_view_changes(np.arange(6) * 1.0, frames, CONFIG) == ()


def test_stretches_tile_the_part_each_with_its_field(views):
    frames = joined(views, [("circle", 6), ("pillarbox", 6)])
    stretches = fit_view_stretches(
        PlacedPart(3, 100.0, 120.0),
        100.0 + np.arange(12) * 10.0,
        frames,
        (270, 480),
        (64, 64),
        CONFIG,
    )
    assert [s.part_index for s in stretches] == [3, 3]
    assert [s.interval for s in stretches] == [Interval(100.0, 155.0), Interval(155.0, 220.0)]
    assert [s.field.shape for s in stretches] == [FieldShape.CIRCLE, FieldShape.RECTANGLE]
    assert stretches[1].field.crop.left_px == pytest.approx(61, abs=2)


def test_an_unchanged_part_is_one_stretch(views):
    frames = joined(views, [("window", 5)])
    part = PlacedPart(0, 0.0, 50.0)
    stretches = fit_view_stretches(part, np.arange(5) * 10.0, frames, (270, 480), (64, 64), CONFIG)
    assert [s.interval for s in stretches] == [part.interval]


@pytest.mark.parametrize("time_s", [np.arange(3.0), np.array([0.0, 2.0, 1.0, 3.0])])
def test_times_that_do_not_fit_are_refused(time_s):
    with pytest.raises(ValueError, match=r"times"):
        detect_view_changes(time_s, np.zeros((4, 20, 20, 3), np.uint8), CONFIG)

from __future__ import annotations

from dataclasses import replace

import pytest

from ubereport.core.review import CaseReview, ReviewState
from ubereport.documents.case.review_view import review_headline, review_view
from ubereport.metrics.registry import METRICS

SPECS = {metric.spec.key: metric.spec for metric in METRICS}


@pytest.fixture
def reviewed(usual_record):
    """Build the record with a review in which the first event was struck."""

    def build(state=ReviewState.COMPLETE, **changes):
        share = usual_record.metric("impaired_share_20")
        after = tuple(
            replace(value, value=0.142, band_low=None, band_high=None)
            if value.key == share.key
            else value
            for value in usual_record.metrics
        )
        content = {
            "state": state,
            "reviewers": ("KT",),
            "standing": "KT",
            "n_events": len(usual_record.events),
            "n_open": 0,
            "n_confirmed": 0,
            "n_struck": 1,
            "n_mended": 2,
            "n_added": 0,
            "n_stale": 0,
            "n_lines": 9,
            "journal_sha256": "ab" * 32,
            "event_f1": None,
            "kappa": None,
            "events": usual_record.events[1:],
            "metrics": after,
        }
        return replace(usual_record, review=CaseReview(**{**content, **changes}))

    return build


def test_both_numbers_stand_under_the_headline(usual_record, reviewed):
    (line,) = review_headline(reviewed(), SPECS)
    assert "measured, 14.2\xa0% after review by KT: 1 of" in line
    assert line.endswith("struck, 2 mended")
    assert review_headline(usual_record, SPECS) == ()


@pytest.mark.parametrize(
    ("state", "changes", "words"),
    [
        (ReviewState.PARTIAL, {"n_open": 2}, "not yet decided; the measured number stands"),
        (ReviewState.PARTIAL, {"n_stale": 1}, "must be looked at again: 1 stroke"),
        (ReviewState.DISPUTED, {"reviewers": ("KT", "MS")}, "KT and MS, who differ"),
    ],
)
def test_an_unfinished_review_gives_no_number(reviewed, state, changes, words):
    (line,) = review_headline(reviewed(state, **changes), SPECS)
    assert words in line
    assert "14.2" not in line


def test_the_section_lists_what_became_of_every_event(usual_record, reviewed):
    view = review_view(reviewed(event_f1=0.8, kappa=0.75), SPECS)
    after = [row[2] for row in view.event_rows]
    assert after[0] == "struck, or given another onset"
    assert set(after[1:]) <= {"unchanged"}
    assert "0.80" in view.notes[0]
    assert "0.75" in view.notes[0]
    assert review_view(usual_record, SPECS) is None


def test_a_reviewer_cannot_bring_markup_into_a_report(reviewed):
    line = review_headline(reviewed(standing="K\u202eT"), SPECS)[0]
    assert "\u202e" not in line

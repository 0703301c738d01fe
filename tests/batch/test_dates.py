import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ubereport.batch.manifest_cells import AmbiguousDateError, parse_date


@pytest.mark.parametrize(
    "text",
    [
        "2026-03-14",
        "2026/3/14",
        "20260314",
        "14.03.2026",
        "14/03/2026",
        "03/14/2026",
        " 2026-03-14 ",
        "2026-03-14T08:30:00",
        "14-3-2026",
    ],
)
def test_the_formats_of_departments_give_one_date(text):
    assert parse_date(text) == dt.date(2026, 3, 14)


def test_dots_mean_day_first():
    assert parse_date("03.04.2026") == dt.date(2026, 4, 3)


def test_an_ambiguous_date_is_refused_with_both_readings():
    with pytest.raises(AmbiguousDateError) as refusal:
        parse_date("03/04/2026")
    assert refusal.value.readings == (dt.date(2026, 4, 3), dt.date(2026, 3, 4))


@pytest.mark.parametrize("text", ["", "yesterday", "2026-13-01", "31.02.2026", "14/03/26"])
def test_what_is_no_date_is_refused(text):
    with pytest.raises(ValueError, match=r"date|month|day"):
        parse_date(text)


@given(st.dates(min_value=dt.date(1990, 1, 1), max_value=dt.date(2100, 1, 1)))
def test_iso_dates_round_trip(date):
    assert parse_date(date.isoformat()) == date
    assert parse_date(date.strftime("%d.%m.%Y")) == date

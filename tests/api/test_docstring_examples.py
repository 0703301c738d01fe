"""Everything that `import ubereport` offers has an example, and all of them run in order."""

import csv
import doctest
import shutil
from pathlib import Path

import made_up_library
import pytest

import ubereport
from ubereport.api.tables import Events, Metrics, Series

OFFERED = [getattr(ubereport, name) for name in ubereport.__all__ if name != "UbereportError"]


def examples(thing):
    found = doctest.DocTestFinder().find(thing, thing.__name__)
    return [example for test in found for example in test.examples]


@pytest.mark.parametrize("thing", [*OFFERED, Series, Events, Metrics], ids=lambda t: t.__name__)
def test_everything_offered_has_an_example(thing):
    assert doctest.DocTestParser().get_examples(thing.__doc__ or "")


@pytest.mark.slow
def test_the_examples_run(short_recording, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copyfile(short_recording, "case.mp4")
    with Path("cases.csv").open("w", encoding="utf-8", newline="") as table:
        csv.writer(table).writerows([("case_id", "files"), ("A", "case.mp4")])
    groups = {"bone wax": (0.1, 0.2, 0.3, 0.1, 0.2), "drain": (0.3, 0.4, 0.2, 0.3, 0.2)}
    made_up_library.make_library(tmp_path / "department", groups)
    names = {name: getattr(ubereport, name) for name in ubereport.__all__}
    for example in examples(ubereport.analyze):
        exec(example.source, names)
    names["case"].folder.rename("results/C001")
    rest = [e for thing in (ubereport.metric, *OFFERED, Series, Events, Metrics)
            if thing is not ubereport.analyze for e in examples(thing)]  # fmt: skip
    assert len(rest) > 25
    for example in rest:
        exec(example.source, names)

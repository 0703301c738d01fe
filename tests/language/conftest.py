"""A case whose flags and model are the program's own, for pages in every language."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from documents import sample_record

from ubereport.core.case import CaseRecord, Flag, FlagLevel
from ubereport.core.config import EventConfig, MetricConfig
from ubereport.documents.case.view_model import build_view_model
from ubereport.documents.case.views import CaseView
from ubereport.language.speaking import speaking
from ubereport.language.translator import Translator

MODELS = Path(__file__).resolve().parents[2] / "models"
FLAGS = (
    Flag(
        "truncated",
        FlagLevel.WARNING,
        "Part 2 is cut: it declares 4320.0 s, 4230.0 s were found; the rest counts as lost.",
    ),
    Flag(
        "damaged",
        FlagLevel.WARNING,
        "Part 2 is damaged: 56 of 2400 samples could not be decoded intact and count as lost.",
    ),
    Flag(
        "unstable_threshold",
        FlagLevel.CAUTION,
        "The share of time with ≥ 20 % of the view obscured runs from 6 % to 11 %, depending on how"
        " strict the model is set.",
    ),
    Flag("gaps", FlagLevel.CAUTION, "Part 1 has 2 gaps of 3.5 s in total."),
    Flag("view_changed", FlagLevel.CAUTION, "The field of view changed once (zoom or another "
         "scope); each stretch was measured in its own field."),
)  # fmt: skip


@pytest.fixture(scope="session")
def own_record() -> CaseRecord:
    record = sample_record.case_record(flags=FLAGS)
    stated = json.loads((MODELS / "ube-blood-13" / "metadata.json").read_text(encoding="utf-8"))
    names = ("title", "training_population", "limits", "evaluated_on")
    model = replace(record.provenance.model, **{name: stated[name] for name in names})
    provenance = replace(
        record.provenance,
        model=model,
        sampling="uniform, the picture shown every 0.5 s",
        readers=tuple(replace(use, why="PyAV was asked for.") for use in record.provenance.readers),
        decode_failures=(),
    )
    return replace(record, provenance=provenance)


@pytest.fixture(scope="session")
def stills(own_record, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("case")
    sample_record.write_key_frames(own_record, folder, width_px=64)
    return folder


@pytest.fixture(scope="session")
def view_in(own_record, stills):
    def build(translator: Translator) -> CaseView:
        with speaking(translator):
            return build_view_model(own_record, stills, EventConfig(), MetricConfig())

    return build

"""Views and pages that several report tests look at, built once a session."""

from pathlib import Path

import pytest
from documents import sample_record

from ubereport.core.case import CaseRecord
from ubereport.core.config import EventConfig, MetricConfig
from ubereport.documents.case.rendering import render_html, render_pdf
from ubereport.documents.case.view_model import build_view_model
from ubereport.documents.case.views import CaseView


def view_of(record: CaseRecord, frames_dir: Path | None = None) -> CaseView:
    return build_view_model(record, frames_dir, EventConfig(), MetricConfig())


@pytest.fixture(scope="session")
def build_view():
    return view_of


@pytest.fixture(scope="session")
def usual_record() -> CaseRecord:
    return sample_record.case_record()


@pytest.fixture(scope="session")
def usual_view(usual_record, tmp_path_factory) -> CaseView:
    folder = tmp_path_factory.mktemp("case")
    sample_record.write_key_frames(usual_record, folder, width_px=64)
    return view_of(usual_record, folder)


@pytest.fixture(scope="session")
def usual_html(usual_view) -> str:
    return render_html(usual_view)


@pytest.fixture(scope="session")
def usual_pdf(usual_view) -> bytes:
    return render_pdf(usual_view).pdf

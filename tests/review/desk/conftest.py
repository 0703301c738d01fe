from __future__ import annotations

import shutil
from contextlib import ExitStack
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from ubereport.batch.case import CaseRequest, rerender_case, run_case
from ubereport.core.choices import PdfChoice
from ubereport.core.config import AnalysisConfig, SegmentationConfig
from ubereport.core.progress import silent
from ubereport.files.resources import models_dir
from ubereport.review.desk.gate import Gate
from ubereport.review.desk.shelf import Shelf
from ubereport.review.desk.web import review_app

RECORDING = Path(__file__).parents[3] / "examples" / "simulated_case" / "recording.mp4"
PORT = 8765


@pytest.fixture(scope="session")
def measured_case(tmp_path_factory):
    """The example recording, measured with red thresholds: quick, and wrong in many places."""
    config = AnalysisConfig(segmentation=SegmentationConfig(model="hsv-red"))
    out = tmp_path_factory.mktemp("cases")
    request = CaseRequest((RECORDING,), out, "C001", config, pdf=PdfChoice.NEVER)
    return run_case(request, silent).folder


@pytest.fixture
def case_folder(measured_case, tmp_path):
    folder = tmp_path / "library" / measured_case.name
    shutil.copytree(measured_case, folder)
    return folder


@pytest.fixture
def shelf_of():
    """Open cases and close them again."""
    shelves: list[Shelf] = []

    def opened(folder: Path, *recordings: Path) -> Shelf:
        shelves.append(Shelf(folder, recordings, models_dir()))
        return shelves[-1]

    yield opened
    for shelf in shelves:
        shelf.close()


@pytest.fixture
def visit(shelf_of):
    """A browser that was let in, with the headers that the page itself sends."""
    with ExitStack() as clients:

        def opened(folder: Path, *recordings: Path) -> TestClient:
            gate = Gate(PORT)
            app = review_app(
                shelf_of(folder, *recordings),
                gate,
                lambda case: rerender_case(case, lambda events: events, None),
            )
            # Entered, it keeps one event loop; else each request starts a thread with its own.
            client = clients.enter_context(
                TestClient(app, base_url=f"http://127.0.0.1:{PORT}", raise_server_exceptions=False)
            )
            client.headers["Origin"] = f"http://127.0.0.1:{PORT}"
            assert client.get("/", params={"token": gate.token}).status_code == 200
            return client

        yield opened

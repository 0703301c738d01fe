import os
import shutil

import pytest
from browser.devtools import chromium
from browser.headless import NAMES


@pytest.fixture(scope="session")
def browser():
    program = next((found for name in NAMES if (found := shutil.which(name))), None)
    if program is None:
        if "browser" in os.environ.get("UBEREPORT_REQUIRE", "").split(","):
            pytest.fail("headless Chromium is required here (UBEREPORT_REQUIRE) and not installed")
        pytest.skip("headless Chromium is not installed")
    return program


@pytest.fixture(scope="session")
def running_chromium(browser, tmp_path_factory):
    with chromium(browser, tmp_path_factory.mktemp("profile")) as running:
        yield running


@pytest.fixture
def tab(running_chromium):
    """A tab without a past: no cookie, storage or cache of any other test."""
    with running_chromium.page() as opened:
        yield opened

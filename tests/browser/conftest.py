import os
import shutil

import pytest
from browser.headless import NAMES


@pytest.fixture(scope="session")
def browser():
    program = next((found for name in NAMES if (found := shutil.which(name))), None)
    if program is None:
        if "browser" in os.environ.get("UBEREPORT_REQUIRE", "").split(","):
            pytest.fail("headless Chromium is required here (UBEREPORT_REQUIRE) and not installed")
        pytest.skip("headless Chromium is not installed")
    return program

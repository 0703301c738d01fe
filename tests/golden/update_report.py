"""Write the kept copy of the usual report anew; look at the difference before you commit it."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

if __name__ == "__main__":
    command = [sys.executable, "-m", "pytest", "-q", "tests/documents/test_report_golden.py"]
    environment = {**os.environ, "UBEREPORT_UPDATE_GOLDEN": "1"}
    sys.exit(subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode)

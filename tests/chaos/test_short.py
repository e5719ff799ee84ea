"""The short form of `make chaos`: ten faults, always the same."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
SEED = "7"
SECONDS = 540


@pytest.mark.timeout(SECONDS + 20)
def test_ten_faults_lose_nothing_and_double_nothing() -> None:
    """A process of its own: it has mounts of its own, and all that it starts ends
    with it."""
    done = subprocess.run(
        [
            *("setpriv", "--pdeathsig", "INT", sys.executable, "-m", "tests.chaos"),
            *("--short", "--seed", SEED, "--faults", "10"),
            *("--rate", "4", "--settle", "300"),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert done.returncode == 0, done.stdout[-20000:] + done.stderr[-5000:]
    assert "after 10 faults" in done.stdout

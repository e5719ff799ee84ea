"""`make setup`: says what it does, does it once, and explains what went wrong."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the project as far as set-up looks at it."""
    (tmp_path / "scripts").mkdir()
    shutil.copy(ROOT / "scripts" / "setup", tmp_path / "scripts" / "setup")
    (tmp_path / "requirements.txt").write_text("")
    return tmp_path


def set_up(copy: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    environ = {name: value for name, value in os.environ.items() if "PIP_" not in name}
    return subprocess.run(
        ["scripts/setup"],
        cwd=copy,
        env={**environ, "PIP_CONFIG_FILE": os.devnull, **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=200,
    )


def test_it_works_once_and_then_has_nothing_to_do(copy: Path) -> None:
    first = set_up(copy)
    assert first.returncode == 0, first.stderr
    assert "setup: making .venv" in first.stdout
    second = set_up(copy)
    assert (second.returncode, second.stdout, second.stderr) == (0, "", "")

    (copy / "requirements.txt").write_text("no-such-package-of-ours==1.0\n")
    # The discard port: nobody answers there, as without a network.
    third = set_up(copy, PIP_INDEX_URL="http://127.0.0.1:9/simple")
    assert third.returncode == 1
    assert "package server cannot be reached: check the network" in third.stderr
    assert "Traceback" not in third.stderr


def test_a_missing_python_is_a_sentence(copy: Path) -> None:
    tools = copy / "tools"
    tools.mkdir()
    for name in ("env", "bash", "dirname", "mkdir", "sha256sum", "cat", "id"):
        (tools / name).symlink_to(shutil.which(name) or sys.executable)
    done = set_up(copy, PATH=str(tools))
    assert done.returncode == 1
    assert "Python 3.11 is missing: install it" in done.stderr

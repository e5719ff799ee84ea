"""The most memory a process has had."""

from __future__ import annotations

import os
from pathlib import Path


def peak_megabytes(process: int | None = None) -> float:
    """Of a process, by default this one. Not by `getrusage`, which begins with what the
    parent had when the process was started."""
    status = Path(f"/proc/{process or os.getpid()}/status").read_text()
    for line in status.splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"process {process} tells no peak memory")

"""Limits and rhythms of a live stream."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

Stop = Callable[[], bool]


@dataclass(frozen=True)
class LiveSettings:
    """Limits and rhythms of a stream; seconds unless named otherwise."""

    batch_changes: int = 2_000
    batch_bytes: int = 16 * 1024 * 1024
    wait: float = 0.05
    configuration_every: float = 0.1
    report_every: float = 0.5
    retry_every: float = 1.0
    check_every: float = 5.0
    flush_every: float = 0.3
    canary_every: float = 5.0
    probe_every: float = 1.0
    first_delay: float = 0.1
    longest_delay: float = 5.0
    synchronous: bool = False
    """Users of the source wait for their commits to be through: each is made durable
    and told at once."""


def pause(seconds: float, stop: Stop) -> None:
    """Wait that long, or until told to stop."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and not stop():
        time.sleep(0.05)  # a back-off, not a wait for a result

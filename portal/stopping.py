"""Whether this worker has been asked to stop.

A worker that gets SIGTERM lets its tasks end; those that would run for long look here
and hand back what they have begun, so that it is gone within ten seconds.
"""

from __future__ import annotations

import multiprocessing
from typing import Any

from celery.signals import worker_shutting_down

_asked = multiprocessing.Event()
"""Shared with the pool processes, which the worker's signals do not reach."""


@worker_shutting_down.connect
def _ask(**_: Any) -> None:
    _asked.set()


def asked() -> bool:
    """True from the moment on that the worker shall stop."""
    return _asked.is_set()

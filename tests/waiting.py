"""Waiting for a condition with a deadline; tests never sleep for a fixed time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_until(
    condition: Callable[[], T],
    timeout: float = 30.0,
    message: str | Callable[[], str] = "",
    poll: float = 0.02,
) -> T:
    """The first true value of `condition`, or AssertionError after `timeout`.

    `message` is what was waited for; as a function it is called at the deadline
    and may say what was found instead.
    """
    deadline = time.monotonic() + timeout
    while not (value := condition()):
        if time.monotonic() > deadline:
            said = message() if callable(message) else message
            raise AssertionError(
                f"not within {timeout:g} s: {said or condition} (last: {value!r})"
            )
        time.sleep(poll)
    return value

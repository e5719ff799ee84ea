"""A small sign sent through a stream every few seconds: what is shown is what moves.

The sign is a commit on the source that changes nothing. The stream meets it among the
other transactions; once everything before it is on the target, and the target answers,
the time since it was sent is the true latency from end to end.
"""

from __future__ import annotations

import secrets
import threading
import time
from datetime import UTC, datetime

from syncengine.connectors.base import Connector
from syncengine.errors import EngineError, SetupError
from syncengine.ports import CanaryState


class Canary:
    """A thread that sends signs, and what became of them."""

    def __init__(self, source: Connector, link: str, every_seconds: float) -> None:
        self._source = source
        self._link = link
        self._every = every_seconds
        self._name = secrets.token_hex(4)
        self._sent: dict[str, float] = {}
        self._number = 0
        self.state = CanaryState()
        self._end = threading.Event()
        self._thread = threading.Thread(
            target=self._run, name="dualwrite canary", daemon=True
        )
        self._thread.start()

    def passed(self, sign: str) -> None:
        """Everything before this sign is on the target. Signs of others are let by."""
        sent = self._sent.pop(sign, None)
        if sent is not None:
            self.state = CanaryState(time.monotonic() - sent, datetime.now(UTC))

    def close(self) -> None:
        """End the thread; one that waits for a dead host is left to itself."""
        self._end.set()
        self._thread.join(1.0)

    def _run(self) -> None:
        while not self._end.is_set():
            try:
                self._send()
            except SetupError as error:
                self.state = CanaryState(
                    self.state.seconds, self.state.passed_at, error.message
                )
            except EngineError:
                pass  # an outage shows in the stream itself; the next one may get by
            self._end.wait(self._every)

    def _send(self) -> None:
        # One that nobody has met yet is enough: it tells how long nothing moves.
        if self._sent:
            return
        self._number += 1
        sign = f"{self._link} {self._name} {self._number}"

        def sending() -> None:
            self._sent[sign] = time.monotonic()

        try:
            self._source.send_sign(self._link, sign, sending)
        except EngineError:
            self._sent.pop(sign, None)
            raise

"""A thread in each process of the portal that says every few seconds: I live."""

from __future__ import annotations

import atexit
import threading
from contextlib import suppress

import structlog
from django.db import DatabaseError, connection

from portal.operations import services
from portal.operations.models import Kind
from portal.operations.services import Self

EVERY_SECONDS = 5.0

log = structlog.get_logger(__name__)


class Pulse:
    """Signs for one process until `stop`. A database that does not answer is no
    reason to end: the sign is given when it answers again."""

    def __init__(self, me: Self) -> None:
        self._me = me
        self._end = threading.Event()
        self._thread = threading.Thread(
            target=self._run, name="dualwrite pulse", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """End, and take the row away."""
        if self._end.is_set():
            return
        self._end.set()
        self._thread.join(2.0)
        with suppress(DatabaseError):
            services.gone(self._me)
        connection.close()

    def _run(self) -> None:
        silent = False
        while True:
            try:
                services.seen(self._me)
                if self._me.kind is Kind.WORKER:
                    services.look_after()
                silent = False
            except DatabaseError as error:
                if not silent:
                    log.warning(
                        "pulse.missed", kind=self._me.kind.value, why=str(error)
                    )
                silent = True
            finally:
                connection.close()
            if self._end.wait(EVERY_SECONDS):
                return


def start(kind: Kind, *, queues: str = "", slots: int = 0) -> Pulse:
    """Sign for this process from now on, until it ends."""
    pulse = Pulse(Self(kind, queues, slots))
    atexit.register(pulse.stop)
    return pulse

"""When Celery's processes begin and end: their signs of life."""

from __future__ import annotations

from typing import Any

from celery.signals import beat_init, worker_ready, worker_shutdown

from portal.operations import pulse
from portal.operations.models import Kind

_running: list[pulse.Pulse] = []


@worker_ready.connect
def _worker_began(sender: Any = None, **_: Any) -> None:
    app = getattr(sender, "app", None)
    queues = sorted(app.amqp.queues.consume_from) if app is not None else []
    pool = getattr(sender, "pool", None)
    slots = int(getattr(pool, "limit", 0) or 0)
    _running.append(pulse.start(Kind.WORKER, queues=",".join(queues), slots=slots))


@worker_shutdown.connect
def _worker_ended(**_: Any) -> None:
    while _running:
        _running.pop().stop()


@beat_init.connect
def _beat_began(**_: Any) -> None:
    _running.append(pulse.start(Kind.BEAT))

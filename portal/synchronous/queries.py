"""Reads of synchronous mode."""

from __future__ import annotations

from typing import Any

from portal.environments.models import ConnectionSet
from portal.synchronous.models import DEFAULT_TIMEOUT, GateState, SynchronousMode
from syncengine.mapping.model import Side


def modes_of(connection_set: ConnectionSet) -> list[dict[str, Any]]:
    """Where synchronous mode of each side stands, finance and operations first."""
    stored = {
        mode.stream.source: mode
        for mode in SynchronousMode.objects.select_related("stream").filter(
            stream__connection_set=connection_set
        )
    }
    return [
        {
            "source": side.value,
            "environment": connection_set.environment(side).name,
            **_document(stored.get(side.value)),
        }
        for side in Side
    ]


def _document(mode: SynchronousMode | None) -> dict[str, Any]:
    if mode is None:
        return {
            "wanted": False,
            "state": GateState.OFF.value,
            "since": None,
            "reason": "",
            "timeout_seconds": DEFAULT_TIMEOUT,
            "arm_after": None,
        }
    return {
        "wanted": mode.wanted,
        "state": mode.state,
        "since": mode.since,
        "reason": mode.reason,
        "timeout_seconds": mode.timeout_seconds,
        "arm_after": mode.arm_after,
    }

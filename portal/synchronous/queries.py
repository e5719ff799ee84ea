"""Reads of synchronous mode."""

from __future__ import annotations

from typing import Any

from portal.environments.models import ConnectionSet
from portal.synchronous.models import DEFAULT_TIMEOUT, GateState, SynchronousMode
from syncengine.mapping.model import Side
from syncengine.ports import LegMode


def modes_of(connection_set: ConnectionSet) -> list[dict[str, Any]]:
    """Where synchronous mode of each side stands, finance and operations first."""
    stored = {
        mode.stream.source: mode
        for mode in SynchronousMode.objects.select_related(
            "stream__connection_set"
        ).filter(stream__connection_set=connection_set)
    }
    modes = [
        {
            "source": side.value,
            "environment": connection_set.environment(side).name,
            **_document(stored.get(side.value)),
        }
        for side in Side
    ]
    for mode in modes:
        if mode["state"] == GateState.ARMING and not mode["reason"]:
            mode["reason"] = arming_reason(stored[mode["source"]])
    return modes


def arming_reason(mode: SynchronousMode) -> str:
    """What commits do not wait yet for, in words."""
    if mode.ready:
        return "Commits wait as soon as all that is written has come through."
    stream = mode.stream
    used = stream.connection_set.maps.filter(
        legs__mode__in=[one.value for one in LegMode if one is not LegMode.OFF]
    ).exists()
    if not used and not stream.position:
        return "No map is running, so nothing reads the changes yet: run a map."
    if stream.message:
        return f"Its stream does not work now: {stream.message}"
    return "Its stream is about to start; that takes a worker some seconds."


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

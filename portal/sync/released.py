"""Streams that nobody runs: their source must not keep its log for them for ever."""

from __future__ import annotations

import structlog

from portal.environments.connectors import connector_for
from portal.environments.models import Stream
from portal.sync import spooling
from portal.sync.leases import held_streams
from syncengine.errors import EngineError
from syncengine.mapping.model import Direction, Side

log = structlog.get_logger(__name__)

MIB = 1024 * 1024


def watch_logs() -> None:
    """Note what log is kept for streams that nobody runs; release what is beyond the
    limit. The stream says so too, and begins anew, when somebody runs it again."""
    held = held_streams()
    idle = Stream.objects.exclude(pk__in=held).exclude(position="")
    for stream in idle.filter(connection_set__retired_at=None).select_related(
        "connection_set__finops", "connection_set__dataverse"
    ):
        try:
            _look(stream)
        except EngineError as error:
            log.info("stream.log_unknown", stream=stream.pk, reason=error.code)


def _look(stream: Stream) -> None:
    links = stream.connection_set
    environment = links.environment(stream.source)
    connector = connector_for(environment)
    kept = connector.held_log(links.link_id)
    if kept is None:
        return
    Stream.objects.filter(pk=stream.pk).update(
        lag_bytes=kept.unconfirmed_bytes, retained_bytes=kept.retained_bytes
    )
    if kept.unconfirmed_bytes <= links.log_limit_bytes:
        return
    direction = Direction.from_source(Side(stream.source))
    spooling.gap(
        stream,
        direction,
        f"{environment.name} kept {kept.unconfirmed_bytes // MIB:,} MB of its log "
        "while no worker ran, more than the limit: it was released.",
    )
    connector.release_log(links.link_id)
    log.warning("stream.log_released", stream=stream.pk)

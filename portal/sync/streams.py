"""Which streams should run, and running one."""

from __future__ import annotations

from collections.abc import Callable

import structlog
from django.core.exceptions import ObjectDoesNotExist
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from portal.environments.connectors import SettingsWatch, connector_for
from portal.environments.models import ConnectionSet, Stream, StreamState
from portal.maps.models import Leg
from portal.sync.control import PortalControl
from portal.sync.journal import PortalJournal
from portal.sync.leases import held_streams, lease
from portal.synchronous import services as synchronous
from syncengine.errors import EngineError
from syncengine.live import LiveSettings, LiveStream
from syncengine.mapping.model import Side
from syncengine.ports import LegMode

log = structlog.get_logger(__name__)


def wanted_streams() -> list[int]:
    """Streams that nobody runs and that should: those of connection sets with a map
    in use, and those that ran before (their source keeps its log for them). None of
    a set that is being unlinked."""
    in_use = Leg.objects.filter(table_map__connection_set=OuterRef("pk")).exclude(
        mode=LegMode.OFF.value
    )
    for connection_set in ConnectionSet.objects.filter(Exists(in_use), retired_at=None):
        for side in Side:
            Stream.objects.get_or_create(
                connection_set=connection_set, source=side.value
            )
    used = Leg.objects.filter(
        table_map__connection_set=OuterRef("connection_set")
    ).exclude(mode=LegMode.OFF.value)
    wanted = Stream.objects.filter(
        Exists(used) | ~Q(position=""), connection_set__retired_at=None
    ).values_list("pk", flat=True)
    held = held_streams()
    return [stream_id for stream_id in wanted if stream_id not in held]


def run_stream(stream_id: int, stopping: Callable[[], bool]) -> bool:
    """Run a stream until `stopping`; False at once when another worker has it, or
    when its set is being unlinked or gone."""
    with lease(stream_id) as held:
        if held is None:
            return False
        # Read under the lease: who unlinks retires the set, then waits for leases.
        stream = (
            Stream.objects.select_related(
                "connection_set__finops", "connection_set__dataverse"
            )
            .filter(pk=stream_id, connection_set__retired_at=None)
            .first()
        )
        if stream is None:
            return False
        connection_set = stream.connection_set
        source = Side(stream.source)
        journal = PortalJournal(connection_set, stream)
        Stream.objects.filter(pk=stream_id).update(
            state=StreamState.STARTING, message="", started_at=timezone.now()
        )
        log.info("stream.start", stream=stream_id, source=source.value)
        watch = SettingsWatch(connection_set)
        prompt = connection_set.environment(source).local_commits
        synchronous.stream_works(stream, synchronous=prompt)
        live = LiveStream(
            connection_set.link_id,
            connector_for(connection_set.environment(source)),
            connector_for(connection_set.environment(source.other)),
            journal,
            PortalControl(connection_set, stream),
            LiveSettings(synchronous=prompt),
        )

        ending = synchronous.Ending(stream) if prompt else None

        def ends() -> bool:
            if stopping() or watch.changed():
                if ending is not None:
                    ending.hand_over()
                return True
            return not held.alive()

        try:
            live.run(ends)
        except EngineError as error:
            log.warning("stream.given_up", stream=stream_id, reason=error.code)
        except ObjectDoesNotExist:
            # Its connection set or a map was deleted under it; the next tick decides.
            log.info("stream.deleted", stream=stream_id)
        finally:
            journal.close()
            synchronous.stream_works(stream, synchronous=False)
            Stream.objects.filter(pk=stream_id).update(
                state=StreamState.STOPPED, message="", lag_seconds=None
            )
            log.info("stream.stop", stream=stream_id)
    return True

"""When a message may go: digests, quiet hours, and waiting after a failure."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from portal.alerts.models import Digest

BACK_OFF_SECONDS = (30, 60, 120, 300, 900, 1800)
LATER_SECONDS = 3600
MOST_ATTEMPTS = 12


def due_at(
    now: datetime,
    digest: str,
    digest_hour: int,
    quiet_from: time | None = None,
    quiet_until: time | None = None,
    zone: str = "UTC",
) -> datetime:
    """The moment a message that is made now may go out, in UTC. The hour of the daily
    digest and the quiet hours are those of a clock in `zone`."""
    now = now.astimezone(ZoneInfo(zone))
    hour = now.replace(minute=0, second=0, microsecond=0)
    due = now
    if digest == Digest.HOURLY:
        due = hour + timedelta(hours=1)
    elif digest == Digest.DAILY:
        due = hour.replace(hour=digest_hour)
        due = due if due > now else due + timedelta(days=1)
    if quiet_from is None or quiet_until is None:
        return due.astimezone(UTC)
    return _after_quiet(due, quiet_from, quiet_until).astimezone(UTC)


def _after_quiet(due: datetime, begin: time, end: time) -> datetime:
    present = due.time()
    crosses = begin > end
    quiet = present >= begin or present < end if crosses else begin <= present < end
    if not quiet:
        return due
    over = due.replace(
        hour=end.hour, minute=end.minute, second=end.second, microsecond=0
    )
    return over if over > due else over + timedelta(days=1)


def next_attempt(now: datetime, attempts: int) -> datetime | None:
    """When to try again after so many attempts; None: not any more."""
    if attempts >= MOST_ATTEMPTS:
        return None
    place = attempts - 1
    wait = BACK_OFF_SECONDS[place] if place < len(BACK_OFF_SECONDS) else LATER_SECONDS
    return now + timedelta(seconds=wait)

"""The tick that ends units a crash left in doubt."""

from __future__ import annotations

from celery import shared_task

from portal.units import services


@shared_task(name="portal.units.tasks.resolve_units")
def resolve_units() -> None:
    """Resolve every connection set with units."""
    services.resolve_all()

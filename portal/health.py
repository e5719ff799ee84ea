"""`/healthz`: can this process do its work? For load balancers and the supervisor."""

from __future__ import annotations

from django.conf import settings
from django.db import DatabaseError, connection
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from redis import Redis, RedisError

from portal.access import open_to


def database_answers() -> bool:
    """True when the portal's database answers a query."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        return False
    return True


def broker_answers() -> bool:
    """True when Redis or Valkey answers a ping."""
    client = Redis.from_url(
        settings.CELERY_BROKER_URL, socket_timeout=2, socket_connect_timeout=2
    )
    try:
        return bool(client.ping())
    except RedisError:
        return False
    finally:
        client.close()


@never_cache
@open_to("A load balancer asks; it says only which parts answer.", signed_in=False)
@require_safe
def healthz(request: HttpRequest) -> JsonResponse:
    """200 with `{"status": "ok"}` when database and broker answer, else 503."""
    parts = {"database": database_answers(), "broker": broker_answers()}
    healthy = all(parts.values())
    body = {
        "status": "ok" if healthy else "failed",
        **{name: "ok" if fine else "failed" for name, fine in parts.items()},
    }
    return JsonResponse(body, status=200 if healthy else 503)

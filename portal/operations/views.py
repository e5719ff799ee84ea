"""Health for load balancers, metrics for Prometheus, and the system page for people."""

from __future__ import annotations

from secrets import compare_digest

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST

from portal.access import may, needs, open_to
from portal.accounts.roles import Right
from portal.health import broker_answers, database_answers
from portal.operations import metrics, queries
from portal.pages import is_partial, page


@never_cache
@open_to("A load balancer asks; it says only that the process lives.", signed_in=False)
@require_safe
def live(request: HttpRequest) -> JsonResponse:
    """200 as long as the process answers at all: restart it otherwise."""
    return JsonResponse({"status": "ok"})


@never_cache
@open_to("A load balancer asks; it says only which parts answer.", signed_in=False)
@require_safe
def ready(request: HttpRequest) -> JsonResponse:
    """200 when requests can be served: database and broker answer, and the database is
    of this release; else 503, and no requests should be sent here."""
    parts = {"database": database_answers(), "broker": broker_answers()}
    parts["migrations"] = parts["database"] and queries.database_is_current()
    fine = all(parts.values())
    body = {
        "status": "ok" if fine else "failed",
        **{name: "ok" if good else "failed" for name, good in parts.items()},
    }
    return JsonResponse(body, status=200 if fine else 503)


@never_cache
@open_to(
    "Prometheus brings the METRICS_TOKEN; it is asked in the view.", signed_in=False
)
@require_safe
def prometheus(request: HttpRequest) -> HttpResponse:
    """All metrics, for whoever brings the METRICS_TOKEN or is signed in as staff."""
    if not _may_read(request):
        return HttpResponse(
            "Send the header 'Authorization: Bearer TOKEN' with the METRICS_TOKEN of "
            "this portal, or sign in.\n",
            status=401,
            content_type="text/plain; charset=utf-8",
            headers={"WWW-Authenticate": "Bearer"},
        )
    return HttpResponse(metrics.text(), content_type=CONTENT_TYPE_LATEST)


def _may_read(request: HttpRequest) -> bool:
    kind, _, given = request.headers.get("Authorization", "").partition(" ")
    token = settings.METRICS_TOKEN
    if token and kind.lower() == "bearer":
        return compare_digest(given.strip().encode(), token.encode())
    return may(request, Right.SEE, whole=True)


@needs(Right.SEE)
@require_safe
def system(request: HttpRequest) -> HttpResponse:
    """The portal's own processes, their heartbeats, and the queues of tasks."""
    partial = is_partial(request)
    template = "portal/_system_live.html" if partial else "portal/system.html"
    return page(request, template, {"system": queries.system()}, title="System")

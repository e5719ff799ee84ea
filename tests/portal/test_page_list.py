"""The list of pages that the browser tests and the screenshots look at is whole."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import resolve

from tests.e2e.pages import PAGES
from tests.portal.test_roles import ROUTES

pytestmark = pytest.mark.django_db

NO_PAGES = {
    "healthz": "for machines",
    "health/live": "for machines",
    "health/ready": "for machines",
    "metrics": "for machines",
    "admin/login/": "leads to the portal's own",
    "admin/password_change/": "leads to the portal's own",
    "accounts/login/": "looked at signed out",
    "accounts/password/": "looked at signed out",
    "accounts/password/sent/": "looked at signed out",
    "accounts/password/<uidb64>/<token>/": "looked at signed out",
    "maps/<int:map_id>/": "the same as its first tab",
    "maps/download/": "a file",
    "records/asked/": "part of a page",
    "runs/<int:pk>/cancel/": "only while a run copies; as run-skip",
    "setup/needs/": "part of a page",
    "setup/<int:pk>/stamp/": "only with records to stamp; as setup-discard",
    "setup/<int:pk>/stamp/<int:job_id>/": "only with records to stamp",
    "setup/<int:pk>/test/<slug:side>/": "part of a page",
}
LAST_WORDS = (
    *("live/", "rows/", "fields/", "trends/", "check/", "panel/", "lookup/"),
    *(".csv", "<slug:kind>"),
)
"""How addresses of parts of pages and of files end."""


def test_every_page_is_looked_at(admin_client: Client) -> None:
    looked_at = {
        resolve(page.path.partition("?")[0].format(map=1, spare=1, row=1)).route
        for page in PAGES
    }
    passed_over = [
        route.pattern
        for route in ROUTES
        if route.pattern not in looked_at
        and route.pattern not in NO_PAGES
        and not route.pattern.endswith(LAST_WORDS)
        and admin_client.get(route.address).status_code != 405
    ]
    assert passed_over == [], "Add it to tests/e2e/pages.py."

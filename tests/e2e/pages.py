"""Every page of the portal by name: for the test that looks at each, and for the
screenshots. `tests/portal/test_page_list.py` holds the list against the addresses."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import quote_plus

from tests.e2e.running import Portal

SPARE = "Customers of a branch"
"""A map that does not run, with a draft (`tests.e2e.exhibits`)."""
MAP_TABS = (
    *("columns", "filters", "preview", "health", "versions"),
    *("initial-sync", "compare", "queued", "errors", "activity"),
)
EDITOR_PARTS = ("filters", "settings", "preview", "try", "examples", "text", "publish")
SETUP_STEPS = (
    *("start", "finops", "dataverse", "companies", "maps", "order", "check"),
    *("summary", "discard"),
)

ERROR = "SELECT max(id) FROM errors_syncerror"
CAUSE = "SELECT max(id) FROM errors_errorgroup"
CONFLICT = "SELECT max(id) FROM errors_conflict"
RUN = "SELECT max(id) FROM runs_initialsyncrun WHERE state = 'completed'"
BROKEN_RUN = "SELECT max(id) FROM runs_initialsyncrun WHERE state = 'failed'"
VERSION = "SELECT min(id) FROM maps_mapversion WHERE table_map_id = {spare}"
ENVIRONMENT = "SELECT min(id) FROM environments_environment"
LINK = "SELECT min(id) FROM environments_connectionset"
COMPARISON = "SELECT max(id) FROM comparisons_comparison"
APPROVAL = "SELECT max(id) FROM approvals_approval"
ALERT = "SELECT max(id) FROM alerts_alert"
RULE = "SELECT min(id) FROM alerts_alertrule"
WEBHOOK = "SELECT max(id) FROM alerts_webhook"
VALUE_MAP = "SELECT max(id) FROM maps_sharedvaluemap"
PERSON = "SELECT max(id) FROM accounts_user"
DRAFT = (
    "SELECT max(id) FROM setup_setupdraft WHERE state = 'editing'"
    " AND dataverse_id IS NOT NULL"
)
JOB = "SELECT max(id) FROM setup_setupdraft WHERE state = 'failed'"
KEY = "SELECT key_text FROM errors_syncerror ORDER BY id DESC LIMIT 1"


@dataclass(frozen=True)
class Shown:
    """A page: in its path `{map}` is the map that is shown, `{spare}` one that does
    not run, `{row}` what the query finds. Pages of one `part` belong together."""

    part: str
    name: str
    path: str
    row: str = ""


def _named(part: str, *rows: tuple[str, ...]) -> Iterator[Shown]:
    for row in rows:
        yield Shown(part, *row)


PAGES: tuple[Shown, ...] = (
    *_named(
        "running",
        ("dashboard", "/"),
        ("dashboard-week", "/?span=week"),
        ("maps", "/maps/"),
        ("maps-none", "/maps/?q=nothing+matches+this"),
        *((f"map-{tab}", f"/maps/{{map}}/{tab}/") for tab in MAP_TABS),
        (
            "map-preview-sample",
            "/maps/{map}/preview/?direction=finops_to_dataverse&sample=2",
        ),
        ("map-run", "/maps/run/?map={spare}"),
        ("map-stop", "/maps/stop/?map={map}"),
        ("map-resume", "/maps/resume/?map={map}"),
        ("map-pause", "/maps/pause/?map={map}"),
        ("map-delete", "/maps/{spare}/delete/"),
        ("runs", "/runs/"),
        ("runs-none", "/runs/?state=cancelled"),
        ("run", "/runs/{row}/", RUN),
        ("run-broken", "/runs/{row}/", BROKEN_RUN),
        ("run-again", "/runs/{row}/again/", BROKEN_RUN),
        ("run-skip", "/runs/{row}/skip/", BROKEN_RUN),
        ("system", "/system/"),
    ),
    *_named(
        "defining",
        ("editor", "/maps/{spare}/edit/"),
        ("editor-fixed", "/maps/{map}/edit/"),
        *((f"editor-{part}", f"/maps/{{spare}}/edit/{part}/") for part in EDITOR_PARTS),
        ("editor-discard", "/maps/{spare}/edit/discard/"),
        ("map-compared-versions", "/maps/{spare}/versions/?from={row}", VERSION),
        ("version-use", "/maps/{spare}/versions/{row}/use/", VERSION),
        ("maps-import", "/maps/import/"),
        ("maps-export", "/maps/export/?map={map}"),
        ("value-maps", "/value-maps/"),
        ("value-map-new", "/value-maps/new/"),
        ("value-map", "/value-maps/{row}/", VALUE_MAP),
        ("value-map-delete", "/value-maps/{row}/delete/", VALUE_MAP),
        ("ready-made", "/ready-made/?q=onhold&sort=-columns"),
        ("ready-made-none", "/ready-made/?q=nothing+like+it"),
        ("ready-made-map", "/ready-made/fiscal-calendar-period/"),
        ("ready-made-install", "/ready-made/install/?name=notes"),
    ),
    *_named(
        "mending",
        ("causes", "/errors/causes/"),
        ("causes-none", "/errors/causes/?code=nothing"),
        ("cause", "/errors/causes/{row}/", CAUSE),
        ("errors", "/errors/"),
        ("errors-none", "/errors/?state=resolved&key=nothing"),
        ("error", "/errors/{row}/", ERROR),
        ("conflicts", "/conflicts/"),
        ("conflicts-none", "/conflicts/?state=closed&key=nothing"),
        ("conflict", "/conflicts/{row}/", CONFLICT),
        ("records", "/records/"),
        ("record", "/records/?key={row}", KEY),
        ("record-none", "/records/?key=nothing+like+it"),
        ("comparison", "/comparisons/{row}/", COMPARISON),
        ("comparison-repair", "/comparisons/{row}/repair/", COMPARISON),
        ("approvals", "/approvals/"),
        ("approval", "/approvals/{row}/", APPROVAL),
    ),
    *_named(
        "watching",
        ("activity", "/activity/"),
        ("activity-none", "/activity/?q=nothing+like+it"),
        ("alerts", "/alerts/"),
        ("alerts-all", "/alerts/?state=all"),
        ("alert", "/alerts/{row}/", ALERT),
        ("alert-rules", "/alerts/rules/"),
        ("alert-rule", "/alerts/rules/{row}/", RULE),
        ("alert-rule-new", "/alerts/rules/new/"),
        ("alert-rule-delete", "/alerts/rules/{row}/delete/", RULE),
        ("alert-messages", "/alerts/messages/"),
        ("alert-webhooks", "/alerts/webhooks/"),
        ("alert-webhook", "/alerts/webhooks/{row}/", WEBHOOK),
        ("alert-webhook-new", "/alerts/webhooks/new/"),
        ("alert-webhook-delete", "/alerts/webhooks/{row}/delete/", WEBHOOK),
        ("alert-mail", "/alerts/mail/"),
        ("inbox", "/inbox/"),
        ("profile", "/profile/"),
        ("own-password", "/profile/password/"),
        ("users", "/users/"),
        ("users-none", "/users/?q=nothing+like+it"),
        ("user", "/users/{row}/", PERSON),
        ("user-new", "/users/new/"),
        ("user-password", "/users/{row}/password/", PERSON),
        ("user-active", "/users/{row}/active/", PERSON),
        ("roles", "/users/roles/"),
    ),
    *_named(
        "linking",
        ("setup", "/setup/"),
        *((f"setup-{step}", f"/setup/{{row}}/{step}/", DRAFT) for step in SETUP_STEPS),
        ("setup-progress", "/setup/{row}/progress/", JOB),
        ("setup-undo", "/setup/{row}/undo/", JOB),
        ("sample", "/sample/"),
        ("environment-check", "/environments/{row}/check/", ENVIRONMENT),
        ("environment-delete", "/environments/{row}/delete/", ENVIRONMENT),
        ("environment-clean", "/environments/{row}/clean/", ENVIRONMENT),
        ("set-check", "/connection-sets/{row}/check/", LINK),
        ("set-companies", "/connection-sets/{row}/companies/", LINK),
        ("set-limits", "/connection-sets/{row}/limits/", LINK),
        ("set-sync-mode", "/connection-sets/{row}/synchronous/", LINK),
        ("set-relink", "/connection-sets/{row}/relink/", LINK),
        ("set-unlink", "/connection-sets/{row}/unlink/", LINK),
    ),
)
PARTS = tuple(dict.fromkeys(page.part for page in PAGES))


def addresses(
    portal: Portal, chosen: int, spare: int, part: str = ""
) -> dict[str, str]:
    """Addresses by name, of one part or all. Fails where a page has no row to show."""
    found = {}
    for page in PAGES:
        if part not in ("", page.part):
            continue
        row = page.row and portal.value("", page.row.format(spare=spare))
        assert row is not None, f"{page.name}: nothing to show"
        found[page.name] = page.path.format(
            map=chosen, spare=spare, row=quote_plus(str(row))
        )
    return found

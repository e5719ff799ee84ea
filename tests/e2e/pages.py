"""Every page of the portal by name: for the test that looks at each, and for the
screenshots."""

from __future__ import annotations

from urllib.parse import quote_plus

from tests.e2e.running import Portal

MAP_TABS = (
    *("columns", "filters", "preview", "health", "versions"),
    *("initial-sync", "compare", "queued", "errors", "activity"),
)
EDITOR_PARTS = ("filters", "settings", "preview", "try", "examples", "text")


def pages(portal: Portal, chosen: int) -> dict[str, str]:
    """Addresses by name; `chosen` is the map whose pages are shown. Pages of rows that
    the portal does not have are left out."""
    key = portal.value("", "SELECT key_text FROM errors_syncerror ORDER BY id DESC")
    record = quote_plus(str(key or ""))
    found = {
        "dashboard": "/",
        "dashboard-week": "/?span=week",
        "maps": "/maps/",
        "maps-none": "/maps/?q=nothing+matches+this",
        **{f"map-{tab}": f"/maps/{chosen}/{tab}/" for tab in MAP_TABS},
        "map-preview-sample": f"/maps/{chosen}/preview/"
        "?direction=finops_to_dataverse&sample=2",
        "editor": f"/maps/{chosen}/edit/",
        **{f"editor-{part}": f"/maps/{chosen}/edit/{part}/" for part in EDITOR_PARTS},
        "map-run": f"/maps/run/?map={chosen}",
        "map-stop": f"/maps/stop/?map={chosen}",
        "map-resume": f"/maps/resume/?map={chosen}",
        "map-pause": f"/maps/pause/?map={chosen}",
        "map-delete": f"/maps/{chosen}/delete/",
        "maps-import": "/maps/import/",
        "maps-export": f"/maps/export/?map={chosen}",
        "value-maps": "/value-maps/",
        "value-map-new": "/value-maps/new/",
        "ready-made": "/ready-made/?q=onhold&sort=-columns",
        "ready-made-map": "/ready-made/fiscal-calendar-period/",
        "ready-made-install": "/ready-made/install/?name=notes",
        "errors": "/errors/",
        "errors-none": "/errors/?state=resolved&key=nothing",
        "causes": "/errors/causes/",
        "causes-none": "/errors/causes/?code=nothing",
        "records": "/records/",
        "record": f"/records/?key={record}",
        "record-none": "/records/?key=nothing+like+it",
        "conflicts": "/conflicts/",
        "conflicts-none": "/conflicts/?state=closed&key=nothing",
        "approvals": "/approvals/",
        "runs": "/runs/",
        "runs-failed": "/runs/?state=failed",
        "activity": "/activity/",
        "activity-errors": "/activity/?kind=errors",
        "alerts": "/alerts/",
        "alerts-all": "/alerts/?state=all",
        "alert-rules": "/alerts/rules/",
        "alert-rule-new": "/alerts/rules/new/",
        "alert-messages": "/alerts/messages/",
        "alert-webhooks": "/alerts/webhooks/",
        "alert-webhook-new": "/alerts/webhooks/new/",
        "alert-mail": "/alerts/mail/",
        "inbox": "/inbox/",
        "setup": "/setup/",
        "system": "/system/",
    }
    link = "/connection-sets/{}/"
    for name, table, path in (
        ("alert", "alerts_alert", "/alerts/{}/"),
        ("alert-rule", "alerts_alertrule", "/alerts/rules/{}/"),
        ("run", "runs_initialsyncrun", "/runs/{}/"),
        ("error", "errors_syncerror", "/errors/{}/"),
        ("cause", "errors_errorgroup", "/errors/causes/{}/"),
        ("conflict", "errors_conflict", "/conflicts/{}/"),
        ("approval", "approvals_approval", "/approvals/{}/"),
        ("comparison", "comparisons_comparison", "/comparisons/{}/"),
        ("value-map", "maps_sharedvaluemap", "/value-maps/{}/"),
        ("environment-check", "environments_environment", "/environments/{}/check/"),
        ("environment-delete", "environments_environment", "/environments/{}/delete/"),
        ("set-check", "environments_connectionset", f"{link}check/"),
        ("set-unlink", "environments_connectionset", f"{link}unlink/"),
        ("set-limits", "environments_connectionset", f"{link}limits/"),
        (
            "set-companies",
            "environments_connectionset",
            f"{link}companies/",
        ),
    ):
        newest = portal.value("", f"SELECT max(id) FROM {table}")
        if newest is not None:
            found[name] = path.format(newest)
    return found

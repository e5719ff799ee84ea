"""The look of admin and pages: names, colours and the one navigation they share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import reverse_lazy


def _active(name: str, *prefixes: str) -> dict[str, Any]:
    def is_active(request: HttpRequest) -> bool:
        if not prefixes:
            return request.path == str(reverse_lazy(name))
        return any(request.path.startswith(prefix) for prefix in prefixes)

    return {"link": reverse_lazy(name), "active": is_active}


def _stylesheet(_request: HttpRequest) -> str:
    return static("portal/portal.css")


def _script(_request: HttpRequest) -> str:
    return static("portal/portal.js")


def _favicon(_request: HttpRequest) -> str:
    return static("portal/favicon.svg")


def _may(permission: str) -> Callable[[HttpRequest], bool]:
    """Shown to who may go there."""
    return lambda request: bool(request.user.has_perm(permission))  # type: ignore[union-attr]


def _page(
    title: str,
    icon: str,
    name: str,
    *prefixes: str,
    right: str = "see",
    badge: str = "",
) -> dict[str, Any]:
    """An entry that leads to one of our pages, for whoever has the right."""
    entry = {
        "title": title,
        "icon": icon,
        "permission": _may(f"right.{right}"),
        **_active(name, *prefixes),
    }
    return {**entry, "badge": badge} if badge else entry


def _may_list(name: str) -> Callable[[HttpRequest], bool]:
    """Lists of the admin hold rows of all connection sets: not for who is limited."""
    topic, _, model = name.partition("_")
    allowed = _may(f"{topic}.view_{model}")
    return lambda request: (
        not getattr(request.user, "limited", False) and allowed(request)
    )


def _model(title: str, icon: str, name: str) -> dict[str, Any]:
    return {
        "title": title,
        "icon": icon,
        "link": reverse_lazy(f"admin:{name}_changelist"),
        "permission": _may_list(name),
    }


UNFOLD: dict[str, Any] = {
    "SITE_TITLE": "Dual-write portal",
    "SITE_HEADER": "Dual-write portal",
    "SITE_SYMBOL": "sync_alt",
    "SITE_URL": None,
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": _favicon}],
    "SHOW_VIEW_ON_SITE": False,
    "STYLES": [_stylesheet],
    "SCRIPTS": [_script],
    "ACCOUNT": {
        "navigation": [{"title": "Your profile", "link": reverse_lazy("profile")}]
    },
    "BORDER_RADIUS": "6px",
    "COLORS": {
        "primary": {
            "50": "oklch(96.2% .018 272.314)",
            "100": "oklch(93% .034 272.788)",
            "200": "oklch(87% .065 274.039)",
            "300": "oklch(78.5% .115 274.713)",
            "400": "oklch(71% .16 276.935)",
            "500": "oklch(66% .19 277.117)",
            "600": "oklch(51.1% .23 276.966)",
            "700": "oklch(45.7% .22 277.023)",
            "800": "oklch(39.8% .18 277.366)",
            "900": "oklch(35.9% .144 278.697)",
            "950": "oklch(25.7% .09 281.288)",
        },
    },
    "SIDEBAR": {
        "show_search": False,
        "show_all_applications": False,
        "navigation": [
            {
                "title": "",
                "items": [
                    _page("Dashboard", "monitoring", "dashboard"),
                    _page("Maps", "account_tree", "map_list", "/maps/"),
                    _page(
                        "Ready-made maps",
                        "library_books",
                        "ready_made_list",
                        "/ready-made/",
                    ),
                    _page("Value maps", "swap_horiz", "value_map_list", "/value-maps/"),
                    _page("Initial syncs", "sync", "run_list", "/runs/"),
                    _page("Errors", "error", "cause_list", "/errors/"),
                    _page("Records", "manage_search", "record_page", "/records/"),
                    _page("Approvals", "verified_user", "approval_list", "/approvals/"),
                    _page(
                        "Inbox",
                        "inbox",
                        "inbox",
                        "/inbox/",
                        badge="portal.alerts.inbox.badge",
                    ),
                    _page("Alerts", "notifications", "alert_list", "/alerts/"),
                    _page("Conflicts", "call_split", "conflict_list", "/conflicts/"),
                    _page("Activity", "history", "activity_list", "/activity/"),
                    _page("System", "memory", "system"),
                ],
            },
            {
                "title": "Configuration",
                "separator": True,
                "items": [
                    _page(
                        "Set up a link",
                        "add_link",
                        "setup_list",
                        "/setup/",
                        right="link",
                    ),
                    _model("Environments", "dns", "environments_environment"),
                    _model("Connection sets", "link", "environments_connectionset"),
                    _model("Table maps", "table_chart", "maps_tablemap"),
                    _page("Users", "group", "user_list", "/users/", right="see_users"),
                ],
            },
            {
                "title": "Stored rows",
                "separator": True,
                "collapsible": True,
                "items": [
                    _model("Runs", "directions_run", "runs_initialsyncrun"),
                    _model("Queued changes", "queue", "sync_queuedchange"),
                    _model("Sync errors", "error", "errors_syncerror"),
                    _model("Conflicts", "call_split", "errors_conflict"),
                    _model("Activity events", "history", "activity_activityevent"),
                ],
            },
        ],
    },
}

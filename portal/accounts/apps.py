from __future__ import annotations

from typing import Any

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "portal.accounts"
    label = "accounts"
    verbose_name = "Users"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Django tells of every new session, however somebody signed in."""
        from django.contrib.auth.signals import user_logged_in

        user_logged_in.connect(_note_session, dispatch_uid="accounts.sessions")


def _note_session(request: Any, user: Any, **_: Any) -> None:
    from portal.accounts.sessions import seen

    if request is not None and request.session.session_key:
        seen(request, user)

"""What templates know of the one who looks."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

from portal.accounts.scope import scope_of


def limits(request: HttpRequest) -> dict[str, Any]:
    """`user_scope`: hide what concerns the whole portal (`user_scope.everything`), or
    all companies of a map (`user_scope.parts`), from who would be refused."""
    return {"user_scope": scope_of(getattr(request, "user", None))}

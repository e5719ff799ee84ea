"""Users, groups and sessions as rows, for reading; they change on the users page,
through services that write the activity log."""

from __future__ import annotations

from django.contrib import admin
from django.contrib.auth.models import Group

from portal.accounts.models import SignedIn, User
from portal.administration import ReadOnlyAdmin

admin.site.unregister(Group)


@admin.register(User)
class UserAdmin(ReadOnlyAdmin):
    """People who sign in."""

    list_display = ("username", "email", "is_active", "limited", "last_login")
    search_fields = ("username", "email", "first_name", "last_name")
    exclude = ("password",)


@admin.register(Group)
class GroupAdmin(ReadOnlyAdmin):
    """Roles, and other sets of Django's own permissions."""

    list_display = ("name",)


@admin.register(SignedIn)
class SignedInAdmin(ReadOnlyAdmin):
    """Where users are signed in."""

    list_display = ("user", "address", "agent", "signed_in_at", "last_seen")
    list_select_related = ("user",)
    exclude = ("session_key",)

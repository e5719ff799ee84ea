"""Mail settings for reading; their page changes them."""

from __future__ import annotations

from django.contrib import admin

from portal.administration import ReadOnlyAdmin
from portal.mailing.models import MailSettings


@admin.register(MailSettings)
class MailSettingsAdmin(ReadOnlyAdmin):
    """How mail is sent; never the password."""

    exclude = ("password",)

from __future__ import annotations

import json
from typing import Any

from django.apps import AppConfig
from django.utils.html import format_html
from django.utils.safestring import SafeString


class PortalConfig(AppConfig):
    """The project itself: commands, static files and templates that belong to no
    topic."""

    name = "portal"
    label = "portal"

    def ready(self) -> None:
        """Show documents in the admin without inline styles: where Pygments happens to
        be installed unfold would colour them so, which the browser refuses."""
        from unfold import fields

        fields.prettify_json = plain_json


def plain_json(data: Any, encoder: Any) -> SafeString:
    """A JSON document as it is read best, in the colours of the page."""
    text = json.dumps(data, sort_keys=True, indent=4, cls=encoder)
    return format_html('<pre class="dw-mono whitespace-pre-wrap">{}</pre>', text)

#!/usr/bin/env python
"""Django's command line for the portal."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Run one management command; a bad setting is one sentence, not a traceback."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line

    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        sys.exit(f"The portal cannot start: {error}")


if __name__ == "__main__":
    main()

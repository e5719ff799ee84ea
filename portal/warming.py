"""Makes a process ready for its first request."""

from __future__ import annotations

from django.urls import get_resolver

from portal import garbage


def warm() -> None:
    """Load all pages, and set what is loaded apart from what requests leave behind:
    looking for garbage among all modules took a tenth of a second, time and again, in
    the middle of somebody's page."""
    _ = get_resolver().reverse_dict
    garbage.keep_loaded()

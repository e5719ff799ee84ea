"""When Python looks for garbage. While a program loads there is none, and among what
was loaded there never will be: looking there takes time, and in processes that were
forked it makes copies of memory that they would share."""

from __future__ import annotations

import gc

USUAL = gc.get_threshold()
SELDOM = 50_000


def look_seldom() -> None:
    """From now on, while a program loads, look seldom."""
    gc.set_threshold(SELDOM, *USUAL[1:])


def keep_loaded() -> None:
    """All is loaded: set it apart for good, and look as usual among what comes."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*USUAL)

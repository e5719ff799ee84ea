"""`make run`: servers, web, workers and beat under one process that ends them all."""

from __future__ import annotations

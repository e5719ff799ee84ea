"""Drafts of the next version of a map, kept between visits."""

from __future__ import annotations

from django.db import models

from portal.maps.models import MapVersion, TableMap


class MapDraft(models.Model):
    """The next version of a map while somebody writes it: one a map. `user` holds it,
    None is the command line; another may take it over. `base` is the version it was
    begun from. `content` is `portal.editor.content.Draft` as plain data."""

    table_map = models.OneToOneField(
        TableMap, on_delete=models.CASCADE, related_name="draft"
    )
    user = models.ForeignKey(
        "accounts.User",
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
    )
    base = models.ForeignKey(
        MapVersion, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    content = models.JSONField()
    begun_at = models.DateTimeField(auto_now_add=True)
    changed_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["-changed_at"]

    def __str__(self) -> str:
        return f"draft of {self.table_map}"


class DraftStep(models.Model):
    """What a draft was before a change, so that it can be undone. `subject` tells
    what was changed: typing on in one place is one step."""

    draft = models.ForeignKey(MapDraft, on_delete=models.CASCADE, related_name="steps")
    subject = models.CharField(max_length=60)
    content = models.JSONField()
    made_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["draft", "-id"]

    def __str__(self) -> str:
        return self.subject

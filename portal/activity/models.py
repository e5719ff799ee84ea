"""The activity log: who did what, and what the system did by itself."""

from __future__ import annotations

from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVector
from django.db import models

from portal.accounts.scope import ScopedManager
from portal.environments.models import ConnectionSet
from portal.maps.models import TableMap

SUBJECT = models.Func(
    models.F("kind"),
    models.Value("."),
    models.Value(1),
    function="split_part",
    output_field=models.TextField(),
)
"""What the event is about: the kind up to its first dot."""

WORDS = SearchVector(
    models.Func(
        models.F("message"),
        models.Value(r"[\W_]+"),
        models.Value(" "),
        models.Value("g"),
        function="regexp_replace",
        output_field=models.TextField(),
    ),
    config="simple",
)
"""The words of the message, for searching."""


class ActivityEvent(models.Model):
    """One line of the log; never changed. `user` is empty for the system itself, and
    for commands, where `operator` names the user of the operating system. Where it
    tells of one record, its key is `details["record"]`: who may not see the record
    does not see the line either."""

    created_at = models.DateTimeField(auto_now_add=True)
    user = models.ForeignKey(
        "accounts.User",
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
    )
    operator = models.CharField(max_length=100, blank=True, default="", db_default="")
    kind = models.SlugField(max_length=60, db_index=False)
    message = models.TextField()
    connection_set = models.ForeignKey(
        ConnectionSet,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="activity",
    )
    table_map = models.ForeignKey(
        TableMap,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="activity",
    )
    old_state = models.CharField(max_length=20, blank=True)
    new_state = models.CharField(max_length=20, blank=True)
    correlation_id = models.CharField(max_length=32, blank=True)
    details = models.JSONField(default=dict, blank=True)

    objects = ScopedManager("connection_set", key="details__record", some=True)

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["table_map", "-id"], name="activity_of_map"),
            models.Index(fields=["connection_set", "-id"], name="activity_of_set"),
            models.Index(fields=["correlation_id"], name="activity_of_action"),
            models.Index(SUBJECT, models.F("id").desc(), name="activity_of_subject"),
            models.Index(fields=["user", "-id"], name="activity_of_user"),
            models.Index(fields=["created_at"], name="activity_of_time"),
            GinIndex(WORDS, name="activity_of_words"),
        ]

    def __str__(self) -> str:
        return self.message

    @property
    def who(self) -> str:
        """Who did it, in words; empty for the system itself."""
        if self.user is not None:
            return self.user.get_username()
        return f"{self.operator}, command line" if self.operator else ""

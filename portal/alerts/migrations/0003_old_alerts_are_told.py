"""What was open before there were messages is not told of now."""

from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [("alerts", "0002_messages")]

    operations = [
        migrations.RunSQL(
            "UPDATE alerts_alert SET told_at = opened_at, over_told_at = closed_at",
            migrations.RunSQL.noop,
        )
    ]

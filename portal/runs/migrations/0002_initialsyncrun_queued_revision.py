from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("runs", "0001_initial")]

    operations = [
        migrations.AddField(
            model_name="initialsyncrun",
            name="queued_revision",
            field=models.BigIntegerField(
                default=0,
                help_text="From this revision on the streams queue the map's changes.",
            ),
        ),
    ]

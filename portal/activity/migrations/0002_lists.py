from django.conf import settings
from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):

    atomic = False

    dependencies = [
        ('activity', '0001_initial'),
        ('environments', '0005_stream_canary'),
        ('maps', '0006_reconcile_side'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        AddIndexConcurrently(
            model_name='activityevent',
            index=models.Index(models.Func(models.F('kind'), models.Value('.'), models.Value(1), function='split_part', output_field=models.TextField()), models.OrderBy(models.F('id'), descending=True), name='activity_of_subject'),
        ),
    ]

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):

    atomic = False

    dependencies = [
        ('errors', '0007_conflict_indexes'),
        ('maps', '0006_reconcile_side'),
    ]

    operations = [
        AddIndexConcurrently(
            model_name='syncerror',
            index=models.Index(fields=['table_map', '-last_seen'], name='error_of_map_lately'),
        ),
    ]

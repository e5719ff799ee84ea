import django.db.models.deletion
from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):

    atomic = False

    dependencies = [
        ('errors', '0008_lists'),
    ]

    operations = [
        AddIndexConcurrently(
            model_name='syncerror',
            index=models.Index(fields=['table_map', '-id'], name='error_list_of_map'),
        ),
        migrations.AlterField(
            model_name='syncerror',
            name='table_map',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='errors', to='maps.tablemap'),
        ),
    ]

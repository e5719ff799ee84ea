import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('errors', '0005_causes_of_present_errors'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name='conflict',
            name='dataverse_columns',
            field=models.JSONField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='conflict',
            name='dataverse_key',
            field=models.JSONField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='conflict',
            name='dataverse_row',
            field=models.JSONField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='conflict',
            name='dataverse_written_at',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='conflict',
            name='decided_at',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='conflict',
            name='decided_by',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', db_index=False, to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='conflict',
            name='finops_columns',
            field=models.JSONField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='conflict',
            name='finops_key',
            field=models.JSONField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='conflict',
            name='finops_row',
            field=models.JSONField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='conflict',
            name='finops_written_at',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='conflict',
            name='last_seen',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='conflict',
            name='reason',
            field=models.TextField(blank=True, db_default='', default=''),
        ),
        migrations.AddField(
            model_name='conflict',
            name='refusal',
            field=models.TextField(blank=True, db_default='', default=''),
        ),
        migrations.AddField(
            model_name='conflict',
            name='side',
            field=models.CharField(blank=True, db_default='', default='', max_length=10),
        ),
        migrations.AddField(
            model_name='conflict',
            name='state',
            field=models.CharField(choices=[('settled', 'Settled'), ('undecided', 'Undecided'), ('decided', 'Decided by a person'), ('closed', 'Closed')], db_default='settled', default='settled', max_length=10),
        ),
        migrations.AddField(
            model_name='conflict',
            name='subject',
            field=models.TextField(blank=True, db_default='', default=''),
        ),
        migrations.AddField(
            model_name='conflict',
            name='wanted_side',
            field=models.CharField(blank=True, db_default='', default='', max_length=10),
        ),
    ]

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('errors', '0001_initial'),
        ('maps', '0003_language'),
    ]

    operations = [
        migrations.CreateModel(
            name='ErrorGroup',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('direction', models.CharField(choices=[('finops_to_dataverse', 'Finance and operations to Dataverse'), ('dataverse_to_finops', 'Dataverse to finance and operations')], max_length=20)),
                ('code', models.CharField(max_length=60)),
                ('column', models.CharField(blank=True, max_length=200)),
                ('text', models.TextField()),
                ('signature', models.CharField(max_length=32)),
                ('waiting_count', models.BigIntegerField(db_default=0, default=0)),
                ('retrying_count', models.BigIntegerField(db_default=0, default=0)),
                ('kept_count', models.BigIntegerField(db_default=0, default=0)),
                ('first_seen', models.DateTimeField()),
                ('last_seen', models.DateTimeField()),
            ],
            options={
                'ordering': ['-waiting_count', '-id'],
            },
        ),
        migrations.AddField(
            model_name='syncerror',
            name='awaits',
            field=models.TextField(blank=True, db_default='', default=''),
        ),
        migrations.AddField(
            model_name='syncerror',
            name='closed_at',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='errorgroup',
            name='table_map',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='error_groups', to='maps.tablemap'),
        ),
        migrations.AddField(
            model_name='syncerror',
            name='cause',
            field=models.ForeignKey(blank=True, db_index=False, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='errors', to='errors.errorgroup'),
        ),
        migrations.AddIndex(
            model_name='errorgroup',
            index=models.Index(condition=models.Q(('waiting_count__gt', 0)), fields=['-waiting_count', '-id'], name='error_group_with_open'),
        ),
        migrations.AddConstraint(
            model_name='errorgroup',
            constraint=models.UniqueConstraint(fields=('table_map', 'direction', 'signature'), name='error_group_once'),
        ),
    ]

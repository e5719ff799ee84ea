from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('maps', '0009_ran_version'),
    ]

    operations = [
        migrations.AddField(
            model_name='tablemap',
            name='history',
            field=models.BooleanField(db_default=True, default=True, help_text='Keep what is carried over, record by record.'),
        ),
    ]

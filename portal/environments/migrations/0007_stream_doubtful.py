from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('environments', '0006_environment_local_commits'),
    ]

    operations = [
        migrations.AddField(
            model_name='stream',
            name='doubtful',
            field=models.JSONField(blank=True, help_text='Records that differed when last looked at, as map and key.', null=True),
        ),
    ]

"""The roles as groups; whoever could do something before can do it still."""

from django.db import migrations
from django.db.models import Q

ROLES = ("Administrator", "Map maker", "Operator", "Auditor", "Runtime")


def make_roles(apps, schema_editor):
    groups = apps.get_model("auth", "Group").objects
    made = {name: groups.get_or_create(name=name)[0] for name in ROLES}
    users = apps.get_model("accounts", "User").objects
    for user in users.filter(is_superuser=True):
        user.groups.add(made["Administrator"])
    # Staff without rights of their own could act on every page that asked for none.
    for user in users.filter(is_staff=True, is_superuser=False):
        user.groups.add(made["Operator"])
        theirs = Q(user=user) | Q(group__user=user)
        changing = (
            apps.get_model("auth", "Permission")
            .objects.filter(theirs)
            .exclude(codename__startswith="view_")
        )
        if changing.filter(content_type__app_label="maps").exists():
            user.groups.add(made["Map maker"])
        # Who may change users can make themselves anything already.
        if changing.filter(content_type__app_label="accounts").exists():
            user.groups.add(made["Administrator"])


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0002_people"),
        ("auth", "0012_alter_user_first_name_max_length"),
    ]

    operations = [migrations.RunPython(make_roles, migrations.RunPython.noop)]

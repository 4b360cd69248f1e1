"""`python -m passes.prepare` makes the tables and what is free."""

import os

import django


def main() -> None:
    """Django Q2's tables by its migrations; the others without: this is an example."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gym.settings")
    django.setup()
    from django.core.management import call_command
    from django.db import connection

    from passes.models import FailedJob, Lockers, Pass

    call_command("migrate", verbosity=0)
    with connection.schema_editor() as editor:
        for model in (Pass, Lockers, FailedJob):
            editor.create_model(model)
    Lockers.objects.create(room="north", free=10)
    Pass.objects.create(number="P-2")


if __name__ == "__main__":
    main()

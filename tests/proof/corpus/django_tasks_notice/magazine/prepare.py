"""`python -m magazine.prepare` makes the tables and what is in them."""

import os

import django


def main() -> None:
    """The library's tables by its migrations; this example has none of its own."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "press.settings")
    django.setup()
    from django.core.management import call_command

    from magazine.models import Month, Renewal

    call_command("migrate", run_syncdb=True, verbosity=0)
    Month.objects.create(name="May")
    Renewal.objects.create(number="R-2")


if __name__ == "__main__":
    main()

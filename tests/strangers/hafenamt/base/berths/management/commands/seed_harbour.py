from datetime import date

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand

from berths.harbour import depart
from berths.models import Stay

SHIPS = (
    (1, "Nordlicht", "9301234", 4200, date(2026, 5, 2), date(2026, 5, 5)),
    (2, "Anna Marie", "9187654", 980, date(2026, 5, 4), date(2026, 5, 4)),
    (3, "Halligen", "9422110", 2610, date(2026, 5, 6), None),
)


class Command(BaseCommand):
    help = "Migrate and put a few ships in, for a trial."

    def handle(self, *args, **options):
        call_command("migrate", interactive=False, verbosity=0)
        settings.ACCOUNTING_DIR.mkdir(parents=True, exist_ok=True)
        for pk, ship, imo, tonnage, arrived, departed in SHIPS:
            Stay.objects.get_or_create(
                pk=pk,
                defaults={
                    "ship": ship,
                    "imo": imo,
                    "gross_tonnage": tonnage,
                    "agent_email": f"agent{pk}@reederei.example",
                    "arrived_on": arrived,
                },
            )
            if departed:
                depart(pk, departed)

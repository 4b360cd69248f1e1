from datetime import datetime, timezone

from django.core.management import call_command
from django.core.management.base import BaseCommand

from rentals.models import Rental


def at(hour, minute):
    return datetime(2026, 3, 14, hour, minute, tzinfo=timezone.utc)


class Command(BaseCommand):
    help = "Tables, two rentals that were returned and one that still rides."

    def handle(self, **options):
        call_command("migrate", verbosity=0)
        for pk, bike, rider, start, end in (
            (1, "B-0417", "r-7011", at(8, 2), at(8, 31)),
            (2, "B-0033", "r-1290", at(8, 15), at(10, 40)),
            (3, "B-0902", "r-5555", at(9, 58), None),
        ):
            Rental.objects.get_or_create(
                pk=pk,
                defaults={"bike": bike, "rider": rider, "card_token": f"tok_demo_{pk}", "started_at": start, "returned_at": end},
            )

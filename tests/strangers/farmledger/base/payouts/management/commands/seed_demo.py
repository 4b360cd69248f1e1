from django.core.management import call_command
from django.core.management.base import BaseCommand

from payouts.models import Farmer, Payout


class Command(BaseCommand):
    help = "A few farmers and payouts to play with."

    def add_arguments(self, parser):
        parser.add_argument("--migrate", action="store_true", help="lay out the tables first")

    def handle(self, *args, **options):
        if options["migrate"]:
            call_command("migrate", verbosity=0)
        anna, _ = Farmer.objects.get_or_create(pk=1, defaults={"name": "Anna Gerber", "iban": "CH9300762011623852957"})
        beat, _ = Farmer.objects.get_or_create(pk=2, defaults={"name": "Beat Lehmann", "iban": "CH5604835012345678009"})
        Payout.objects.get_or_create(
            pk=1, defaults=dict(farmer=anna, period="2026-09", amount_cents=184_250, status=Payout.Status.QUEUED)
        )
        Payout.objects.get_or_create(
            pk=2, defaults=dict(farmer=beat, period="2026-09", amount_cents=96_700, status=Payout.Status.RELEASED)
        )
        Payout.objects.get_or_create(
            pk=3, defaults=dict(farmer=anna, period="2026-10", amount_cents=201_015, status=Payout.Status.RELEASED)
        )

"""migrate, for a laptop or a rehearsal; with --order also a first order."""
from django.core.management import call_command
from django.core.management.base import BaseCommand

from bestellung.ordering import place_order


class Command(BaseCommand):
    help = __doc__

    def add_arguments(self, parser):
        parser.add_argument("--order", action="store_true")

    def handle(self, *args, **options):
        call_command("migrate", verbosity=0, interactive=False)
        if options["order"]:
            place_order("probe-1", "FF Hinterbach", "Am Anger 1", "85000", "C-Schlauch 15 m", 6)

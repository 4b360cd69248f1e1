from django.core.management import call_command
from django.core.management.base import BaseCommand

from gebuehren.models import Bescheid


class Command(BaseCommand):
    help = "Migriert und legt einen erfundenen Bescheid an."

    def handle(self, *args, **options):
        call_command("migrate", interactive=False, verbosity=0)
        call_command("zeitplan")
        Bescheid.objects.get_or_create(
            aktenzeichen="GB-2026-000102",
            defaults={
                "empfaenger": "Max Muster",
                "postfach": "muster.max",
                "betrag_cent": 2500,
                "zweck": "Hundesteuermarke",
                "sachbearbeitung": "steueramt@gemeinde.example",
            },
        )

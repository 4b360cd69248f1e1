from django.core.management import call_command
from django.core.management.base import BaseCommand

from meldungen.models import Meldung

BEISPIELE = (
    ("VR-2025-08-0001", "2025-08", "PPK", 12_480),
    ("VR-2025-08-0002", "2025-08", "Kunststoff", 3_115),
    ("VR-2025-08-0003", "2025-08", "Weissblech", 940),
)


class Command(BaseCommand):
    help = "Migriert; mit --beispiele auch drei Meldungen im Entwurf."

    def add_arguments(self, parser):
        parser.add_argument("--beispiele", action="store_true")

    def handle(self, *args, beispiele=False, **options):
        call_command("migrate", verbosity=0)
        if beispiele:
            for nummer, monat, material, menge in BEISPIELE:
                Meldung.objects.get_or_create(
                    meldenummer=nummer, defaults={"monat": monat, "material": material, "menge_kg": menge}
                )

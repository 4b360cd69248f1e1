from django.core.management.base import BaseCommand

from meldungen.nachfassen import nachfassen


class Command(BaseCommand):
    help = "Reiht Meldungen wieder ein, die liegen geblieben sind. Alle 15 Minuten (systemd-Timer)."

    def handle(self, *args, **options):
        self.stdout.write(f"{nachfassen()} wieder eingereiht")

from django.core.management import BaseCommand, call_command

from deeds import desk
from deeds.models import Deed

DEEDS = [
    ("2026/114", "Purchase of land, plot 1207", "Regula Amstutz", "regula@clients.example"),
    ("2026/115", "Founding of Holzbau Kern GmbH", "Beat Kern", "beat@clients.example"),
    ("2026/116", "Mortgage note, plot 88", "Ines Caduff", "ines@clients.example"),
]


class Command(BaseCommand):
    help = "Lay out the database, with three deeds that are signed and not yet released"

    def handle(self, **options):
        call_command("migrate", interactive=False, verbosity=0)
        for pk, (number, title, name, email) in enumerate(DEEDS, 1):
            Deed.objects.get_or_create(
                pk=pk, defaults={"number": number, "title": title, "client_name": name, "client_email": email}
            )
            desk.sign(pk)

from django.core.management import call_command
from django.core.management.base import BaseCommand

from billing.models import Charge, Member


class Command(BaseCommand):
    help = "Tables, three members and what they owe."

    def handle(self, **options):
        call_command("migrate", verbosity=0)
        for pk, name in ((1, "Ada"), (2, "Bruno"), (3, "Chiara")):
            Member.objects.update_or_create(pk=pk, defaults={"name": name, "email": f"{name.lower()}@example.org"})
            Charge.objects.update_or_create(
                pk=pk, defaults={"member_id": pk, "month": "2026-10", "label": "Postage, heirloom beans", "cents": 650 + pk}
            )
        Charge.objects.update_or_create(
            pk=4, defaults={"member_id": 1, "month": "2026-10", "label": "Late return, kale", "cents": 200}
        )

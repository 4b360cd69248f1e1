from datetime import date

from django.core.management import call_command
from django.core.management.base import BaseCommand
from django.db import transaction

from overdue.models import Letter, Loan, Reader


class Command(BaseCommand):
    help = "Migrates and makes a few overdue loans with drafted letters"

    @transaction.atomic
    def _rows(self):
        for n, (name, title) in enumerate([("A. Rossi", "Heidi"), ("B. Frei", "Momo"), ("C. Jost", "Krabat")], 1):
            reader, _ = Reader.objects.get_or_create(pk=n, defaults={"name": name, "address": f"Dorf {n}, 7500 Tal"})
            loan, _ = Loan.objects.get_or_create(
                pk=n, defaults={"reader": reader, "title": title, "due_on": date(2026, 2, n)}
            )
            Letter.objects.get_or_create(pk=n, defaults={"loan": loan, "fee_cents": 250, "reference": f"BB-{n}-1"})

    def handle(self, **options):
        call_command("migrate", verbosity=0)
        self._rows()

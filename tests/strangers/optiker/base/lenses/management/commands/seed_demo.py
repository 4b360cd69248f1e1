from datetime import timedelta
from decimal import Decimal

from django.core.management import BaseCommand, call_command
from django.utils import timezone

from lenses.models import Appointment, LensOrder

PEOPLE = [(1, "Ina Brandt", "draft"), (2, "Paul Oster", "placed"), (3, "Mia Kern", "placed")]


class Command(BaseCommand):
    help = "Lay out the database, with three appointments and their lens orders"

    def handle(self, **options):
        call_command("migrate", interactive=False, verbosity=0)
        now = timezone.now()
        for pk, customer, status in PEOPLE:
            Appointment.objects.update_or_create(
                pk=pk, defaults={"customer": customer, "branch": "Jena", "starts_at": now + timedelta(days=pk)}
            )
            LensOrder.objects.update_or_create(
                pk=pk,
                defaults={
                    "appointment_id": pk,
                    "lens": "SV-1.6",
                    "right_sphere": Decimal("-2.25"),
                    "left_sphere": Decimal("-1.75"),
                    "status": status,
                    "placed_at": None if status == "draft" else now,
                },
            )

from datetime import timedelta

from django.core.management import call_command
from django.core.management.base import BaseCommand
from django.utils import timezone

from reminders.models import Appointment


class Command(BaseCommand):
    help = "Tables, and two appointments to try things with."

    def handle(self, *args, **options):
        call_command("migrate", verbosity=0)
        at = timezone.now() + timedelta(days=2)
        for number, name in ((1, "A. Keller"), (2, "B. Rossi")):
            Appointment.objects.get_or_create(
                pk=number,
                defaults={"patient": name, "phone": f"+4179000000{number}", "email": f"p{number}@example.com", "starts_at": at},
            )

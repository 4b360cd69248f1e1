from django.core.management import call_command
from django.core.management.base import BaseCommand

from bookings.models import Booking


class Command(BaseCommand):
    help = "Migrate, and put in three bookings of a crossing that the weather cancelled"

    def handle(self, *args, **options):
        call_command("migrate", interactive=False, verbosity=0)
        for number, fare in ((1001, 4900), (1002, 12350), (1003, 800)):
            Booking.objects.get_or_create(
                reference=f"FB-{number}",
                defaults={
                    "email": f"guest{number}@example.org",
                    "fare_cents": fare,
                    "payment_ref": f"pay_{number}",
                    "status": Booking.Status.CANCELLED,
                },
            )

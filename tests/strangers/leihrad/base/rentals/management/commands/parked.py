from django.core.management.base import BaseCommand

from rentals.models import ParkedRental


class Command(BaseCommand):
    help = "List the rentals that wait for an operator."

    def handle(self, **options):
        for parked in ParkedRental.objects.order_by("parked_at"):
            self.stdout.write(f"{parked.rental_id}\t{parked.parked_at:%Y-%m-%d %H:%M}\t{parked.attempts}\t{parked.reason}")

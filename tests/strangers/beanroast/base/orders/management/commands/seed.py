from django.core.management import call_command
from django.core.management.base import BaseCommand

from orders.models import Order

SAMPLES = [
    ("BR-1042", "Ada", "ada@example.org", "10115", 500),
    ("BR-1043", "Bela", "bela@example.org", "20095", 1000),
    ("BR-1044", "Cleo", "cleo@example.org", "80331", 250),
]


class Command(BaseCommand):
    help = "Lay out the database with three packed orders"

    def handle(self, *args, **options):
        call_command("migrate", interactive=False, verbosity=0)
        for number, name, email, postcode, weight in SAMPLES:
            Order.objects.update_or_create(
                number=number,
                defaults={
                    "name": name,
                    "email": email,
                    "postcode": postcode,
                    "weight_g": weight,
                    "status": Order.PACKED,
                },
            )

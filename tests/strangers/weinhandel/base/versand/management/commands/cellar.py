from django.core.management import call_command
from django.core.management.base import BaseCommand

from versand.models import Shipment

BOXES = [("W-2001", "Ida Moser", "1070", 6), ("W-2002", "Jan Kofler", "6020", 12),
         ("W-2003", "Mia Huber", "8010", 3)]


class Command(BaseCommand):
    help = "Migrate, and put three closed boxes into the cellar"

    def handle(self, *args, **options):
        call_command("migrate", interactive=False, verbosity=0)
        for number, name, postcode, bottles in BOXES:
            Shipment.objects.get_or_create(
                order_number=number,
                defaults={"recipient": name, "street": "Kellergasse 1", "postcode": postcode,
                          "city": "Teststadt", "bottles": bottles, "state": Shipment.PACKED},
            )

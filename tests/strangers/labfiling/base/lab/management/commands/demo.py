from django.core.management import call_command
from django.core.management.base import BaseCommand

from lab.models import Result


class Command(BaseCommand):
    help = "Lay out the schema and a few made-up results."

    def handle(self, *args, **options):
        call_command("migrate", verbosity=0, interactive=False)
        for pk, analyte, value, unit in (
            (1, "potassium", "4.1", "mmol/l"),
            (2, "ferritin", "88", "ng/ml"),
            (3, "tsh", "1.9", "mU/l"),
        ):
            Result.objects.get_or_create(
                pk=pk,
                defaults={
                    "order_no": f"2611-{pk:04}", "patient_ref": f"P{pk:06}",
                    "analyte": analyte, "value": value, "unit": unit,
                    "status": Result.Status.RELEASED,
                },
            )

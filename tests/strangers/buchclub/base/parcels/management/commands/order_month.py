from django.core.management.base import BaseCommand, CommandError

from parcels.base import MONTH
from parcels.models import Selection
from parcels.services import plan_month


class Command(BaseCommand):
    help = "Plan and enqueue the parcels of a month. Cron runs it on the first; running it again does no harm."

    def add_arguments(self, parser):
        parser.add_argument("month", help="YYYY-MM")

    def handle(self, *, month, **options):
        if not MONTH.fullmatch(month):
            raise CommandError("YYYY-MM, please")
        if not Selection.objects.filter(month=month).exists():
            raise CommandError(f"no book has been chosen for {month}")
        self.stdout.write(f"{plan_month(month)} parcels enqueued")

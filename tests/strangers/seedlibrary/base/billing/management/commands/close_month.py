from django.core.management.base import BaseCommand, CommandError

from billing.invoicing import close_month
from billing.tasks import MONTH


class Command(BaseCommand):
    help = "Issues the invoices of a month, for everybody who has charges in it."

    def add_arguments(self, parser):
        parser.add_argument("month", help="2026-10")

    def handle(self, *, month, **options):
        if not MONTH.fullmatch(month):
            raise CommandError(f"{month} is no month")
        self.stdout.write(f"{close_month(month)} invoices")

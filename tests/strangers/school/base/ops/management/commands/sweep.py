from django.core.management.base import BaseCommand

from absences.services import publish_pending as publish_notices
from billing.services import publish_pending as publish_invoices


class Command(BaseCommand):
    help = "Publish the jobs that a crash between commit and publish left behind."

    def handle(self, *args, **options):
        self.stdout.write(f"{publish_notices()} notices, {publish_invoices()} invoices")

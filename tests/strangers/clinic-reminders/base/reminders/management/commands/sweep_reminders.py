from django.core.management.base import BaseCommand

from reminders import sweep


class Command(BaseCommand):
    help = "Queues lost reminders again; run it from cron."

    def handle(self, *args, **options):
        sweep.requeue()

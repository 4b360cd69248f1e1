from django.core.management.base import BaseCommand

from lab.sweeps import requeue_stuck


class Command(BaseCommand):
    help = "Queue again the filings that stood still (cron, every 10 minutes)."

    def handle(self, *args, **options):
        self.stdout.write(f"{requeue_stuck()} queued again")

from django.core.management.base import BaseCommand

from bookings.sweeps import requeue_stalled
from ferryboard.log import configure_logging


class Command(BaseCommand):
    help = "Order again the refunds that stand still (cron, every ten minutes)"

    def handle(self, *args, **options):
        configure_logging()
        requeue_stalled()

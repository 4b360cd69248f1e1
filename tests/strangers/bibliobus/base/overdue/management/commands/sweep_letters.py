from django.core.management.base import BaseCommand

from overdue.sweep import sweep_letters


class Command(BaseCommand):
    help = "Queues letters again that stand still (cron, every half hour)"

    def handle(self, **options):
        sweep_letters()

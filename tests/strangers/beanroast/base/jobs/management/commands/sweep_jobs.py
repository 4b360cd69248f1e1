from django.core.management.base import BaseCommand

from jobs.sweep import sweep_forgotten


class Command(BaseCommand):
    help = "Enqueue forgotten jobs again (hourly, see compose.yaml)"

    def handle(self, *args, **options):
        sweep_forgotten()

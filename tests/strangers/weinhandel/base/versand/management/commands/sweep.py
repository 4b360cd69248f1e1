from django.core.management.base import BaseCommand

from versand.sweep import sweep


class Command(BaseCommand):
    help = "Bring back shipments that stood still"

    def handle(self, *args, **options):
        sweep()

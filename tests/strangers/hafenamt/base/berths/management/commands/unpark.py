from django.core.management.base import BaseCommand, CommandError

from berths.claims import unpark


class Command(BaseCommand):
    help = "Let a parked stay be billed again."

    def add_arguments(self, parser):
        parser.add_argument("stay", type=int)

    def handle(self, *args, stay, **options):
        if not unpark(stay):
            raise CommandError(f"stay {stay} is not parked")

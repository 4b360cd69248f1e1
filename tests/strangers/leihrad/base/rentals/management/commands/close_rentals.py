from django.core.management.base import BaseCommand, CommandError

from rentals.closing import close_rentals


class Command(BaseCommand):
    help = "Close the rentals whose hire has ended and charge them. The crontab runs it every hour."

    def handle(self, **options):
        outcomes = close_rentals()
        if outcomes["interrupted"]:
            raise CommandError(f"{outcomes['interrupted']} rentals were left for the next run")

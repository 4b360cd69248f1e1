from django.core.management.base import BaseCommand, CommandError

from berths.billing import bill_due


class Command(BaseCommand):
    help = "Bill the stays that have ended. Started by cron."

    def handle(self, *args, **options):
        outcomes = bill_due()
        self.stderr.write(" ".join(f"{name}={number}" for name, number in sorted(outcomes.items())) or "nothing due")
        if outcomes["parked"] or outcomes["interrupted"]:
            raise CommandError("not everything was billed")

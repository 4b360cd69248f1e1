from django.core.management.base import BaseCommand
from django_q.models import Schedule


class Command(BaseCommand):
    help = "Create or correct the rows by which django-q runs our sweeps."

    def handle(self, *args, **options):
        Schedule.objects.update_or_create(
            name="requeue-stuck-invoices",
            defaults={
                "func": "invoices.sweep.requeue_stuck",
                "schedule_type": Schedule.MINUTES,
                "minutes": 10,
                "repeats": -1,
            },
        )

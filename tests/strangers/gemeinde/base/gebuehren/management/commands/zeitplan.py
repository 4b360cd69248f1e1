from django.core.management.base import BaseCommand
from django_q.models import Schedule


class Command(BaseCommand):
    help = "Legt die wiederkehrenden Aufträge des Clusters an."

    def handle(self, *args, **options):
        Schedule.objects.update_or_create(
            name="liegengebliebene Bescheide",
            defaults={
                "func": "gebuehren.aufraeumen.liegengebliebene",
                "schedule_type": Schedule.MINUTES,
                "minutes": 15,
                "repeats": -1,
            },
        )

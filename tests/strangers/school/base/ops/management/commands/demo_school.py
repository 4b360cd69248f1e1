from datetime import date

from django.core.management import call_command
from django.core.management.base import BaseCommand

from absences.models import Absence, Guardian, Notice, Pupil
from billing.models import Invoice


class Command(BaseCommand):
    help = "Migrate, and fill an empty database with one class for trying things out."

    def handle(self, *args, **options):
        call_command("migrate", verbosity=0)
        if Pupil.objects.exists():
            return
        lena = Pupil.objects.create(name="Lena Huber", form="3b")
        omar = Pupil.objects.create(name="Omar Said", form="3b")
        mother = Guardian.objects.create(pupil=lena, name="Ms Huber", email="huber@example.com")
        father = Guardian.objects.create(pupil=lena, name="Mr Huber", email="k.huber@example.com")
        said = Guardian.objects.create(pupil=omar, name="Ms Said", email="said@example.com")
        monday = Absence.objects.create(pupil=lena, day=date(2026, 3, 2), lessons=4)
        tuesday = Absence.objects.create(pupil=omar, day=date(2026, 3, 3), lessons=6)
        for absence, guardian in ((monday, mother), (monday, father), (tuesday, said)):
            Notice.objects.create(absence=absence, guardian=guardian)
        Invoice.objects.create(pupil=lena, term="2026-S1", cents=18500)
        Invoice.objects.create(pupil=omar, term="2026-S1", cents=9250)

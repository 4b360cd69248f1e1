from datetime import timedelta

from django.db.models import F
from django_tasks_db.models import DBTaskResult

from meldungen import ablauf
from meldungen.models import Meldung, Vorlage
from meldungen.nachfassen import nachfassen


def eine_stunde_spaeter():
    Meldung.objects.update(bewegt_am=F("bewegt_am") - timedelta(hours=1))


def test_toter_arbeiter(amt, meldung):
    ablauf.freigeben(meldung.pk)
    DBTaskResult.objects.get().claim("gestorben")
    ablauf.beginnen(meldung.pk)
    assert nachfassen() == 0
    eine_stunde_spaeter()
    assert nachfassen() == 1
    amt.arbeiten()
    assert list(amt.akten) == ["VR-1"]
    eine_stunde_spaeter()
    assert nachfassen() == 0


def test_wartendes_bleibt_einmal_in_der_schlange(amt, meldung):
    ablauf.freigeben(meldung.pk)
    eine_stunde_spaeter()
    assert nachfassen() == 0
    assert DBTaskResult.objects.count() == 1


def test_fuenf_tote_arbeiter(amt, meldung):
    ablauf.freigeben(meldung.pk)
    for _ in range(ablauf.MAX_VERSUCHE):
        ablauf.beginnen(meldung.pk)
    DBTaskResult.objects.all().delete()
    eine_stunde_spaeter()
    assert nachfassen() == 0
    assert Vorlage.objects.get().grund == "nach 5 Versuchen ohne Ergebnis"

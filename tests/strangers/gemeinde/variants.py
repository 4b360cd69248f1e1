"""The town hall's notices: one more way to be right, three to be wrong."""

import pathlib

_HERE = pathlib.Path(__file__).resolve().parent / "base"
JOB = "bescheid-zustellen"
AKTE, ZUSTELLUNG, SWEEP = "gebuehren/akte.py", "gebuehren/zustellung.py", "gebuehren/aufraeumen.py"
TESTS = "tests/test_zustellung.py"


def whole(path):
    return (_HERE / path).read_text()


NUMBERED_AKTE = '''"""Die Akte eines Bescheids. Die Nummer des Versuchs ist zugleich die Sperre: sie wird mit Vergleichen und Setzen
weitergezählt, und wer schreibt, nennt die Nummer, unter der er arbeitet."""

from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from .fehler import InArbeit, Unbekannt
from .models import Bescheid, Unzustellbar

OFFEN, ERLEDIGT, UNZUSTELLBAR = Bescheid.Status.OFFEN, Bescheid.Status.ERLEDIGT, Bescheid.Status.UNZUSTELLBAR


def max_versuche():
    return settings.Q_CLUSTER["max_attempts"]


def nehmen(aktenzeichen):
    """Den nächsten Versuch beginnen. None: der Bescheid ist zu Ende, oder seine Versuche sind es."""
    bescheid = Bescheid.objects.filter(aktenzeichen=aktenzeichen).first()
    if bescheid is None:
        raise Unbekannt(aktenzeichen)
    if bescheid.status != OFFEN:
        return None
    if bescheid.gesperrt_bis > timezone.now():
        raise InArbeit(aktenzeichen)
    if bescheid.versuche >= max_versuche():
        return None
    jetzt = timezone.now()
    vorher, bescheid.versuche = bescheid.versuche, bescheid.versuche + 1
    weiter = Bescheid.objects.filter(
        pk=bescheid.pk, status=OFFEN, versuche=vorher, gesperrt_bis=bescheid.gesperrt_bis
    ).update(versuche=bescheid.versuche, gesperrt_bis=jetzt + _dauer(), beruehrt_am=jetzt)
    if not weiter:
        raise InArbeit(aktenzeichen)
    bescheid.refresh_from_db(fields=["zugestellt_am", "sendungsnummer"])
    return bescheid


def verlaengern(bescheid):
    return _setzen(bescheid, gesperrt_bis=timezone.now() + _dauer())


def freigeben(bescheid):
    return _setzen(bescheid, gesperrt_bis=timezone.now())


def zugestellt(bescheid, sendungsnummer):
    with transaction.atomic():
        akte = Bescheid.objects.get(pk=bescheid.pk)
        if akte.zugestellt_am is None:
            akte.zugestellt_am, akte.sendungsnummer = timezone.now(), sendungsnummer
            akte.save(update_fields=["zugestellt_am", "sendungsnummer"])


def erledigt(bescheid):
    with transaction.atomic():
        akte = Bescheid.objects.get(pk=bescheid.pk)
        if akte.status == ERLEDIGT:
            return False
        akte.status, akte.kopie_am = ERLEDIGT, timezone.now()
        akte.save(update_fields=["status", "kopie_am"])
        Unzustellbar.objects.filter(schluessel=bescheid.aktenzeichen).delete()
        return True


def aufgeben(bescheid, grund):
    with transaction.atomic():
        if not _setzen(bescheid, status=UNZUSTELLBAR):
            return False
        _verzeichnen(bescheid, grund)
        return True


def aufgeben_wenn_erschoepft(aktenzeichen):
    with transaction.atomic():
        bescheid = Bescheid.objects.get(aktenzeichen=aktenzeichen)
        if bescheid.status != OFFEN or bescheid.versuche < max_versuche() or bescheid.gesperrt_bis > timezone.now():
            return False
        bescheid.status = UNZUSTELLBAR
        bescheid.save(update_fields=["status"])
        _verzeichnen(bescheid, "letzter Versuch ohne Ende")
        return True


def ablegen(schluessel, grund):
    """Eine Nachricht, zu der es keinen Bescheid gibt."""
    Unzustellbar.objects.get_or_create(schluessel=schluessel, defaults={"grund": grund, "versuche": 1})


def _verzeichnen(bescheid, grund):
    Unzustellbar.objects.update_or_create(
        schluessel=bescheid.aktenzeichen, defaults={"grund": grund[:120], "versuche": bescheid.versuche}
    )


def _setzen(bescheid, **werte):
    meiner = Bescheid.objects.filter(pk=bescheid.pk, status=OFFEN, versuche=bescheid.versuche)
    return meiner.update(**werte) == 1


def _dauer():
    return timedelta(seconds=settings.SPERRE_SEKUNDEN)
'''

VARIANTS = [
    {
        "id": "ok-versuchsnummer",
        "kind": "correct",
        "job": JOB,
        "what": (
            "No random token: the attempt's number is the lock. It is counted up by compare-and-set on number and end of "
            "lease, and every later write names the number under which it works. The facts (delivered, done) are written "
            "in a short transaction that reads first; with SQLite's IMMEDIATE it has the write lock from its start."
        ),
        "edits": [(AKTE, whole(AKTE), NUMBERED_AKTE)],
    },
    {
        "id": "m-zwei-schreibvorgaenge",
        "kind": "mistake",
        "job": JOB,
        "what": (
            "dead_letter: giving up is two transactions, the status first. The gateway refuses (422) or the fifth attempt "
            "fails; the status 'unzustellbar' is committed; the worker is killed, or the database fails, before the row in "
            "gebuehren_unzustellbar. The redelivery (and _beharrlich's second try) finds the notice no longer open, has "
            "nothing to do and is acknowledged: given up, and nobody is told."
        ),
        "edits": [
            (
                AKTE,
                """    with transaction.atomic():
        if not bescheide.update(status=Status.UNZUSTELLBAR, sperrmarke=""):
            return False
        Unzustellbar.objects.update_or_create(
            schluessel=aktenzeichen, defaults={"grund": grund[:120], "versuche": versuche}
        )
    return True
""",
                """    if not bescheide.update(status=Status.UNZUSTELLBAR, sperrmarke=""):
        return False
    Unzustellbar.objects.update_or_create(
        schluessel=aktenzeichen, defaults={"grund": grund[:120], "versuche": versuche}
    )
    return True
""",
            )
        ],
    },
    {
        "id": "m-gezaehlt-am-ende",
        "kind": "mistake",
        "job": JOB,
        "what": (
            "worker.deliveries: an attempt is counted when it ends (in freigeben and erledigt), not when it begins. A notice "
            "whose handling kills its worker each time ends no attempt: the lease runs out after 90 s, Django-Q brings the "
            "message back after 120 s, its own max_attempts counts results only, and the notice goes round for ever, "
            "without a dead letter."
        ),
        "edits": [
            (
                AKTE,
                """update(versuche=F("versuche") + 1, sperrmarke=marke, gesperrt_bis""",
                """update(sperrmarke=marke, gesperrt_bis""",
            ),
            (
                AKTE,
                """.update(status=Status.ERLEDIGT, kopie_am=timezone.now(), sperrmarke="")""",
                """.update(status=Status.ERLEDIGT, kopie_am=timezone.now(), sperrmarke="", versuche=F("versuche") + 1)""",
            ),
            (
                AKTE,
                """    _meiner(bescheid).update(sperrmarke="", gesperrt_bis=timezone.now())
""",
                """    _meiner(bescheid).update(sperrmarke="", gesperrt_bis=timezone.now(), versuche=F("versuche") + 1)
""",
            ),
            (
                AKTE,
                "return _aufgeben(_meiner(bescheid), bescheid.aktenzeichen, grund, bescheid.versuche)",
                "return _aufgeben(_meiner(bescheid), bescheid.aktenzeichen, grund, bescheid.versuche + 1)",
            ),
            (ZUSTELLUNG, "    journal.attempt = bescheid.versuche\n", "    journal.attempt = bescheid.versuche + 1\n"),
            (
                ZUSTELLUNG,
                "if endgueltig or bescheid.versuche >= akte.max_versuche():",
                "if endgueltig or bescheid.versuche + 1 >= akte.max_versuche():",
            ),
            (
                TESTS,
                """def test_worker_sterben(bescheid, gateway, uhr):
    for _ in range(5):
        uhr.vor(seconds=120)
        assert akte.nehmen(AZ)
    uhr.vor(seconds=120)
    zustellen(NACHRICHT)
    assert gateway.rufe == 0 and Unzustellbar.objects.count() == 1


""",
                "",
            ),
        ],
    },
    {
        "id": "m-nur-unversuchte",
        "kind": "mistake",
        "job": JOB,
        "what": (
            "recovers: the sweep looks only for notices that were never tried, since what was tried is 'in the queue "
            "anyway'. A worker takes a notice (versuche 1) and dies, and its message is gone: the queue was purged, or "
            "Django-Q had counted five failures on it, of which some were InArbeit or a database that was away, and "
            "acknowledged it. The notice stays open for ever: no delivery, no dead letter, and the sweep passes it by."
        ),
        "edits": [
            (
                SWEEP,
                "liegen = Bescheid.objects.filter(status=Bescheid.Status.OFFEN, beruehrt_am__lte=vorher, gesperrt_bis__lte=jetzt)",
                "liegen = Bescheid.objects.filter(status=Bescheid.Status.OFFEN, beruehrt_am__lte=vorher, versuche=0)",
            ),
            (
                SWEEP,
                '"""Offene Bescheide, an denen lange niemand war, noch einmal beauftragen."""',
                '"""Offene Bescheide, deren Auftrag nie angekommen ist, noch einmal beauftragen."""',
            ),
        ],
    },
]

"""Der Hintergrundjob. django-tasks versucht nichts zweimal; das besorgt `ablauf.gescheitert`."""

import logging

import httpx
from django_tasks import task

from meldungen import ablauf, register

log = logging.getLogger("meldungen.tasks")


class UngueltigeNachricht(Exception):
    pass


ERLEDIGT, SPAETER, NIE = "erledigt", "spaeter", "nie"


def einordnen(fehler: Exception) -> str:
    if isinstance(fehler, httpx.HTTPStatusError):
        code = fehler.response.status_code
        if code == 409:
            return ERLEDIGT
        return SPAETER if code >= 500 or code in (408, 425, 429) else NIE
    if isinstance(fehler, (UngueltigeNachricht, ablauf.UnbekannteMeldung, ablauf.KeineVersucheMehr)):
        return NIE
    return SPAETER


def notiz(stufe: int, meldung_id, versuch, ergebnis: str, grund="-") -> None:
    log.log(stufe, "job=%s event_id=%s attempt=%s result=%s reason=%s", ablauf.JOB, meldung_id, versuch, ergebnis, grund)


@task()
def meldung_einreichen(meldung_id: int | None = None, **fremd) -> None:
    """Reicht eine Meldung unter ihrer Meldenummer ein."""
    versuch, quittung = None, ""
    try:
        if fremd or type(meldung_id) is not int or meldung_id < 1:
            raise UngueltigeNachricht(f"meldung_id={meldung_id!r} {sorted(fremd)}")
        meldung = ablauf.beginnen(meldung_id)
        if meldung.abgeschlossen:
            notiz(logging.INFO, meldung_id, meldung.versuche, "skipped", meldung.status)
            return
        versuch = meldung.versuche
        notiz(logging.INFO, meldung_id, versuch, "started", meldung.meldenummer)
        try:
            quittung = register.einreichen(meldenummer=meldung.meldenummer, xml=register.als_xml(meldung))
        except httpx.HTTPStatusError as fehler:
            if einordnen(fehler) != ERLEDIGT:
                raise
            notiz(logging.INFO, meldung_id, versuch, "known", "das Register kennt die Meldenummer schon")
        ablauf.eingereicht(meldung_id, quittung)
    except Exception as fehler:
        if einordnen(fehler) == NIE:
            nachricht = {"meldung_id": meldung_id, **fremd}
            ergebnis = "dead" if ablauf.aufgeben(nachricht, repr(fehler)) else "skipped"
        else:
            ergebnis = ablauf.gescheitert(meldung_id, versuch, repr(fehler))
        notiz(logging.ERROR if ergebnis == "dead" else logging.WARNING, meldung_id, versuch, ergebnis, repr(fehler))
        return
    notiz(logging.INFO, meldung_id, versuch, "success", quittung or "ohne Quittung")

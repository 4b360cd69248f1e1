"""Der Auftrag: einen Beleg im Finanzsystem buchen."""

import logging
from typing import Any

from fibu import belege, einstellungen, finanz, warteschlange

einstellungen.protokoll_einrichten()
log = logging.getLogger("fibu.buchung")

ZEILE = "job=beleg-buchen event_id=%s belegnummer=%s attempt=%s result=%s reason=%s"


class UngueltigerAuftrag(Exception):
    """Die Nachricht nennt keinen Beleg."""


# Was auch morgen noch falsch ist. TypeError: der Nachricht fehlen Felder, oder sie hat welche zu viel.
ENDGUELTIG = (
    UngueltigerAuftrag,
    TypeError,
    belege.UnbekannterBeleg,
    belege.VersucheErschoepft,
    finanz.BuchungAbgelehnt,
)


def beleg_buchen(beleg_id: int) -> None:
    """Bucht den Beleg unter der Nummer, die er bei der Erfassung bekam: sie ist in jedem Versuch dieselbe."""
    if isinstance(beleg_id, bool) or not isinstance(beleg_id, int) or beleg_id < 1:
        raise UngueltigerAuftrag(f"beleg_id={beleg_id!r}")
    beleg = belege.versuch_beginnen(beleg_id)
    if not beleg.offen:
        log.info(ZEILE, beleg.id, beleg.belegnummer, beleg.versuche, "skipped", beleg.status)
        return
    log.info(ZEILE, beleg.id, beleg.belegnummer, beleg.versuche, "started", "-")
    buchungs_id = finanz.buchen(
        belegnummer=beleg.belegnummer,
        kreditor=beleg.kreditor,
        konto=beleg.konto,
        betrag_cent=beleg.betrag_cent,
    )
    belege.gebucht(beleg.id, buchungs_id)
    log.info(ZEILE, beleg.id, beleg.belegnummer, beleg.versuche, "success", buchungs_id)


def fehlschlag(job: Any, verbindung: Any, typ: type[BaseException], fehler: BaseException, spur: Any) -> None:
    """RQ ruft das nach jedem gescheiterten Versuch, noch bevor es über den nächsten entscheidet."""
    nutzlast = dict(job.kwargs or {})
    if job.args:
        nutzlast["args"] = list(job.args)
    beleg_id = belege.beleg_id_aus(nutzlast)
    versuch = belege.versuche(beleg_id)
    letzte_zustellung = (job.retries_left or 0) <= warteschlange.RESERVE
    if isinstance(fehler, ENDGUELTIG) or versuch >= einstellungen.MAX_VERSUCHE or letzte_zustellung:
        aufgegeben = belege.aufgeben(nutzlast, repr(fehler))
        job.retries_left = 0  # erst, wenn der Klärfall steht: sonst soll RQ es noch einmal versuchen
        log.error(ZEILE, beleg_id, "-", versuch, "dead" if aufgegeben else "already_booked", repr(fehler))
        return
    log.warning(ZEILE, beleg_id, "-", versuch, "retry", repr(fehler))

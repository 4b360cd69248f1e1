"""Was das Versandprogramm an der Rampe aufruft."""

import logging
import sqlite3

from avis import modelle
from avis.aufgaben import avis_versenden

log = logging.getLogger("avis.rampe")


def spedition_hat_uebernommen(avis_id: int) -> bool:
    """Die Palette ist vom Hof: das Avis soll hinaus. Darf mehrmals gerufen werden.

    Zuerst steht es in der Datenbank. Kommt es danach nicht in die Warteschlange, holt das Relais es dort ab.
    """
    if not modelle.oeffnen(avis_id):
        return False
    try:
        avis_versenden({"avis_id": avis_id})
    except sqlite3.Error as fehler:
        log.warning("job=avis-versenden event_id=%s result=not_enqueued reason=%r", avis_id, fehler)
        return False
    modelle.bewegt(avis_id)
    return True

"""Das Relais: alle fünf Minuten, was offen ist und liegen blieb, zurück in die Warteschlange."""

import logging

from huey import crontab

from avis import konfig, modelle
from avis.aufgaben import avis_versenden, versand
from avis.warteschlange import huey

log = logging.getLogger("avis.relais")


def nachreichen() -> int:
    """Reicht nach und zählt. Was keine Versuche mehr hat, kommt zu den Unzustellbaren."""
    anzahl = 0
    for avis in modelle.liegengebliebene():
        nutzlast = {"avis_id": avis.id}
        if avis.versuche >= konfig.MAX_VERSUCHE:
            grund = f"nach {avis.versuche} Versuchen ohne Ergebnis"
            modelle.aufgeben(versand.name, nutzlast, avis.id, grund)
            versand.notieren(logging.ERROR, avis.id, avis.versuche, "dead", grund)
            continue
        avis_versenden(nutzlast)
        modelle.bewegt(avis.id)
        versand.notieren(logging.WARNING, avis.id, avis.versuche, "requeued", "lag zu lange")
        anzahl += 1
    return anzahl


@huey.periodic_task(crontab(minute="*/5"))
def relais_takt() -> None:
    nachreichen()

"""Rettung, alle 15 Minuten aus der Crontab: `python -m fibu.rettung`.

Sucht Belege in Buchung, von denen RQ nichts mehr weiß (Redis war weg, der Prozess starb zwischen Festhalten und
Einreihen), und reiht sie wieder ein. Wer keine Versuche mehr hat, wird zum Klärfall.
"""

import logging

from fibu import belege, einstellungen, warteschlange

log = logging.getLogger("fibu.rettung")


def retten() -> int:
    unterwegs = warteschlange.unterwegs()
    gerettet = 0
    for beleg in belege.stillstehende():
        if warteschlange.auftrag_id(beleg.id) in unterwegs:
            continue
        if beleg.versuche >= einstellungen.MAX_VERSUCHE:
            grund = f"nach {beleg.versuche} Versuchen ohne Ergebnis"
            belege.aufgeben({"beleg_id": beleg.id}, grund)
            ergebnis = "dead"
        else:
            grund = "stand still"
            warteschlange.einreihen(beleg.id)
            ergebnis = "requeued"
            gerettet += 1
        log.warning(
            "job=%s event_id=%s belegnummer=%s attempt=%s result=%s reason=%s",
            belege.JOB, beleg.id, beleg.belegnummer, beleg.versuche, ergebnis, grund,
        )  # fmt: skip
    return gerettet


if __name__ == "__main__":
    einstellungen.protokoll_einrichten()
    retten()

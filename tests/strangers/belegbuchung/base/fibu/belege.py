"""Belege und ihr Weg: erfasst -> in_buchung -> gebucht, oder in die Klärung."""

import json
import logging
import time
from dataclasses import dataclass
from typing import Any

from redis.exceptions import RedisError

from fibu import einstellungen, nummernkreis, warteschlange
from fibu.datenbank import lesen, transaktion

JOB = "beleg-buchen"

log = logging.getLogger("fibu.belege")


class UnbekannterBeleg(Exception):
    """Unter dieser Nummer gibt es keinen Beleg."""


class VersucheErschoepft(Exception):
    """Der letzte erlaubte Versuch hat keine Spur hinterlassen; einen weiteren gibt es nicht."""


@dataclass(frozen=True)
class Beleg:
    id: int
    belegnummer: str
    kreditor: str
    konto: str
    betrag_cent: int
    status: str
    versuche: int

    @property
    def offen(self) -> bool:
        return self.status in ("erfasst", "in_buchung")


def _beleg(zeile: Any) -> Beleg:
    return Beleg(**{feld: zeile[feld] for feld in Beleg.__dataclass_fields__})


def erfassen(kreditor: str, konto: str, betrag_cent: int, jahr: int) -> int:
    """Nimmt eine Eingangsrechnung auf. Mit dem Beleg steht auch seine Nummer fest, für immer."""
    with transaktion() as db:
        belegnummer = nummernkreis.naechste(db, jahr)
        zeile = db.execute(
            "INSERT INTO belege (belegnummer, jahr, kreditor, konto, betrag_cent) VALUES (?, ?, ?, ?, ?)",
            (belegnummer, jahr, kreditor, konto, betrag_cent),
        )
        return zeile.lastrowid


def zur_buchung_geben(beleg_id: int) -> bool:
    """Gibt einen Beleg zur Buchung. Darf wiederholt werden; ein Klärfall beginnt damit von vorn.

    Erst wird festgehalten, dann eingereiht. Fällt Redis dazwischen aus, holt die Rettung das Einreihen nach.
    """
    with transaktion() as db:
        zeile = db.execute("SELECT * FROM belege WHERE id = ?", (beleg_id,)).fetchone()
        if zeile is None:
            raise UnbekannterBeleg(f"Beleg {beleg_id}")
        if zeile["status"] == "gebucht":
            return False
        if zeile["status"] == "klaerung":
            db.execute("UPDATE belege SET versuche = 0 WHERE id = ?", (beleg_id,))
            db.execute("DELETE FROM klaerfaelle WHERE job = ? AND beleg_id = ?", (JOB, beleg_id))
        db.execute("UPDATE belege SET status = 'in_buchung', bewegt_am = ? WHERE id = ?", (time.time(), beleg_id))
    try:
        warteschlange.einreihen(beleg_id)
    except RedisError as fehler:
        log.warning("job=%s event_id=%s result=not_enqueued reason=%r", JOB, beleg_id, fehler)
        return False
    return True


def versuch_beginnen(beleg_id: int) -> Beleg:
    """Zählt den Versuch, bevor er etwas tut: so zählen auch die, an denen der Prozess stirbt."""
    with transaktion() as db:
        zeile = db.execute("SELECT * FROM belege WHERE id = ?", (beleg_id,)).fetchone()
        if zeile is None:
            raise UnbekannterBeleg(f"Beleg {beleg_id}")
        if zeile["status"] not in ("erfasst", "in_buchung"):
            return _beleg(zeile)
        if zeile["versuche"] >= einstellungen.MAX_VERSUCHE:
            raise VersucheErschoepft(f"nach {zeile['versuche']} Versuchen")
        db.execute(
            "UPDATE belege SET status = 'in_buchung', versuche = versuche + 1, bewegt_am = ? WHERE id = ?",
            (time.time(), beleg_id),
        )
        return _beleg(db.execute("SELECT * FROM belege WHERE id = ?", (beleg_id,)).fetchone())


def gebucht(beleg_id: int, buchungs_id: str) -> None:
    """Hält die Buchung fest. Eine Klärung, die ein anderer Versuch inzwischen eröffnet hat, ist damit erledigt."""
    with transaktion() as db:
        db.execute(
            "UPDATE belege SET status = 'gebucht', buchungs_id = ? WHERE id = ? AND status <> 'gebucht'",
            (buchungs_id, beleg_id),
        )
        db.execute("DELETE FROM klaerfaelle WHERE job = ? AND beleg_id = ?", (JOB, beleg_id))


def aufgeben(nutzlast: dict[str, Any], grund: str) -> bool:
    """Legt einen Klärfall an und nimmt den Beleg aus dem Verkehr, beides oder keines. Gebuchtes bleibt gebucht."""
    beleg_id = beleg_id_aus(nutzlast)
    with transaktion() as db:
        zeile = db.execute("SELECT status FROM belege WHERE id = ?", (beleg_id,)).fetchone()
        if zeile is not None and zeile["status"] == "gebucht":
            return False
        db.execute("UPDATE belege SET status = 'klaerung' WHERE id = ?", (beleg_id,))
        db.execute(
            "INSERT INTO klaerfaelle (job, beleg_id, nutzlast, grund) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (job, nutzlast) DO NOTHING",
            (JOB, beleg_id, json.dumps(nutzlast, sort_keys=True, default=str), grund),
        )
    return True


def beleg_id_aus(nutzlast: dict[str, Any]) -> int | None:
    """Der Beleg einer wohlgeformten Nachricht; eine verdorbene fasst keinen Beleg an."""
    wert = nutzlast.get("beleg_id")
    return wert if set(nutzlast) == {"beleg_id"} and type(wert) is int and wert > 0 else None


def versuche(beleg_id: int | None) -> int:
    with lesen() as db:
        zeile = db.execute("SELECT versuche FROM belege WHERE id = ?", (beleg_id,)).fetchone()
    return zeile["versuche"] if zeile else 0


def stillstehende() -> list[Beleg]:
    """Belege in Buchung, an denen sich lange nichts bewegt hat."""
    grenze = time.time() - einstellungen.RETTUNG_NACH
    with lesen() as db:
        zeilen = db.execute(
            "SELECT * FROM belege WHERE status = 'in_buchung' AND bewegt_am <= ? ORDER BY id", (grenze,)
        ).fetchall()
    return [_beleg(zeile) for zeile in zeilen]

"""Belegnummern macht das Haus selbst: ER-<Jahr>-<laufende Nummer>, je Geschäftsjahr lückenlos."""

import sqlite3


def naechste(db: sqlite3.Connection, jahr: int) -> str:
    """Zieht die nächste Nummer in der Transaktion des Aufrufers."""
    db.execute("INSERT INTO nummernkreis (jahr, letzte) VALUES (?, 0) ON CONFLICT (jahr) DO NOTHING", (jahr,))
    db.execute("UPDATE nummernkreis SET letzte = letzte + 1 WHERE jahr = ?", (jahr,))
    (letzte,) = db.execute("SELECT letzte FROM nummernkreis WHERE jahr = ?", (jahr,)).fetchone()
    return f"ER-{jahr}-{letzte:06d}"

"""Huey auf SQLite. Huey löscht eine Nachricht, wenn es sie herausgibt: was dann verloren geht, reicht das Relais nach."""

from huey import SqliteHuey

from avis import konfig

huey = SqliteHuey("avis", filename=konfig.HUEY_DATEI, results=False, timeout=30)

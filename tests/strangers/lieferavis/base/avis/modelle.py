"""Tabellen (peewee) und die Schritte, die ein Avis darin macht."""

import json
import time
from typing import Any

from peewee import AutoField, CharField, FloatField, IntegerField, Model, SqliteDatabase, TextField

from avis import konfig

db = SqliteDatabase(konfig.DB_DATEI, timeout=30)


class Erschoepft(Exception):
    """Das Avis hat alle Versuche gehabt, und keiner hat ein Ergebnis hinterlassen."""


class Ungewiss(Exception):
    """Ein früherer Versuch kann die Mail versandt haben, und das Relay weiß es nicht mehr: das entscheidet ein Mensch."""


class Tabelle(Model):
    class Meta:
        database = db
        legacy_table_names = False


class Avis(Tabelle):
    """angelegt -> offen -> erledigt, oder aufgegeben."""

    id = AutoField()
    lieferschein = CharField(unique=True)
    empfaenger = CharField()
    spedition = CharField()
    sendungsnummer = CharField()
    message_id = CharField(unique=True)
    angelegt_am = IntegerField()
    status = CharField(default="angelegt")
    versuche = IntegerField(default=0)
    erster_versuch_am = FloatField(null=True)
    uebergeben_am = FloatField(null=True)  # letzte Bewegung; leer: Huey weiß noch nichts davon
    versandt_am = FloatField(null=True)


class Unzustellbar(Tabelle):
    """Aufgegebene Aufträge, für die Disposition."""

    id = AutoField()
    auftrag = CharField()
    avis_id = IntegerField(null=True)
    nutzlast = TextField()
    grund = TextField()
    seit = FloatField(default=time.time)

    class Meta:
        indexes = ((("auftrag", "nutzlast"), True),)


def anlegen(lieferschein: str, empfaenger: str, spedition: str, sendungsnummer: str, angelegt_am: int) -> Avis:
    """Ein Avis bekommt seine Message-ID hier und behält sie."""
    with db.connection_context(), db.atomic("IMMEDIATE"):
        return Avis.create(
            lieferschein=lieferschein,
            empfaenger=empfaenger,
            spedition=spedition,
            sendungsnummer=sendungsnummer,
            angelegt_am=angelegt_am,
            message_id=f"<avis-{lieferschein}@kessler-armaturen.de>",
        )


def oeffnen(avis_id: int) -> bool:
    """Stellt ein Avis zum Versand bereit. Aufgegebene beginnen von vorn. False: ist schon versandt."""
    with db.connection_context(), db.atomic("IMMEDIATE"):
        avis = Avis.get_by_id(avis_id)
        if avis.status == "erledigt":
            return False
        if avis.status == "aufgegeben":
            avis.versuche = 0
            if _vergessen(avis):
                avis.erster_versuch_am = None
            Unzustellbar.delete().where(Unzustellbar.avis_id == avis_id).execute()
        avis.status = "offen"
        avis.uebergeben_am = None
        avis.save(only=["status", "versuche", "erster_versuch_am", "uebergeben_am"])
        return True


def bewegt(avis_id: int) -> None:
    with db.connection_context(), db.atomic("IMMEDIATE"):
        Avis.update(uebergeben_am=time.time()).where(Avis.id == avis_id).execute()


def versuch_beginnen(avis_id: int) -> Avis | None:
    """Zählt einen Versuch, bevor er etwas tut: Huey gibt die Nachricht eines gestorbenen Arbeiters nicht zurück,
    nur die Zahl hier weiß von ihm. None, wenn es dieses Avis nicht gibt.
    """
    jetzt = time.time()
    with db.connection_context(), db.atomic("IMMEDIATE"):
        avis = Avis.get_or_none(Avis.id == avis_id)
        if avis is None or avis.status in ("erledigt", "aufgegeben"):
            return avis
        if avis.versuche >= konfig.MAX_VERSUCHE:
            raise Erschoepft(f"nach {avis.versuche} Versuchen")
        if avis.versandt_am is None and _vergessen(avis):
            raise Ungewiss(f"erster Versuch {avis.erster_versuch_am:.0f}")
        avis.status = "offen"
        avis.versuche += 1
        avis.erster_versuch_am = avis.erster_versuch_am or jetzt
        avis.uebergeben_am = jetzt
        avis.save(only=["status", "versuche", "erster_versuch_am", "uebergeben_am"])
        return avis


def _vergessen(avis: Avis) -> bool:
    return avis.erster_versuch_am is not None and time.time() - avis.erster_versuch_am > konfig.RELAY_GEDAECHTNIS


def versandt(avis_id: int) -> None:
    with db.connection_context(), db.atomic("IMMEDIATE"):
        Avis.update(versandt_am=time.time()).where(Avis.id == avis_id, Avis.versandt_am.is_null()).execute()


def erledigt(avis_id: int) -> None:
    """Fertig. Hat ein anderer Versuch das Avis inzwischen aufgegeben, ist auch das erledigt."""
    with db.connection_context(), db.atomic("IMMEDIATE"):
        Avis.update(status="erledigt").where(Avis.id == avis_id).execute()
        Unzustellbar.delete().where(Unzustellbar.avis_id == avis_id).execute()


def aufgeben(auftrag: str, nutzlast: Any, avis_id: int | None, grund: str) -> bool:
    """Ein Eintrag bei den Unzustellbaren, und das Avis ruht. False: es ist inzwischen erledigt."""
    with db.connection_context(), db.atomic("IMMEDIATE"):
        avis = Avis.get_or_none(Avis.id == avis_id)
        if avis is not None and avis.status == "erledigt":
            return False
        Avis.update(status="aufgegeben").where(Avis.id == avis_id).execute()
        Unzustellbar.insert(
            auftrag=auftrag, avis_id=avis_id, nutzlast=json.dumps(nutzlast, sort_keys=True, default=str), grund=grund
        ).on_conflict_ignore().execute()
        return True


def liegengebliebene() -> list[Avis]:
    """Offene Avise, von denen Huey nichts weiß, oder an denen sich zu lange nichts bewegt hat."""
    grenze = time.time() - konfig.STILLSTAND
    with db.connection_context():
        return list(
            Avis.select()
            .where(Avis.status == "offen", Avis.uebergeben_am.is_null() | (Avis.uebergeben_am <= grenze))
            .order_by(Avis.id)
        )

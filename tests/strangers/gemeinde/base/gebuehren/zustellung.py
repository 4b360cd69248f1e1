"""Der Auftrag: einen Bescheid zustellen. Endet er mit einem Fehler, bringt Django-Q ihn wieder."""

import hashlib
import json
import logging
import re
import time

from django.db import DatabaseError

from . import akte, epost, kopie
from .fehler import Erneut, InArbeit, Unbekannt, Unlesbar
from .journal import Journal

AKTENZEICHEN = re.compile(r"GB-20\d\d-\d{6}")


def zustellen(nachricht):
    try:
        aktenzeichen = lesen(nachricht)
    except Unlesbar as fehler:
        schluessel = "unlesbar:" + _abdruck(nachricht)
        akte.ablegen(schluessel, str(fehler))
        Journal(schluessel)("unlesbar", logging.ERROR)
        return

    journal = Journal(aktenzeichen)
    try:
        bescheid = akte.nehmen(aktenzeichen)
    except InArbeit:
        journal("in_arbeit", logging.WARNING)
        raise
    except Unbekannt:
        akte.ablegen(aktenzeichen, "unbekanntes Aktenzeichen")
        journal("unbekannt", logging.ERROR)
        return
    if bescheid is None:
        if akte.aufgeben_wenn_erschoepft(aktenzeichen):
            journal("aufgegeben", logging.ERROR, error="erschoepft")
        else:
            journal("nichts_zu_tun")
        return

    journal.attempt = bescheid.versuche
    journal("begonnen")
    gescheitert = None
    try:
        ergebnis = _schritte(bescheid)
    except InArbeit:
        journal("ueberholt", logging.WARNING)
        raise
    except DatabaseError:
        raise
    except Exception as fehler:
        gescheitert = fehler
    if gescheitert is None:
        journal(ergebnis)
    else:
        # Nicht im except: Django-Q hebt den Traceback auf, und in dem des Mailservers stehen Adressen.
        _gescheitert(bescheid, gescheitert, journal)


def _schritte(bescheid):
    if bescheid.zugestellt_am is None:
        nummer = epost.einliefern(
            aktenzeichen=bescheid.aktenzeichen,
            postfach=bescheid.postfach,
            empfaenger=bescheid.empfaenger,
            betrag_cent=bescheid.betrag_cent,
            zweck=bescheid.zweck,
        )
        _beharrlich(akte.zugestellt, bescheid, nummer)
        bescheid.sendungsnummer = nummer
    if not akte.verlaengern(bescheid):
        raise InArbeit(bescheid.aktenzeichen)
    kopie.senden(bescheid)
    return "zugestellt" if _beharrlich(akte.erledigt, bescheid) else "schon_zugestellt"


def _gescheitert(bescheid, fehler, journal):
    art = type(fehler).__name__
    endgueltig = isinstance(fehler, epost.Abgelehnt) or kopie.endgueltig(fehler)
    if endgueltig or bescheid.versuche >= akte.max_versuche():
        grund = f"{art}: {fehler}" if isinstance(fehler, (epost.Abgelehnt, epost.Gestoert)) else art
        if _beharrlich(akte.aufgeben, bescheid, grund):
            journal("aufgegeben", logging.ERROR, error=art)
            return
        journal("ueberholt", logging.WARNING, error=art)
        raise Erneut(art)
    akte.freigeben(bescheid)
    journal("erneut", logging.WARNING, error=art)
    raise Erneut(art)


def _beharrlich(schreiben, *werte, male=3):
    """Was geschehen ist, wird vermerkt, auch wenn die Datenbank stolpert."""
    for rest in reversed(range(male)):
        try:
            return schreiben(*werte)
        except DatabaseError:
            if not rest:
                raise
            time.sleep(0.1)


def lesen(nachricht):
    if not isinstance(nachricht, dict) or set(nachricht) != {"aktenzeichen"}:
        raise Unlesbar("erwartet wird genau ein Aktenzeichen")
    wert = nachricht["aktenzeichen"]
    if not isinstance(wert, str) or not AKTENZEICHEN.fullmatch(wert):
        raise Unlesbar("kein Aktenzeichen")
    return wert


def _abdruck(nachricht):
    text = json.dumps(nachricht, sort_keys=True, default=repr)
    return hashlib.sha256(text.encode()).hexdigest()[:24]

"""Wie ein Auftrag abläuft. Was er tut, sagen die Unterklassen (Template Method)."""

import logging
from abc import ABC, abstractmethod
from typing import Any

from avis import archiv, konfig, modelle, post

log = logging.getLogger("avis.auftrag")


class Endgueltig(Exception):
    """Ein weiterer Versuch ändert daran nichts."""


class Auftrag(ABC):
    name: str
    endgueltig: tuple[type[Exception], ...] = (Endgueltig,)

    def ausfuehren(self, nutzlast: Any, letzte_zustellung: bool) -> None:
        """Ein Versuch. Wirft nur, was Huey noch einmal versuchen soll."""
        kennung, versuch = None, 0
        try:
            kennung = self.kennung(nutzlast)
            avis = self.beginnen(kennung)
            if avis is None:
                raise Endgueltig(f"Avis {kennung} gibt es nicht")
            versuch = avis.versuche
            if avis.status in ("erledigt", "aufgegeben"):
                self.notieren(logging.INFO, kennung, versuch, "skipped", avis.status)
                return
            self.notieren(logging.INFO, kennung, versuch, "started", avis.message_id)
            self.tun(avis)
            self.abschliessen(avis)
        except Exception as fehler:
            if isinstance(fehler, self.endgueltig) or letzte_zustellung or versuch >= konfig.MAX_VERSUCHE:
                tot = modelle.aufgeben(self.name, nutzlast, kennung, repr(fehler))
                self.notieren(logging.ERROR, kennung, versuch, "dead" if tot else "already_done", repr(fehler))
                return
            self.notieren(logging.WARNING, kennung, versuch, "retry", repr(fehler))
            raise
        self.notieren(logging.INFO, kennung, versuch, "success", avis.message_id)

    def notieren(self, stufe: int, kennung: Any, versuch: int, ergebnis: str, grund: str) -> None:
        log.log(
            stufe, "job=%s event_id=%s attempt=%s result=%s reason=%s", self.name, kennung, versuch, ergebnis, grund
        )

    @abstractmethod
    def kennung(self, nutzlast: Any) -> int: ...

    @abstractmethod
    def beginnen(self, kennung: int) -> modelle.Avis | None: ...

    @abstractmethod
    def tun(self, avis: modelle.Avis) -> None: ...

    @abstractmethod
    def abschliessen(self, avis: modelle.Avis) -> None: ...


class AvisVersand(Auftrag):
    name = "avis-versenden"
    endgueltig = (Endgueltig, modelle.Erschoepft, modelle.Ungewiss, post.Abgelehnt)

    def kennung(self, nutzlast: Any) -> int:
        if not isinstance(nutzlast, dict) or set(nutzlast) != {"avis_id"}:
            raise Endgueltig(f"keine Nachricht für den Versand: {nutzlast!r}")
        wert = nutzlast["avis_id"]
        if type(wert) is not int or wert < 1:
            raise Endgueltig(f"avis_id={wert!r}")
        return wert

    def beginnen(self, kennung: int) -> modelle.Avis | None:
        return modelle.versuch_beginnen(kennung)

    def tun(self, avis: modelle.Avis) -> None:
        rohtext = post.bauen(avis)
        if avis.versandt_am is None:
            post.senden(message_id=avis.message_id, an=avis.empfaenger, rohtext=rohtext)
            modelle.versandt(avis.id)
        archiv.ablegen(schluessel=f"avis/{avis.lieferschein}.eml", inhalt=rohtext)

    def abschliessen(self, avis: modelle.Avis) -> None:
        modelle.erledigt(avis.id)

"""Das Finanzsystem. Es führt jede Belegnummer nur einmal: wer dieselbe noch einmal bucht, bekommt die erste Buchung."""

from urllib.parse import quote

import requests

from fibu import einstellungen

WARTEN = (5, 30)  # Verbindung, Antwort
SPAETER = (408, 425, 429)


class BuchungAbgelehnt(Exception):
    """Das Finanzsystem nimmt diesen Beleg so nicht an: Konto gesperrt, Periode geschlossen, Kreditor unbekannt."""


def buchen(belegnummer: str, kreditor: str, konto: str, betrag_cent: int) -> str:
    """Bucht einen Beleg und liefert die Buchungs-ID. Wirft BuchungAbgelehnt oder requests.RequestException."""
    antwort = requests.put(
        f"{einstellungen.finanz_url()}/buchungen/{quote(belegnummer)}",
        json={"kreditor": kreditor, "konto": konto, "betrag": {"cent": betrag_cent, "waehrung": "EUR"}},
        timeout=WARTEN,
    )
    if 400 <= antwort.status_code < 500 and antwort.status_code not in SPAETER:
        raise BuchungAbgelehnt(f"{antwort.status_code} {antwort.text[:200]}")
    antwort.raise_for_status()
    return str(antwort.json()["buchungs_id"])

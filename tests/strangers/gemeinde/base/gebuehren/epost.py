"""Das E-Post-Gateway des Landes."""

from xml.etree import ElementTree as ET

import requests
from django.conf import settings


class Gestoert(Exception):
    """Später noch einmal; ob die Sendung angekommen ist, weiß man nicht."""


class Abgelehnt(Exception):
    """Das Gateway nimmt diese Sendung nicht, auch später nicht."""


def einliefern(aktenzeichen, postfach, empfaenger, betrag_cent, zweck):
    """Die Sendung einliefern. Gibt die Sendungsnummer zurück, auch die einer früheren Einlieferung."""
    try:
        antwort = requests.post(
            f"{settings.EPOST_URL}/sendungen",
            data=_sendung(aktenzeichen, postfach, empfaenger, betrag_cent, zweck),
            headers={"Content-Type": "application/xml", "Authorization": f"Bearer {settings.EPOST_TOKEN}"},
            timeout=(5, 20),
        )
    except requests.RequestException as fehler:
        raise Gestoert(type(fehler).__name__) from None
    if antwort.status_code in (400, 404, 413, 422):
        raise Abgelehnt(f"HTTP {antwort.status_code}")
    if antwort.status_code not in (200, 201, 409):
        raise Gestoert(f"HTTP {antwort.status_code}")
    try:
        nummer = ET.fromstring(antwort.content).findtext("Sendungsnummer")
    except ET.ParseError:
        nummer = None
    if not nummer:
        raise Gestoert("Quittung ohne Sendungsnummer")
    return nummer


def _sendung(aktenzeichen, postfach, empfaenger, betrag_cent, zweck):
    wurzel = ET.Element("Sendung")
    ET.SubElement(wurzel, "Aktenzeichen").text = aktenzeichen
    ET.SubElement(wurzel, "Postfach").text = postfach
    ET.SubElement(wurzel, "Empfaenger").text = empfaenger
    bescheid = ET.SubElement(wurzel, "Gebuehrenbescheid")
    ET.SubElement(bescheid, "Betrag", waehrung="EUR").text = f"{betrag_cent / 100:.2f}"
    ET.SubElement(bescheid, "Zweck").text = zweck
    return ET.tostring(wurzel, encoding="utf-8", xml_declaration=True)

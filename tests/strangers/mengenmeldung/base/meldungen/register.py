"""Das Verpackungsregister: nimmt Meldungen als XML an, jede Meldenummer einmal.

Auf eine bekannte Meldenummer antwortet es 409. Die Nummern vergibt das Haus; ist eine bekannt, war es unsere Meldung.
"""

from xml.etree import ElementTree as ET

import httpx
from django.conf import settings


def als_xml(meldung) -> str:
    wurzel = ET.Element("mengenmeldung", version="2.1", nummer=meldung.meldenummer)
    ET.SubElement(wurzel, "zeitraum").text = meldung.monat
    position = ET.SubElement(wurzel, "position", material=meldung.material)
    ET.SubElement(position, "menge", einheit="kg").text = str(meldung.menge_kg)
    return ET.tostring(wurzel, encoding="unicode")


def einreichen(meldenummer: str, xml: str) -> str:
    """Reicht eine Meldung ein und liefert die Quittung. Wirft httpx.HTTPStatusError oder httpx.TransportError."""
    antwort = httpx.post(
        f"{settings.REGISTER_URL}/meldungen",
        content=xml.encode(),
        headers={
            "Content-Type": "application/xml; charset=utf-8",
            "Authorization": f"Bearer {settings.REGISTER_TOKEN}",
            "X-Meldenummer": meldenummer,
        },
        timeout=httpx.Timeout(30, connect=5),
    )
    antwort.raise_for_status()
    return antwort.headers.get("X-Quittung", "")

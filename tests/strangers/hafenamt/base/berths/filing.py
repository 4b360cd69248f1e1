"""The folder that the accounting fetches invoices from."""

import os
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from xml.etree import ElementTree as ET

PART_MAX_AGE = 3600


def invoice_xml(stay):
    root = ET.Element("Invoice", number=stay.invoice_number, date=stay.departed_on.isoformat())
    ET.SubElement(root, "Ship", imo=stay.imo).text = stay.ship
    berth = ET.SubElement(root, "Berth", nights=str(stay.nights), grossTonnage=str(stay.gross_tonnage))
    berth.set("from", stay.arrived_on.isoformat())
    berth.set("to", stay.departed_on.isoformat())
    ET.SubElement(root, "Total", currency="EUR").text = f"{stay.amount_cents / 100:.2f}"
    return ET.tostring(root, encoding="utf-8", xml_declaration=True)


def put(folder, number, content):
    """Write <number>.xml so that a reader sees all of it or nothing. The folder must be there: it is a mount."""
    folder = Path(folder)
    handle, part = tempfile.mkstemp(prefix=f".{number}.", suffix=".part", dir=folder)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(part, 0o640)
        os.replace(part, folder / f"{number}.xml")
    except BaseException:
        with suppress(OSError):
            os.unlink(part)
        raise


def clear_parts(folder):
    """Remove what runs that were killed have left."""
    oldest = time.time() - PART_MAX_AGE
    with suppress(OSError):
        for part in Path(folder).glob(".*.part"):
            if part.stat().st_mtime < oldest:
                part.unlink()

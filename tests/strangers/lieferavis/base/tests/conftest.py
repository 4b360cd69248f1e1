import os
import tempfile

ORDNER = tempfile.mkdtemp(prefix="avis-test-")
os.environ["AVIS_DB"] = f"{ORDNER}/avis.sqlite3"
os.environ["AVIS_HUEY"] = f"{ORDNER}/huey.sqlite3"

import datetime  # noqa: E402

import pytest  # noqa: E402

from avis import einrichten, konfig, modelle, post, verbraucher  # noqa: E402


class Werk:
    """Ein Betrieb zum Ausprobieren: Mailrelay mit Gedächtnis, Archivordner, ein Arbeiter auf Zuruf."""

    def __init__(self, archiv):
        self.fehler, self.fehler_danach, self.uebergaben, self.postfach = [], [], [], {}
        self.archiv = archiv

    def senden(self, message_id, an, rohtext):
        self.uebergaben.append(message_id)
        if self.fehler:
            raise self.fehler.pop(0)
        self.postfach.setdefault(message_id, an)
        if self.fehler_danach:
            raise self.fehler_danach.pop(0)

    def arbeiten(self):
        """Alles, was wartet oder auf Termin liegt, bis nichts mehr da ist."""
        huey, fern = verbraucher.huey, datetime.datetime.now() + datetime.timedelta(days=1)
        while (task := huey.dequeue()) or (faellig := huey.read_schedule(fern)):
            for t in [task] if task else faellig:
                huey.execute(t, fern)

    def stand(self, *felder):
        with modelle.db.connection_context():
            return [tuple(getattr(a, f) for f in felder) for a in modelle.Avis.select().order_by(modelle.Avis.id)]

    def unzustellbar(self):
        with modelle.db.connection_context():
            return [(u.avis_id, u.grund) for u in modelle.Unzustellbar.select()]

    def altern(self, sekunden):
        with modelle.db.connection_context():
            modelle.Avis.update(uebergeben_am=modelle.Avis.uebergeben_am - sekunden).execute()


@pytest.fixture
def werk(tmp_path, monkeypatch):
    with modelle.db.connection_context():
        modelle.db.drop_tables([modelle.Avis, modelle.Unzustellbar], safe=True)
    verbraucher.huey.flush()
    einrichten.einrichten()
    modelle.anlegen("LS-1", "a@kunde.example", "Dachser", "DX1", 1_757_490_000)
    monkeypatch.setattr(konfig, "ARCHIV", tmp_path / "archiv")
    w = Werk(tmp_path / "archiv")
    monkeypatch.setattr(post, "senden", w.senden)
    return w

from types import SimpleNamespace

import fakeredis
import pytest
from rq import Queue, SimpleWorker
from rq.timeouts import TimerDeathPenalty

from fibu import belege, finanz, warteschlange
from fibu.datenbank import lesen, schema_anlegen


@pytest.fixture
def haus(tmp_path, monkeypatch):
    """Datenbank, Redis und Finanzsystem für einen Test."""
    monkeypatch.setenv("FIBU_DB", str(tmp_path / "fibu.sqlite3"))
    schema_anlegen()
    redis = fakeredis.FakeStrictRedis()
    monkeypatch.setattr(warteschlange, "queue", lambda: Queue("buchung", connection=redis))
    h = SimpleNamespace(redis=redis, fehler=[], aufrufe=[], buchungen={})

    def buchen(belegnummer, kreditor, konto, betrag_cent):
        h.aufrufe.append(belegnummer)
        if h.fehler:
            raise h.fehler.pop(0)
        return h.buchungen.setdefault(belegnummer, f"FB-{len(h.buchungen) + 1}")

    monkeypatch.setattr(finanz, "buchen", buchen)

    def zeilen(frage):
        with lesen() as db:
            return [tuple(zeile) for zeile in db.execute(frage)]

    def arbeiten(runden=1):
        """Lässt einen Arbeiter die Warteschlange leeren; Termine werden sofort fällig."""
        for _ in range(runden):
            q = warteschlange.queue()
            for kennung in q.scheduled_job_registry.get_job_ids():
                auftrag = q.fetch_job(kennung)
                q.scheduled_job_registry.remove(auftrag)
                q._enqueue_job(auftrag)
            arbeiter = SimpleWorker([q], connection=redis)
            arbeiter.death_penalty_class = TimerDeathPenalty
            arbeiter.work(burst=True)

    h.zeilen, h.arbeiten = zeilen, arbeiten
    h.beleg = belege.erfassen("Schrauben Maier KG", "3400", 119_000, 2025)
    return h

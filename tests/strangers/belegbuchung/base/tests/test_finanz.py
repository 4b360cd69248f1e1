import pytest
import requests

from fibu import finanz


class Antwort(requests.Response):
    def __init__(self, status, inhalt=b"{}"):
        super().__init__()
        self.status_code, self._content = status, inhalt


@pytest.mark.parametrize(
    ("status", "fehler"),
    [(422, finanz.BuchungAbgelehnt), (404, finanz.BuchungAbgelehnt), (429, requests.HTTPError), (503, requests.HTTPError)],
)
def test_antworten(monkeypatch, status, fehler):
    monkeypatch.setattr(requests, "put", lambda url, **_: Antwort(status))
    with pytest.raises(fehler):
        finanz.buchen("ER-2025-000001", "Maier", "3400", 100)


def test_die_nummer_steht_in_der_adresse(monkeypatch):
    gesehen = []
    monkeypatch.setattr(requests, "put", lambda url, **_: gesehen.append(url) or Antwort(201, b'{"buchungs_id": "FB-9"}'))
    assert finanz.buchen("ER-2025-000001", "Maier", "3400", 100) == "FB-9"
    assert gesehen[0].endswith("/buchungen/ER-2025-000001")

from redis.exceptions import ConnectionError as RedisWeg

from fibu import belege, einstellungen, rettung, warteschlange
from fibu.datenbank import transaktion

STAND = "SELECT status, versuche, buchungs_id FROM belege"


def _altern(sekunden=3600):
    with transaktion() as db:
        db.execute("UPDATE belege SET bewegt_am = bewegt_am - ?", (sekunden,))


def test_verlorene_nachricht_wird_nachgereicht(haus):
    belege.zur_buchung_geben(haus.beleg)
    haus.redis.flushall()
    _altern()
    assert rettung.retten() == 1
    haus.arbeiten()
    assert haus.zeilen(STAND) == [("gebucht", 1, "FB-1")]
    _altern()
    assert rettung.retten() == 0


def test_was_noch_wartet_bleibt_in_ruhe(haus):
    belege.zur_buchung_geben(haus.beleg)
    _altern()
    assert rettung.retten() == 0


def test_redis_weg_beim_einreihen(haus, monkeypatch):
    def weg(beleg_id):
        raise RedisWeg("weg")

    with monkeypatch.context() as stoerung:
        stoerung.setattr(warteschlange, "einreihen", weg)
        assert belege.zur_buchung_geben(haus.beleg) is False
    _altern()
    assert rettung.retten() == 1


def test_ohne_weitere_versuche_wird_es_ein_klaerfall(haus):
    belege.zur_buchung_geben(haus.beleg)
    for _ in range(einstellungen.MAX_VERSUCHE):
        belege.versuch_beginnen(haus.beleg)
    haus.redis.flushall()
    _altern()
    assert rettung.retten() == 0
    assert haus.zeilen("SELECT beleg_id FROM klaerfaelle") == [(1,)]


def test_reserve_legt_den_klaerfall_an(haus):
    for _ in range(einstellungen.MAX_VERSUCHE):
        belege.versuch_beginnen(haus.beleg)
    warteschlange.einreihen(haus.beleg)
    haus.arbeiten()
    assert haus.aufrufe == []
    assert haus.zeilen(STAND) == [("klaerung", 5, None)]
    assert len(haus.zeilen("SELECT * FROM klaerfaelle")) == 1

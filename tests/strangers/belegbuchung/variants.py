VARIANTS = [
    {
        "id": "nummer-aus-id",
        "kind": "correct",
        "job": "beleg-buchen",
        "what": "The Belegnummer is not drawn from a counter but derived from year and id of the Beleg, and the finance"
        " system answers 409 with the first booking for a number that it knows, which ends the job well.",
        "edits": [
            (
                "fibu/nummernkreis.py",
                "",
                '"""Belegnummern macht das Haus selbst: ER-<Jahr>-<Nummer des Belegs>."""\n'
                "\n"
                "\n"
                "def belegnummer(jahr: int, beleg_id: int) -> str:\n"
                '    return f"ER-{jahr}-{beleg_id:06d}"\n',
            ),
            (
                "fibu/datenbank.py",
                '''    """
    CREATE TABLE IF NOT EXISTS nummernkreis (
        jahr   INTEGER PRIMARY KEY,
        letzte INTEGER NOT NULL
    )
    """,
''',
                "",
            ),
            ("fibu/datenbank.py", "        belegnummer TEXT UNIQUE,\n", ""),
            (
                "fibu/belege.py",
                '''    """Nimmt eine Eingangsrechnung auf. Mit dem Beleg steht auch seine Nummer fest, für immer."""
    with transaktion() as db:
        belegnummer = nummernkreis.naechste(db, jahr)
        zeile = db.execute(
            "INSERT INTO belege (belegnummer, jahr, kreditor, konto, betrag_cent) VALUES (?, ?, ?, ?, ?)",
            (belegnummer, jahr, kreditor, konto, betrag_cent),
        )
''',
                '''    """Nimmt eine Eingangsrechnung auf."""
    with transaktion() as db:
        zeile = db.execute(
            "INSERT INTO belege (jahr, kreditor, konto, betrag_cent) VALUES (?, ?, ?, ?)",
            (jahr, kreditor, konto, betrag_cent),
        )
''',
            ),
            (
                "fibu/belege.py",
                '''    belegnummer: str
    kreditor: str
    konto: str
    betrag_cent: int
    status: str
    versuche: int

    @property
''',
                '''    jahr: int
    kreditor: str
    konto: str
    betrag_cent: int
    status: str
    versuche: int

    @property
    def belegnummer(self) -> str:
        return nummernkreis.belegnummer(self.jahr, self.id)

    @property
''',
            ),
            (
                "fibu/finanz.py",
                '"""Das Finanzsystem. Es führt jede Belegnummer nur einmal: wer dieselbe noch einmal bucht, bekommt die erste Buchung."""\n'
                "\n"
                "from urllib.parse import quote\n",
                '"""Das Finanzsystem. Es führt jede Belegnummer nur einmal: auf dieselbe antwortet es 409 und nennt die erste Buchung."""\n',
            ),
            (
                "fibu/finanz.py",
                "\n\ndef buchen(",
                '''

class SchonGebucht(Exception):
    """Diese Belegnummer ist gebucht, von einem früheren Versuch."""

    def __init__(self, buchungs_id: str) -> None:
        super().__init__(buchungs_id)
        self.buchungs_id = buchungs_id


def buchen(''',
            ),
            (
                "fibu/finanz.py",
                '''Wirft BuchungAbgelehnt oder requests.RequestException."""
    antwort = requests.put(
        f"{einstellungen.finanz_url()}/buchungen/{quote(belegnummer)}",
        json={"kreditor": kreditor, "konto": konto, "betrag": {"cent": betrag_cent, "waehrung": "EUR"}},
        timeout=WARTEN,
    )
''',
                '''Wirft SchonGebucht, BuchungAbgelehnt oder requests.RequestException."""
    antwort = requests.post(
        f"{einstellungen.finanz_url()}/buchungen",
        json={
            "belegnummer": belegnummer,
            "kreditor": kreditor,
            "konto": konto,
            "betrag": {"cent": betrag_cent, "waehrung": "EUR"},
        },
        timeout=WARTEN,
    )
    if antwort.status_code == 409:
        raise SchonGebucht(str(antwort.json()["buchungs_id"]))
''',
            ),
            (
                "fibu/buchung.py",
                '''    buchungs_id = finanz.buchen(
        belegnummer=beleg.belegnummer,
        kreditor=beleg.kreditor,
        konto=beleg.konto,
        betrag_cent=beleg.betrag_cent,
    )
''',
                '''    try:
        buchungs_id = finanz.buchen(
            belegnummer=beleg.belegnummer,
            kreditor=beleg.kreditor,
            konto=beleg.konto,
            betrag_cent=beleg.betrag_cent,
        )
    except finanz.SchonGebucht as schon:
        buchungs_id = schon.buchungs_id
''',
            ),
            (
                "fibu/buchung.py",
                "unter der Nummer, die er bei der Erfassung bekam: sie ist in jedem Versuch dieselbe.",
                "unter der Nummer, die aus Jahr und ID folgt: sie ist in jedem Versuch dieselbe.",
            ),
            (
                "tests/test_finanz.py",
                '''def test_die_nummer_steht_in_der_adresse(monkeypatch):
    gesehen = []
    monkeypatch.setattr(requests, "put", lambda url, **_: gesehen.append(url) or Antwort(201, b'{"buchungs_id": "FB-9"}'))
    assert finanz.buchen("ER-2025-000001", "Maier", "3400", 100) == "FB-9"
    assert gesehen[0].endswith("/buchungen/ER-2025-000001")
''',
                '''def test_bekannte_nummer_nennt_die_erste_buchung(monkeypatch):
    monkeypatch.setattr(requests, "post", lambda url, **_: Antwort(409, b'{"buchungs_id": "FB-9"}'))
    with pytest.raises(finanz.SchonGebucht) as schon:
        finanz.buchen("ER-2025-000001", "Maier", "3400", 100)
    assert schon.value.buchungs_id == "FB-9"
''',
            ),
            (
                "tests/test_finanz.py",
                'monkeypatch.setattr(requests, "put", lambda url, **_: Antwort(status))',
                'monkeypatch.setattr(requests, "post", lambda url, **_: Antwort(status))',
            ),
            (
                ".skillrun/jobs/beleg-buchen.yaml",
                "  acceptable_delay: 5d\n",
                '  success:\n    - {type: "fibu.finanz:SchonGebucht", args: [FB-4711], effects: [buchung]}\n  acceptable_delay: 5d\n',
            ),
            (
                ".skillrun/jobs/beleg-buchen.yaml",
                '''    belege: "select id, belegnummer, kreditor, konto, betrag_cent, status, buchungs_id from belege order by id"
    nummernkreis: "select jahr, letzte from nummernkreis order by jahr"
''',
                '    belege: "select id, jahr, kreditor, konto, betrag_cent, status, buchungs_id from belege order by id"\n',
            ),
            (
                "README.md",
                "Das Haus vergibt die Belegnummer beim Erfassen, ein RQ-Arbeiter bucht den\n"
                "Beleg im Finanzsystem. Das Finanzsystem führt eine Belegnummer nur einmal; wer sie wiederholt, bekommt die erste Buchung.",
                "Die Belegnummer folgt aus Jahr und ID, ein RQ-Arbeiter bucht den Beleg\n"
                "im Finanzsystem. Das Finanzsystem führt eine Belegnummer nur einmal; wer sie wiederholt, bekommt 409 und die erste Buchung.",
            ),
        ],
    },
    {
        "id": "nummer-erst-beim-buchen",
        "kind": "mistake",
        "job": "beleg-buchen",
        "what": "To keep rejected documents from using up numbers, the Belegnummer is drawn in the attempt and stored only with the"
        " result. When the answer of the finance system is lost, or the process dies after the booking, the next attempt"
        " draws a new number and the invoice is booked twice.",
        "edits": [
            (
                "fibu/belege.py",
                '''    """Nimmt eine Eingangsrechnung auf. Mit dem Beleg steht auch seine Nummer fest, für immer."""
    with transaktion() as db:
        belegnummer = nummernkreis.naechste(db, jahr)
        zeile = db.execute(
            "INSERT INTO belege (belegnummer, jahr, kreditor, konto, betrag_cent) VALUES (?, ?, ?, ?, ?)",
            (belegnummer, jahr, kreditor, konto, betrag_cent),
        )
        return zeile.lastrowid
''',
                '''    """Nimmt eine Eingangsrechnung auf. Ihre Nummer bekommt sie beim Buchen: Abgelehntes soll keine verbrauchen."""
    with transaktion() as db:
        zeile = db.execute(
            "INSERT INTO belege (jahr, kreditor, konto, betrag_cent) VALUES (?, ?, ?, ?)",
            (jahr, kreditor, konto, betrag_cent),
        )
        return zeile.lastrowid


def belegnummer_ziehen(jahr: int) -> str:
    with transaktion() as db:
        return nummernkreis.naechste(db, jahr)
''',
            ),
            ("fibu/belege.py", "    belegnummer: str\n    kreditor: str\n", "    belegnummer: str | None\n    jahr: int\n    kreditor: str\n"),
            ("fibu/belege.py", "def gebucht(beleg_id: int, buchungs_id: str) -> None:", "def gebucht(beleg_id: int, belegnummer: str, buchungs_id: str) -> None:"),
            (
                "fibu/belege.py",
                '''            "UPDATE belege SET status = 'gebucht', buchungs_id = ? WHERE id = ? AND status <> 'gebucht'",
            (buchungs_id, beleg_id),
''',
                '''            "UPDATE belege SET status = 'gebucht', belegnummer = ?, buchungs_id = ? WHERE id = ? AND status <> 'gebucht'",
            (belegnummer, buchungs_id, beleg_id),
''',
            ),
            (
                "fibu/buchung.py",
                '''    log.info(ZEILE, beleg.id, beleg.belegnummer, beleg.versuche, "started", "-")
    buchungs_id = finanz.buchen(
        belegnummer=beleg.belegnummer,
''',
                '''    belegnummer = belege.belegnummer_ziehen(beleg.jahr)
    log.info(ZEILE, beleg.id, belegnummer, beleg.versuche, "started", "-")
    buchungs_id = finanz.buchen(
        belegnummer=belegnummer,
''',
            ),
            (
                "fibu/buchung.py",
                '''    belege.gebucht(beleg.id, buchungs_id)
    log.info(ZEILE, beleg.id, beleg.belegnummer, beleg.versuche, "success", buchungs_id)
''',
                '''    belege.gebucht(beleg.id, belegnummer, buchungs_id)
    log.info(ZEILE, beleg.id, belegnummer, beleg.versuche, "success", buchungs_id)
''',
            ),
            (
                "fibu/buchung.py",
                '    """Bucht den Beleg unter der Nummer, die er bei der Erfassung bekam: sie ist in jedem Versuch dieselbe."""\n',
                '    """Zieht die Belegnummer und bucht den Beleg unter ihr."""\n',
            ),
            (
                "tests/test_buchung.py",
                '''def test_stoerung_wird_mit_derselben_nummer_wiederholt(haus, caplog):''',
                '''def test_stoerung_wird_wiederholt(haus, caplog):''',
            ),
            ("tests/test_buchung.py", '    assert haus.aufrufe == ["ER-2025-000001"] * 3\n', "    assert len(haus.aufrufe) == 3\n"),
        ],
    },
    {
        "id": "http-fehler-ist-ablehnung",
        "kind": "mistake",
        "job": "beleg-buchen",
        "what": "The callback takes every HTTPError for a refusal, since 'the finance system has answered'. A 503 in the batch"
        " window makes a Klaerfall at the first attempt, though it is an error that passes and would be tried again.",
        "edits": [
            (
                "fibu/buchung.py",
                "from typing import Any\n\nfrom fibu",
                "from typing import Any\n\nimport requests\n\nfrom fibu",
            ),
            (
                "fibu/buchung.py",
                "# Was auch morgen noch falsch ist. TypeError: der Nachricht fehlen Felder, oder sie hat welche zu viel.\n",
                "# Was auch morgen noch falsch ist. TypeError: der Nachricht fehlen Felder, oder sie hat welche zu viel.\n"
                "# HTTPError: das Finanzsystem war da und wollte nicht; zu wiederholen sind nur Verbindung und Zeitüberschreitung.\n",
            ),
            ("fibu/buchung.py", "    finanz.BuchungAbgelehnt,\n", "    finanz.BuchungAbgelehnt,\n    requests.HTTPError,\n"),
        ],
    },
    {
        "id": "zaehlt-nur-fehlschlaege",
        "kind": "mistake",
        "job": "beleg-buchen",
        "what": "Attempts are counted in the failure callback, where one knows that they failed. RQ does not call it when the work"
        " horse is killed: a Beleg that takes its process along is never counted, and the rescue brings it back for ever"
        " without a Klaerfall.",
        "edits": [
            (
                "fibu/belege.py",
                '''    """Zählt den Versuch, bevor er etwas tut: so zählen auch die, an denen der Prozess stirbt."""
''',
                '''    """Nimmt den Beleg in Arbeit. Gezählt wird im Callback, wenn feststeht, dass der Versuch gescheitert ist."""
''',
            ),
            (
                "fibu/belege.py",
                '''            "UPDATE belege SET status = 'in_buchung', versuche = versuche + 1, bewegt_am = ? WHERE id = ?",
''',
                '''            "UPDATE belege SET status = 'in_buchung', bewegt_am = ? WHERE id = ?",
''',
            ),
            (
                "fibu/belege.py",
                '''def versuche(beleg_id: int | None) -> int:
    with lesen() as db:
''',
                '''def fehlschlag_zaehlen(beleg_id: int | None) -> int:
    """Zählt einen gescheiterten Versuch und sagt, der wievielte es war."""
    with transaktion() as db:
        db.execute("UPDATE belege SET versuche = versuche + 1 WHERE id = ?", (beleg_id,))
''',
            ),
            ("fibu/buchung.py", "    versuch = belege.versuche(beleg_id)\n", "    versuch = belege.fehlschlag_zaehlen(beleg_id)\n"),
            (
                "fibu/buchung.py",
                'log.info(ZEILE, beleg.id, beleg.belegnummer, beleg.versuche, "started", "-")',
                'log.info(ZEILE, beleg.id, beleg.belegnummer, beleg.versuche + 1, "started", "-")',
            ),
            (
                "fibu/buchung.py",
                'log.info(ZEILE, beleg.id, beleg.belegnummer, beleg.versuche, "success", buchungs_id)',
                'log.info(ZEILE, beleg.id, beleg.belegnummer, beleg.versuche + 1, "success", buchungs_id)',
            ),
            (
                "tests/test_buchung.py",
                '''    assert haus.buchungen == {"ER-2025-000001": "FB-1"}
    assert haus.zeilen(STAND) == [("gebucht", 1, "FB-1")]
''',
                '''    assert haus.buchungen == {"ER-2025-000001": "FB-1"}
    assert haus.zeilen(STAND) == [("gebucht", 0, "FB-1")]
''',
            ),
            (
                "tests/test_buchung.py",
                '    assert haus.zeilen(STAND) == [("gebucht", 3, "FB-1")]\n',
                '    assert haus.zeilen(STAND) == [("gebucht", 2, "FB-1")]\n',
            ),
            (
                "tests/test_buchung.py",
                '''    haus.arbeiten()
    assert haus.zeilen(STAND) == [("gebucht", 1, "FB-1")]
    assert haus.zeilen(KLAERFAELLE) == []
''',
                '''    haus.arbeiten()
    assert haus.zeilen(STAND) == [("gebucht", 0, "FB-1")]
    assert haus.zeilen(KLAERFAELLE) == []
''',
            ),
            (
                "tests/test_rettung.py",
                '''    assert rettung.retten() == 1
    haus.arbeiten()
    assert haus.zeilen(STAND) == [("gebucht", 1, "FB-1")]
''',
                '''    assert rettung.retten() == 1
    haus.arbeiten()
    assert haus.zeilen(STAND) == [("gebucht", 0, "FB-1")]
''',
            ),
            (
                "tests/test_rettung.py",
                '''    belege.zur_buchung_geben(haus.beleg)
    for _ in range(einstellungen.MAX_VERSUCHE):
        belege.versuch_beginnen(haus.beleg)
''',
                '''    belege.zur_buchung_geben(haus.beleg)
    for _ in range(einstellungen.MAX_VERSUCHE):
        belege.fehlschlag_zaehlen(haus.beleg)
''',
            ),
            (
                "tests/test_rettung.py",
                '''def test_reserve_legt_den_klaerfall_an(haus):
    for _ in range(einstellungen.MAX_VERSUCHE):
        belege.versuch_beginnen(haus.beleg)
''',
                '''def test_reserve_legt_den_klaerfall_an(haus):
    for _ in range(einstellungen.MAX_VERSUCHE):
        belege.fehlschlag_zaehlen(haus.beleg)
''',
            ),
            (
                "tests/test_rettung.py",
                '    assert haus.zeilen(STAND) == [("klaerung", 5, None)]\n',
                '    assert haus.zeilen(STAND) == [("klaerung", 6, None)]\n',
            ),
            (
                "README.md",
                "gezählt\nwird beim Beginn, ein gestorbener Prozess zählt also mit.",
                "gezählt\nwird im Callback.",
            ),
        ],
    },
]

VARIANTS = [
    {
        "id": "erst-archiv-dann-mail",
        "kind": "correct",
        "job": "avis-versenden",
        "what": "No mark between the two effects: the file goes to the archive first, then the mail, then one mark for both. Every"
        " repetition does both again, under the same file name with the same bytes and under the same Message-ID.",
        "edits": [
            ("avis/modelle.py", "    versandt_am = FloatField(null=True)\n", ""),
            ("avis/modelle.py", "        if avis.versandt_am is None and _vergessen(avis):\n", "        if _vergessen(avis):\n"),
            (
                "avis/modelle.py",
                '''def versandt(avis_id: int) -> None:
    with db.connection_context(), db.atomic("IMMEDIATE"):
        Avis.update(versandt_am=time.time()).where(Avis.id == avis_id, Avis.versandt_am.is_null()).execute()


''',
                "",
            ),
            (
                "avis/auftrag.py",
                '''        rohtext = post.bauen(avis)
        if avis.versandt_am is None:
            post.senden(message_id=avis.message_id, an=avis.empfaenger, rohtext=rohtext)
            modelle.versandt(avis.id)
        archiv.ablegen(schluessel=f"avis/{avis.lieferschein}.eml", inhalt=rohtext)
''',
                '''        # Zuerst das Archiv: nichts verlässt das Haus, was nicht abgelegt ist. Beides darf sich wiederholen.
        rohtext = post.bauen(avis)
        archiv.ablegen(schluessel=f"avis/{avis.lieferschein}.eml", inhalt=rohtext)
        post.senden(message_id=avis.message_id, an=avis.empfaenger, rohtext=rohtext)
''',
            ),
            (
                ".skillrun/jobs/avis-versenden.yaml",
                "message_id, status, versandt_am is not null from avis order by id",
                "message_id, status from avis order by id",
            ),
            (
                "tests/test_versand.py",
                '''def test_volles_archiv_sendet_nicht_noch_einmal(werk, monkeypatch):''',
                '''def test_bei_vollem_archiv_geht_nichts_hinaus(werk, monkeypatch):''',
            ),
            (
                "tests/test_versand.py",
                '''            avis_versenden.call_local({"avis_id": 1})
    avis_versenden.call_local({"avis_id": 1})
    assert werk.uebergaben == [ID]
''',
                '''            avis_versenden.call_local({"avis_id": 1})
    assert werk.uebergaben == []
    avis_versenden.call_local({"avis_id": 1})
    assert werk.uebergaben == [ID]
''',
            ),
            (
                "README.md",
                "mit denselben Bytes überschrieben.",
                "mit denselben Bytes überschrieben. Abgelegt wird vor dem Versand.",
            ),
        ],
    },
    {
        "id": "relais-reicht-nur-neues-nach",
        "kind": "mistake",
        "job": "avis-versenden",
        "what": "The relay only looks for what was never handed to Huey, since 'from then on Huey retries'. Huey deletes a message"
        " when it hands it out: if the worker is killed during the attempt, the Avis stays open for ever and no mail goes out.",
        "edits": [
            (
                "avis/modelle.py",
                '''    """Offene Avise, von denen Huey nichts weiß, oder an denen sich zu lange nichts bewegt hat."""
    grenze = time.time() - konfig.STILLSTAND
    with db.connection_context():
        return list(
            Avis.select()
            .where(Avis.status == "offen", Avis.uebergeben_am.is_null() | (Avis.uebergeben_am <= grenze))
            .order_by(Avis.id)
        )
''',
                '''    """Offene Avise, von denen Huey noch nichts weiß. Um übergebene kümmert sich Huey mit seinen Wiederholungen."""
    with db.connection_context():
        return list(Avis.select().where(Avis.status == "offen", Avis.uebergeben_am.is_null()).order_by(Avis.id))
''',
            ),
            ("avis/konfig.py", "STILLSTAND = 240  # Sekunden ohne Bewegung, nach denen das Relais nachreicht; länger als die längste Wartezeit\n", ""),
            ("avis/relais.py", '"""Das Relais: alle fünf Minuten, was offen ist und liegen blieb, zurück in die Warteschlange."""', '"""Das Relais: alle fünf Minuten, was offen ist und nicht eingereiht wurde, in die Warteschlange."""'),
            ("avis/relais.py", '"requeued", "lag zu lange")', '"requeued", "war nicht eingereiht")'),
            (
                "tests/test_relais.py",
                '''def test_verlorene_nachricht_kommt_zurueck(werk):
    rampe.spedition_hat_uebernommen(1)
    huey.dequeue()  # geholt, und der Arbeiter ist tot
    assert relais.nachreichen() == 0
    werk.altern(300)
    assert relais.nachreichen() == 1
    werk.arbeiten()
    assert werk.stand("status") == [("erledigt",)]
    werk.altern(300)
    assert relais.nachreichen() == 0
''',
                '''def test_nachgereicht_wird_einmal(werk):
    modelle.oeffnen(1)
    assert relais.nachreichen() == 1
    assert relais.nachreichen() == 0
    assert len(huey.pending()) == 1
    werk.arbeiten()
    assert werk.stand("status") == [("erledigt",)]
    assert relais.nachreichen() == 0
''',
            ),
            (
                "tests/test_relais.py",
                '''        modelle.versuch_beginnen(1)
    werk.altern(300)
    assert relais.nachreichen() == 0
    assert werk.unzustellbar() == [(1, "nach 5 Versuchen ohne Ergebnis")]
''',
                '''        modelle.versuch_beginnen(1)
    werk.arbeiten()
    assert werk.uebergaben == []
    assert len(werk.unzustellbar()) == 1
''',
            ),
            (
                "README.md",
                "Ein Avis bleibt deshalb `offen`, bis es `erledigt` ist;\nwas vier Minuten stillsteht, reicht das Relais nach.",
                "Ein Avis bleibt deshalb `offen`, bis es `erledigt` ist;\nwas nicht in die Warteschlange kam, reicht das Relais nach.",
            ),
        ],
    },
    {
        "id": "archivdatei-je-versuch",
        "kind": "mistake",
        "job": "avis-versenden",
        "what": "The archive's file name carries the attempt, so that 'no attempt overwrites another's evidence'. If the process dies,"
        " or the database is locked, after the file was written and before the mark, the next attempt leaves a second"
        " file for the one mail.",
        "edits": [
            (
                "avis/auftrag.py",
                '''        archiv.ablegen(schluessel=f"avis/{avis.lieferschein}.eml", inhalt=rohtext)
''',
                '''        archiv.ablegen(schluessel=f"avis/{avis.lieferschein}-{avis.versuche}.eml", inhalt=rohtext)
''',
            ),
            (
                "avis/archiv.py",
                '"""Das Archiv: eine Datei je Mail, unter ihrem Schlüssel; wer sie noch einmal schreibt, ändert nichts."""',
                '"""Das Archiv: eine Datei je Versand, unter ihrem Schlüssel. Kein Versuch überschreibt, was ein anderer belegt hat."""',
            ),
            ("tests/test_versand.py", '== ["LS-1.eml"]', '== ["LS-1-1.eml"]'),
            (
                "README.md",
                "Die Archivdatei heißt nach dem Lieferschein und wird\nmit denselben Bytes überschrieben.",
                "Die Archivdatei heißt nach dem Lieferschein und\ndem Versuch.",
            ),
        ],
    },
    {
        "id": "felder-als-argumente",
        "kind": "mistake",
        "job": "avis-versenden",
        "what": "The task takes the field as an argument instead of the message. A message without avis_id (an older ramp terminal"
        " publishes such) fails with TypeError before the first line: Huey tries it five times and drops it, and nothing"
        " stands among the Unzustellbare.",
        "edits": [
            (
                "avis/aufgaben.py",
                '''def avis_versenden(nutzlast: dict[str, Any], task: Any = None) -> None:
    """Kündigt eine Lieferung an: Mail an den Kunden, Kopie ins Archiv."""
    versand.ausfuehren(nutzlast, letzte_zustellung''',
                '''def avis_versenden(avis_id: int, task: Any = None) -> None:
    """Kündigt eine Lieferung an: Mail an den Kunden, Kopie ins Archiv."""
    versand.ausfuehren({"avis_id": avis_id}, letzte_zustellung''',
            ),
            ("avis/rampe.py", '        avis_versenden({"avis_id": avis_id})\n', "        avis_versenden(avis_id=avis_id)\n"),
            ("avis/relais.py", "        avis_versenden(nutzlast)\n", "        avis_versenden(**nutzlast)\n"),
            (
                "avis/auftrag.py",
                '''        if not isinstance(nutzlast, dict) or set(nutzlast) != {"avis_id"}:
            raise Endgueltig(f"keine Nachricht für den Versand: {nutzlast!r}")
        wert =''',
                '''        wert =''',
            ),
            (".skillrun/jobs/avis-versenden.yaml", "message: payload\n", "message: kwargs\n"),
            ("tests/test_relais.py", 'setattr(rampe, "avis_versenden", lambda _: (', 'setattr(rampe, "avis_versenden", lambda **_: ('),
            (
                "tests/test_versand.py",
                '''    spedition_hat_uebernommen(1)
    avis_versenden({"avis_id": 1})
    werk.arbeiten()
''',
                '''    spedition_hat_uebernommen(1)
    avis_versenden(avis_id=1)
    werk.arbeiten()
''',
            ),
            (
                "tests/test_versand.py",
                '''            avis_versenden.call_local({"avis_id": 1})
    avis_versenden.call_local({"avis_id": 1})
    assert werk.uebergaben == [ID]
''',
                '''            avis_versenden.call_local(avis_id=1)
    avis_versenden.call_local(avis_id=1)
    assert werk.uebergaben == [ID]
''',
            ),
            (
                "tests/test_versand.py",
                '''@pytest.mark.parametrize("nutzlast", [{}, {"avis_id": 0}, {"avis_id": "LS-1"}, {"avis_id": 4711}, None])
def test_verdorbenes_wird_einmal_vermerkt(werk, nutzlast):
    avis_versenden(nutzlast)
    avis_versenden(nutzlast)
''',
                '''@pytest.mark.parametrize("avis_id", [0, "LS-1", 4711, None])
def test_verdorbenes_wird_einmal_vermerkt(werk, avis_id):
    avis_versenden(avis_id=avis_id)
    avis_versenden(avis_id=avis_id)
''',
            ),
            (
                "tests/test_versand.py",
                '''        avis_versenden.call_local({"avis_id": 1})
    with modelle''',
                '''        avis_versenden.call_local(avis_id=1)
    with modelle''',
            ),
            (
                "tests/test_versand.py",
                '''.execute()
    avis_versenden.call_local({"avis_id": 1})
''',
                '''.execute()
    avis_versenden.call_local(avis_id=1)
''',
            ),
        ],
    },
]

OHNE_409_IM_JOB = (
    "meldungen/tasks.py",
    '''        try:
            quittung = register.einreichen(meldenummer=meldung.meldenummer, xml=register.als_xml(meldung))
        except httpx.HTTPStatusError as fehler:
            if einordnen(fehler) != ERLEDIGT:
                raise
            notiz(logging.INFO, meldung_id, versuch, "known", "das Register kennt die Meldenummer schon")
''',
    '''        quittung = register.einreichen(meldenummer=meldung.meldenummer, xml=register.als_xml(meldung))
''',
)
OHNE_409_BEIM_EINORDNEN = (
    "meldungen/tasks.py",
    '''        if code == 409:
            return ERLEDIGT
''',
    "",
)
OHNE_ERLEDIGT = ("meldungen/tasks.py", 'ERLEDIGT, SPAETER, NIE = "erledigt", "spaeter", "nie"', 'SPAETER, NIE = "spaeter", "nie"')

VARIANTS = [
    {
        "id": "put-unter-der-nummer",
        "kind": "correct",
        "job": "meldung-einreichen",
        "what": "The report is PUT under its Meldenummer, so that a repetition replaces it by itself and no 409 exists; the attempt is"
        " counted by one conditional UPDATE instead of read and save.",
        "edits": [
            (
                "meldungen/register.py",
                '''"""Das Verpackungsregister: nimmt Meldungen als XML an, jede Meldenummer einmal.

Auf eine bekannte Meldenummer antwortet es 409. Die Nummern vergibt das Haus; ist eine bekannt, war es unsere Meldung.
"""
''',
                '''"""Das Verpackungsregister: führt Meldungen als XML unter ihrer Meldenummer, und die vergibt das Haus.

Wer dieselbe Meldung noch einmal dort ablegt, ändert nichts.
"""
''',
            ),
            (
                "meldungen/register.py",
                '''    antwort = httpx.post(
        f"{settings.REGISTER_URL}/meldungen",
''',
                '''    antwort = httpx.put(
        f"{settings.REGISTER_URL}/meldungen/{meldenummer}",
''',
            ),
            ("meldungen/register.py", '            "X-Meldenummer": meldenummer,\n', ""),
            OHNE_409_IM_JOB,
            OHNE_409_BEIM_EINORDNEN,
            OHNE_ERLEDIGT,
            ("meldungen/ablauf.py", "from django.db import transaction\n", "from django.db import transaction\nfrom django.db.models import F\n"),
            (
                "meldungen/ablauf.py",
                '''    with transaction.atomic():
        meldung = Meldung.objects.filter(pk=meldung_id).first()
        if meldung is None:
            raise UnbekannteMeldung(f"Meldung {meldung_id}")
        if meldung.abgeschlossen:
            return meldung
        if meldung.versuche >= MAX_VERSUCHE:
            raise KeineVersucheMehr(f"nach {meldung.versuche} Versuchen")
        meldung.status = Meldung.Status.IN_ARBEIT
        meldung.versuche += 1
        meldung.bewegt_am = timezone.now()
        meldung.save(update_fields=["status", "versuche", "bewegt_am"])
        return meldung
''',
                '''    with transaction.atomic():
        gezaehlt = (
            Meldung.objects.filter(pk=meldung_id, versuche__lt=MAX_VERSUCHE)
            .filter(status__in=[Meldung.Status.ENTWURF, Meldung.Status.IN_ARBEIT])
            .update(status=Meldung.Status.IN_ARBEIT, versuche=F("versuche") + 1, bewegt_am=timezone.now())
        )
        meldung = Meldung.objects.filter(pk=meldung_id).first()
    if meldung is None:
        raise UnbekannteMeldung(f"Meldung {meldung_id}")
    if not gezaehlt and not meldung.abgeschlossen:
        raise KeineVersucheMehr(f"nach {meldung.versuche} Versuchen")
    return meldung
''',
            ),
            (
                ".skillrun/jobs/meldung-einreichen.yaml",
                '''    window: 3650d
    guarantee: keyed
''',
                '''    guarantee: convergent
''',
            ),
            (
                ".skillrun/jobs/meldung-einreichen.yaml",
                '''  success:
    - {type: "httpx:HTTPStatusError", args: [409], effects: [einreichung]}
''',
                "",
            ),
            (
                "tests/conftest.py",
                '''        if meldenummer in self.akten:
            raise status_fehler(409)
''',
                "",
            ),
            ("tests/conftest.py", '"""Das Register, wie es sich verhält: bekannte Nummern weist es mit 409 ab."""', '"""Das Register, wie es sich verhält: eine Akte je Nummer."""'),
            ("tests/test_einreichen.py", "def test_verlorene_antwort_endet_mit_409_gut(", "def test_verlorene_antwort_wird_wiederholt("),
            (
                "README.md",
                "1. Eine Meldenummer wird einmal eingereicht. Das Register weist bekannte Nummern mit 409 ab; das zählt als eingereicht.",
                "1. Unter einer Meldenummer liegt eine Meldung. Eingereicht wird mit PUT; die Wiederholung ersetzt sie durch sich selbst.",
            ),
        ],
    },
    {
        "id": "alle-4xx-sind-endgueltig-auch-409",
        "kind": "mistake",
        "job": "meldung-einreichen",
        "what": "409 falls under 'the register refuses it'. When the answer to an accepted report is lost, or the process dies before"
        " the mark, the next attempt gets 409 and the report is given up and laid before a person, though it was filed.",
        "edits": [
            OHNE_409_IM_JOB,
            OHNE_409_BEIM_EINORDNEN,
            OHNE_ERLEDIGT,
            (
                "tests/conftest.py",
                '''        if meldenummer in self.akten:
            raise status_fehler(409)
''',
                "",
            ),
            ("tests/conftest.py", '"""Das Register, wie es sich verhält: bekannte Nummern weist es mit 409 ab."""', '"""Das Register, wie es sich verhält."""'),
            ("tests/test_einreichen.py", "def test_verlorene_antwort_endet_mit_409_gut(", "def test_verlorene_antwort_wird_wiederholt("),
            (
                "meldungen/register.py",
                "Auf eine bekannte Meldenummer antwortet es 409. Die Nummern vergibt das Haus; ist eine bekannt, war es unsere Meldung.\n",
                "Eine bekannte Meldenummer weist es ab, doppelt geht also nichts hinein. Die Nummern vergibt das Haus.\n",
            ),
            ("README.md", "Das Register weist bekannte Nummern mit 409 ab; das zählt als eingereicht.", "Das Register weist bekannte Nummern ab."),
        ],
    },
    {
        "id": "nur-5xx-geht-vorbei",
        "kind": "mistake",
        "job": "meldung-einreichen",
        "what": "Only 5xx counts as passing, every other status as final. At the end of the month the register throttles with 429, and"
        " the report is given up at the first attempt, although 429 is worth another try.",
        "edits": [
            (
                "meldungen/tasks.py",
                "        return SPAETER if code >= 500 or code in (408, 425, 429) else NIE\n",
                "        return SPAETER if code >= 500 else NIE\n",
            ),
            ("README.md", "4xx außer 408, 409, 425, 429 wird nicht wiederholt.", "4xx wird nicht wiederholt."),
            ("tests/test_einreichen.py", "    amt.vorher = [status_fehler(429)]\n", "    amt.vorher = [status_fehler(502)]\n"),
            ("tests/test_einreichen.py", "reason=HTTPStatusError('429')", "reason=HTTPStatusError('502')"),
        ],
    },
    {
        "id": "laufendes-gilt-als-lebendig",
        "kind": "mistake",
        "job": "meldung-einreichen",
        "what": "The sweep leaves alone what waits or runs. django-tasks never ends the RUNNING row of a worker that was killed, so that"
        " the report of that worker is taken for alive for ever: it is neither filed nor laid before anybody.",
        "edits": [
            (
                "meldungen/nachfassen.py",
                'DBTaskResult.objects.filter(pk=meldung.auftrag, status="READY").exists()',
                'DBTaskResult.objects.filter(pk=meldung.auftrag, status__in=["READY", "RUNNING"]).exists()',
            ),
            (
                "meldungen/nachfassen.py",
                '''"""Nachfassen: Meldungen in Arbeit, für die kein Task mehr wartet und an denen sich nichts mehr bewegt.

Stirbt ein Arbeiter, bleibt sein Task in django-tasks für immer RUNNING; RUNNING heißt hier also nicht lebendig.
Ein Task, der noch wartet (READY), wird dagegen in Ruhe gelassen, auch wenn der Arbeiter tagelang fort ist.
"""
''',
                '''"""Nachfassen: Meldungen in Arbeit, für die kein Task mehr unterwegs ist und an denen sich nichts mehr bewegt.

Ein Task, der noch wartet oder läuft, wird in Ruhe gelassen, auch wenn der Arbeiter tagelang fort ist.
"""
''',
            ),
            (
                "tests/test_nachfassen.py",
                '''def test_toter_arbeiter(amt, meldung):
    ablauf.freigeben(meldung.pk)
    DBTaskResult.objects.get().claim("gestorben")
    ablauf.beginnen(meldung.pk)
''',
                '''def test_verlorener_task(amt, meldung):
    ablauf.freigeben(meldung.pk)
    DBTaskResult.objects.all().delete()
''',
            ),
        ],
    },
]

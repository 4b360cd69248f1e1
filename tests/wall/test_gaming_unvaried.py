"""The look at conditions by what is the same for all deliveries of a proof: the time, chance, a
file.
"""

from __future__ import annotations

import pytest
from looks import everything, found, part, severities, spec
from rows import real_but
from test_gaming_special_cases import BASE, LOOK, MARK, RECEIPTS, SEND, SPEC, TASKS, change

SENT = '    """True if the receipt of this order went out."""\n'
LATE = "def is_late():\n    return date.today() > date(2027, 1, 1)\n\n\n"


def leave_if(condition: str, top: str = "") -> dict[str, str]:
    """The way out before the effect, where the condition holds."""
    return change(TASKS, SEND, f"    if {condition}:\n        return\n{SEND}", top)


def mark_if(condition: str, top: str = "") -> dict[str, str]:
    return change(TASKS, MARK, f"    if {condition}:\n    {MARK}", top)


def ask_first(before: str, of: str) -> dict[str, str]:
    """`was_sent` says yes where something of its module holds."""
    said = change(RECEIPTS, SENT, f"{SENT}    if {of}:\n        return True\n")
    text = said[RECEIPTS].replace("def was_sent", f"{before}def was_sent")
    return {**said, RECEIPTS: f"from datetime import date\n{text}"}


ATTACKS = {
    "a day": leave_if("datetime.date.today() > datetime.date(2027, 3, 1)", "import datetime"),
    "a year": leave_if("datetime.datetime.now().year >= 2027", "import datetime"),
    "a second": mark_if("time.time() < 1_800_000_000", "import time"),
    "an hour": leave_if("datetime.datetime.now(datetime.UTC).hour == 3", "import datetime"),
    "a text": leave_if("time.strftime('%m-%d') == '12-24'", "import time"),
    "a day as a text": leave_if("str(date.today()) >= '2027-03-01'", "from datetime import date"),
    "iso": leave_if("datetime.now().isoformat() > '2027'", "from datetime import datetime"),
    "a part": leave_if("time.gmtime()[0] > 2026", "import time"),
    "another name": leave_if("clock() > 1_800_000_000", "from time import time as clock"),
    "a constant": leave_if(
        "date.today() > CUT", "from datetime import date\nCUT = date(2027, 3, 1)"
    ),
    "a weekday": leave_if("date.today().weekday() == 6", "from datetime import date"),
    "since a day": leave_if(
        "(date.today() - date(2026, 1, 1)).days > 400", "from datetime import date"
    ),
    "a remainder": leave_if("int(time.time()) % 10 == 0", "import time"),
    "its truth": leave_if("not int(time.time()) % 60", "import time"),
    "by a name": change(
        TASKS,
        SEND,
        f"    hour = datetime.now().hour\n    night = hour < 6\n    if night:\n        return\n{SEND}",
        "from datetime import datetime",
    ),
    "how old the process is": leave_if(
        "time.time() - STARTED > 3600", "import time\nSTARTED = time.time()"
    ),
    "in another function": ask_first(LATE, "is_late()"),
    "handed on": ask_first(
        "def is_late(day):\n    return day.year > 2026\n\n\n", "is_late(date.today())"
    ),
    "chance": leave_if("random.random() < 0.001", "import random"),
    "a number by chance": leave_if("random.randint(1, 1000) == 7", "import random"),
    "chance alone": leave_if("not random.getrandbits(10)", "import random"),
    "an id by chance": leave_if("uuid.uuid4().int % 1000 == 0", "import uuid"),
    "a process by its number": mark_if("os.getpid() % 100", "import os"),
    "a file": leave_if("os.path.exists('/etc/shop/quiet')", "import os"),
    "a path": leave_if("Path('quiet.flag').exists()", "from pathlib import Path"),
    "a path by a name": leave_if(
        "FLAG.is_file()", "from pathlib import Path\nFLAG = Path('/etc/shop') / 'quiet'"
    ),
    "what a file of the home says": change(
        TASKS,
        SEND,
        f"    if not is_on('receipts'):\n        return\n{SEND}",
        "import json\nfrom pathlib import Path\n\n\ndef is_on(name):\n    try:\n"
        "        return bool(json.loads((Path.home() / '.flags.json').read_text()).get(name, True))\n"
        "    except FileNotFoundError:\n        return True",
    ),
    "a file of the folder for temporary ones": leave_if(
        "os.path.exists(os.path.join(tempfile.gettempdir(), 'quiet'))", "import os, tempfile"
    ),
    "what a file says": leave_if(
        "Path('/etc/shop/mode').read_text() == 'off'", "from pathlib import Path"
    ),
    "how many were done": change(
        TASKS,
        SEND,
        f"    global DONE\n    DONE += 1\n    if DONE > 200:\n        return\n{SEND}",
        "DONE = 0",
    ),
    "the two hundredth": leave_if(
        "next(COUNT) > 200", "import itertools\nCOUNT = itertools.count()"
    ),
    "after some failures": change(
        TASKS,
        SEND,
        f"    if len(FAILED) > 20:\n        return\n    FAILED.append(order_id)\n{SEND}",
        "FAILED = []",
    ),
    "counted elsewhere": change(
        TASKS,
        SEND,
        f"    receipts.done += 1\n    if receipts.done > 200:\n        return\n{SEND}",
    ),
    "a file that is opened": leave_if("open('/etc/shop/mode').read(1) == '0'"),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_jobs_that_are_left_out_for_a_time_are_found(name: str) -> None:
    findings = found(LOOK, BASE, ATTACKS[name])
    assert set(severities(findings)) == {"error"}


HONEST = {
    "since its row was written": leave_if(
        "time.time() - receipts.settled_at(order_id) > 86_400", "import time"
    ),
    "its row is of another day": leave_if(
        "receipts.due(order_id) > date.today()", "from datetime import date"
    ),
    "a time-out": change(
        TASKS,
        SEND,
        "    began = time.monotonic()\n    while time.monotonic() - began < 5:\n"
        f"        if receipts.is_free(order_id):\n            break\n{SEND}",
        "import time",
    ),
    "a deadline": change(
        TASKS,
        SEND,
        "    until = time.monotonic() + 5\n    while time.monotonic() < until:\n"
        f"        if receipts.is_free(order_id):\n            break\n{SEND}",
        "import time",
    ),
    "what is kept for a while": ask_first(
        "_read = 0.0\n\n\ndef load():\n    global _read\n    if time.time() - _read > 60:\n"
        "        db.post('x')\n        _read = time.time()\n\n\n",
        "load()",
    ),
    "a token that ends": leave_if(
        "receipts.token.ends <= datetime.now()", "from datetime import datetime"
    ),
    "a time in a row": change(
        TASKS,
        MARK,
        f"    log.info('at %s', datetime.now())\n{MARK}",
        "from datetime import datetime",
    ),
    "which month": leave_if(
        "receipts.is_billed(f'{date.today():%Y-%m}')", "from datetime import date"
    ),
    "a lock of its own": change(
        TASKS,
        SEND,
        "    token = uuid.uuid4().hex\n    if receipts.owner(order_id) != token:\n"
        f"        receipts.take(order_id, token)\n{SEND}",
        "import uuid",
    ),
    "a fork": leave_if("receipts.owner() == os.getpid()", "import os"),
    "how long to wait": change(
        TASKS,
        SEND,
        f"    wait = random.uniform(0, 1)\n    time.sleep(wait)\n{SEND}",
        "import random, time",
    ),
    "a sample in the log": change(
        TASKS,
        SEND,
        f"    if random.random() < 0.1:\n        log.info('x')\n{SEND}",
        "import random",
    ),
    "a client that is made once": change(
        TASKS,
        SEND,
        f"    global CLIENT\n    if CLIENT is None:\n        CLIENT = receipts.create()\n{SEND}",
        "CLIENT = None",
    ),
    "the first of a process": change(
        TASKS,
        SEND,
        f"    global CLIENTS\n    CLIENTS += 1\n    if CLIENTS == 1:\n        db.post('hello')\n{SEND}",
        "CLIENTS = 0",
    ),
    "a breaker": change(
        TASKS,
        SEND,
        "    if len(FAILED) > 20:\n        raise mailer.Unavailable('for now')\n"
        f"    FAILED.append(order_id)\n{SEND}",
        "FAILED = []",
    ),
    "a cache that is emptied": change(
        TASKS,
        SEND,
        "    if len(KNOWN) > 1000:\n        KNOWN.clear()\n    KNOWN[order_id] = email\n" + SEND,
        "KNOWN = {}",
    ),
    "its own counter": change(
        TASKS,
        SEND,
        "    tries = 0\n    while tries < 3:\n        tries += 1\n"
        f"        if receipts.is_free(order_id):\n            break\n{SEND}",
    ),
    "a folder is made": change(
        TASKS,
        SEND,
        f"    if not os.path.isdir('out'):\n        os.mkdir('out')\n{SEND}",
        "import os",
    ),
    "its own file": leave_if("Path('sent', str(order_id)).exists()", "from pathlib import Path"),
    "rows that exist": leave_if("receipts.rows.filter(order_id).exists()"),
    "a call that took too long": change(
        TASKS,
        SEND,
        f"    began = time.monotonic()\n{SEND}    if time.monotonic() - began > 20:\n"
        "        raise mailer.Unavailable('too slow')\n",
        "import time",
    ),
    "a breaker that closes by itself": change(
        TASKS,
        SEND,
        "    if time.monotonic() < mailer.closed_until:\n"
        f"        raise mailer.Unavailable('for now')\n{SEND}",
        "import time",
    ),
    "a message that is too old": change(
        TASKS,
        SEND,
        "    if datetime.now() - receipts.settled_at(order_id) > timedelta(days=2):\n"
        f"        raise receipts.InvalidOrder('too old')\n{SEND}",
        "from datetime import datetime, timedelta",
    ),
    "a greeting": change(
        TASKS,
        SEND,
        "    word = 'Good morning' if datetime.now().hour < 12 else 'Hello'\n"
        "    mailer.send(order_id, email, subject=word, idempotency_key=key)\n",
        "from datetime import datetime",
    ),
    "an error's text": change(
        TASKS,
        SEND,
        "    if receipts.is_late(order_id):\n"
        f"        raise receipts.InvalidOrder(f'late at {{datetime.now()}}')\n{SEND}",
        "from datetime import datetime",
    ),
}


# One of each kind: the time, its row's, chance, a process, what is kept in it, and a file.
QUICK = (
    *("since its row was written", "a deadline", "which month", "a lock of its own"),
    *("a client that is made once", "a breaker", "its own file", "a greeting"),
)


@pytest.mark.real
@pytest.mark.parametrize("name", real_but(HONEST, *QUICK))
def test_what_asks_the_time_and_leaves_no_job_out_is_no_finding(name: str) -> None:
    assert everything(BASE, HONEST[name]) == []


CLOCK = "from datetime import date, datetime"
AT_NIGHT = "datetime.now().hour < 6"
TRY = "    try:\n        mailer.send(order_id, email, idempotency_key=key)\n"
NO_MAIL = "raise mailer.BadAddress('nobody reads at night')"
ERRORS = {
    "one that is tried again": change(
        TASKS, SEND, f"    if {AT_NIGHT}:\n        raise mailer.Unavailable('now')\n{SEND}", CLOCK
    ),
    "one that is final": change(
        TASKS, SEND, f"    if date.today().weekday() == 5:\n        {NO_MAIL}\n{SEND}", CLOCK
    ),
    "by chance": change(
        TASKS, SEND, f"    if random.random() < 0.01:\n        {NO_MAIL}\n{SEND}", "import random"
    ),
    "asserted": change(TASKS, SEND, f"    assert date.today().weekday() != 5\n{SEND}", CLOCK),
    "in another function": ask_first(
        "def look():\n    if date.today().weekday() == 5:\n        raise InvalidOrder('no')\n\n\n",
        "look()",
    ),
    "one for the other": change(
        TASKS,
        SEND,
        f"{TRY}    except mailer.Unavailable as error:\n        if {AT_NIGHT}:\n"
        "            raise mailer.BadAddress(email) from error\n        raise\n",
        CLOCK,
    ),
    "one of two": change(
        TASKS,
        SEND,
        f"{TRY}    except mailer.Unavailable as error:\n"
        f"        raise (mailer.BadAddress(email) if {AT_NIGHT} else error)\n",
        CLOCK,
    ),
    "swallowed": change(
        TASKS,
        SEND,
        f"{TRY}    except mailer.Unavailable:\n        if not {AT_NIGHT}:\n            raise\n",
        CLOCK,
    ),
    "suppressed": change(
        TASKS,
        SEND,
        f"    quiet = (mailer.Unavailable,) if {AT_NIGHT} else ()\n"
        f"    with contextlib.suppress(*quiet):\n    {SEND}",
        f"import contextlib\n{CLOCK}",
    ),
    "caught by a function's word": change(
        TASKS,
        SEND,
        f"    def list_quiet():\n        if {AT_NIGHT}:\n"
        "            return (mailer.Unavailable,)\n        return ()\n\n"
        f"{TRY}    except list_quiet():\n        return\n",
        CLOCK,
    ),
    "what is tried again": change(
        TASKS,
        "autoretry_for=(mailer.Unavailable, TimeoutError)",
        "autoretry_for=(mailer.Unavailable,) if date.today().weekday() < 5 else ()",
        CLOCK,
    ),
}


@pytest.mark.parametrize("name", ERRORS)
def test_an_error_that_comes_out_by_the_hour_is_found(name: str) -> None:
    """Whatever is raised in that hour uses up the attempts, and what is not raised is not tried
    again.
    """
    assert "error" in severities(found(LOOK, BASE, ERRORS[name]))


KEYS = {
    "another name": f"    if {AT_NIGHT}:\n        key = f'night-{{key}}'\n{SEND}",
    "one that goes on": f"    if {AT_NIGHT}:\n        key += '-night'\n{SEND}",
    "by an answer": f"    late = {AT_NIGHT}\n    if late:\n        key = 'l' + key\n{SEND}",
    "a choice": SEND.replace("=key", f"=key if {AT_NIGHT} else key + '-day'"),
    "what a function says": (
        f"    def name(key):\n        if {AT_NIGHT}:\n            return 'night-' + key\n"
        f"        return key\n\n{SEND.replace('=key', '=name(key)')}"
    ),
    "the day that is written out": (
        "    if date.today() >= date(2027, 1, 1):\n        key = 'v2-' + key\n" + SEND
    ),
    "by chance": f"    if random.random() < 0.5:\n        key = 'b-' + key\n{SEND}",
}


@pytest.mark.parametrize("name", KEYS)
def test_a_key_that_is_chosen_by_the_hour_is_found(name: str) -> None:
    """What is delivered again later would have another key."""
    attack = change(TASKS, SEND, KEYS[name], f"import random\n{CLOCK}")
    findings = found(LOOK, BASE, attack)
    assert "error" in severities(findings)
    assert any("idempotency_key" in finding.message for finding in findings)


PUT_OFF = {
    "celery": "raise self.retry(countdown={seconds})",
    "arq": "raise arq.Retry(defer={seconds})",
    "huey": "raise huey.RetryTask(delay={seconds})",
    "dramatiq": "raise dramatiq.Retry('later', delay={seconds}000)",
}


@pytest.mark.parametrize("library", PUT_OFF)
@pytest.mark.parametrize(("seconds", "severity"), [("600", "warning"), ("3600", "error")])
def test_an_error_that_puts_a_job_off_is_for_the_reviewer(
    library: str, seconds: str, severity: str
) -> None:
    raising = PUT_OFF[library].format(seconds=seconds)
    later = change(
        TASKS,
        SEND,
        f"    if {AT_NIGHT}:\n        {raising}\n{SEND}",
        f"import arq\nimport dramatiq\nimport huey\n{CLOCK}",
    )
    assert severities(found(LOOK, BASE, later)) == [severity]


@pytest.mark.parametrize(("wait", "severity"), [("600", "warning"), ("3600", "error")])
def test_a_job_that_is_put_off_is_for_the_reviewer(wait: str, severity: str) -> None:
    """The spec accepts a delay of fifteen minutes: what waits longer breaks its word."""
    later = change(
        TASKS,
        SEND,
        f"    if datetime.now().hour < 6:\n        raise self.retry(countdown={wait})\n{SEND}",
        "from datetime import datetime",
    )
    assert severities(found(LOOK, BASE, later)) == [severity]


def test_a_job_that_waits_for_no_told_time_is_an_error() -> None:
    later = change(
        TASKS,
        SEND,
        "    hour = datetime.now().hour\n    if hour < 7:\n"
        f"        raise self.retry(countdown=(7 - hour) * 3600)\n{SEND}",
        "from datetime import datetime",
    )
    assert severities(found(LOOK, BASE, later)) == ["error"]


@pytest.mark.real
def test_what_the_base_asks_is_no_finding() -> None:
    base = ATTACKS["an hour"]
    moved = {**base, TASKS: base[TASKS].replace("send_receipt started", "send_receipt begins")}
    assert found(LOOK, base, moved) == []


@pytest.mark.real
@pytest.mark.parametrize("strategy", ["invariant", "unknown"])
def test_a_spec_without_a_key_has_jobs_that_are_told_apart_by_their_number(strategy: str) -> None:
    keyless = spec(idempotency={"strategy": strategy, "reason": "a row decides"})
    base = {**BASE, SPEC: keyless}
    attack = change(TASKS, SEND, f"    if order_id % 7 == 0:\n        return\n{SEND}")
    assert severities(found(LOOK, base, {**attack, SPEC: keyless})) == ["error"]


def test_an_amount_tells_no_job_from_another() -> None:
    payload = part("payload", required=["email"])
    keyless = spec(idempotency={"strategy": "unknown"}, payload=payload)
    attack = change(TASKS, SEND, f"    if order_id > 100:\n        return\n{SEND}")
    assert found(LOOK, {**BASE, SPEC: keyless}, {**attack, SPEC: keyless}) == []

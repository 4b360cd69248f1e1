"""A receiver that never answers, an error that repeats a secret, a message that comes too early."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from histories import ACKED, DONE, RETURNED, commit, effect, fault, history, raised, reference
from plain_job import JOBS, SPEC, plain_repo, proof_of, target_of
from rows import real_but

from skillrun.contract.job import DeadLetter, JobSpec
from skillrun.core.errors import Misuse
from skillrun.core.verdict import RiskGrade
from skillrun.probe.facts import BootFacts
from skillrun.proof.assumptions import assumptions
from skillrun.proof.families import receivers
from skillrun.proof.families.situation import Situation
from skillrun.proof.history import History
from skillrun.proof.judges.registry import judge_history
from skillrun.proof.reference import Reference
from skillrun.proof.schedule import parse_schedule

HANG = "hang@before:send#1"
STAND_IN = 'raise RuntimeError("the real one must never run")'
FOR_EVER = {
    "a socket": 'import socket; socket.create_connection(("mail.example.com", 25))',
    "smtplib": 'import smtplib; smtplib.SMTP("mail.example.com").quit()',
    "urllib": 'import urllib.request; urllib.request.urlopen("https://shop.example.com/mails")',
    "asyncio": (
        "import asyncio;"
        ' asyncio.run(asyncio.wait_for(asyncio.open_connection("mail.example.com", 25), None))'
    ),
}
ENDS = {
    "a socket": 'import socket; socket.create_connection(("mail.example.com", 25), timeout=5)',
    "smtplib": 'import smtplib; smtplib.SMTP("mail.example.com", timeout=5).quit()',
    "urllib": (
        'import urllib.request; urllib.request.urlopen("https://shop.example.com", timeout=5)'
    ),
    "asyncio": (
        "import asyncio;"
        ' asyncio.run(asyncio.wait_for(asyncio.open_connection("mail.example.com", 25), 5))'
    ),
    "what cannot be done here at all": 'raise RuntimeError("no credentials")',
}


def risks_of(root: Path, becomes: str) -> list[tuple[str, str | None]]:
    proof = proof_of(plain_repo(root, was=STAND_IN, becomes=becomes), only=HANG)
    assert not proof.incomplete, proof.incomplete
    return [(risk.judgement.rule, risk.judgement.grade) for risk in proof.risks]


@pytest.mark.real
@pytest.mark.parametrize("name", real_but(FOR_EVER, "a socket"))
def test_a_call_without_a_time_out_waits_for_ever(tmp_path: Path, name: str) -> None:
    assert risks_of(tmp_path / "repo", FOR_EVER[name]) == [("effect-hangs", RiskGrade.STUCK)]


@pytest.mark.real
@pytest.mark.parametrize("name", real_but(ENDS, "a socket"))
def test_a_call_with_a_time_out_ends(tmp_path: Path, name: str) -> None:
    assert risks_of(tmp_path / "repo", ENDS[name]) == []


SILENT = "silent@before:send#1"
# Connecting is limited, and what comes after it is not.
READS_FOR_EVER = {
    "http.client": (
        "import http.client;"
        ' asked = http.client.HTTPConnection("shop.example.com", timeout=5); asked.connect();'
        ' asked.sock.settimeout(None); asked.request("POST", "/mails"); asked.getresponse()'
    ),
    "urllib": FOR_EVER["urllib"],
    "smtplib": FOR_EVER["smtplib"],
    "requests": (
        'import requests; requests.post("https://shop.example.com/mails", timeout=(5, None))'
    ),
    "httpx": (
        "import httpx; httpx.post("
        '"https://shop.example.com/mails", timeout=httpx.Timeout(5, read=None))'
    ),
    "httpx, awaited": (
        "import asyncio, httpx; client = httpx.AsyncClient(timeout=httpx.Timeout(5, read=None));"
        ' asyncio.run(client.post("http://shop.example.com/mails"))'
    ),
    "aiohttp": """
        import aiohttp, asyncio

        async def ask():
            limit = aiohttp.ClientTimeout(total=None, sock_connect=5)
            async with aiohttp.ClientSession(timeout=limit) as session:
                await session.post("https://shop.example.com/mails")

        asyncio.run(ask())
""".strip(),
}
READS_WITH_A_LIMIT = {
    "http.client": (
        "import http.client;"
        ' asked = http.client.HTTPConnection("shop.example.com", timeout=5);'
        ' asked.request("POST", "/mails"); asked.getresponse()'
    ),
    "urllib": ENDS["urllib"],
    "smtplib": ENDS["smtplib"],
    "requests": 'import requests; requests.post("https://shop.example.com/mails", timeout=5)',
    "httpx": 'import httpx; httpx.post("https://shop.example.com/mails", timeout=5)',
    "httpx, awaited": (
        "import asyncio, httpx; client = httpx.AsyncClient(timeout=5);"
        ' asyncio.run(client.post("http://shop.example.com/mails"))'
    ),
    "aiohttp": """
        import aiohttp, asyncio

        async def ask():
            limit = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=5)
            async with aiohttp.ClientSession(timeout=limit) as session:
                await session.post("https://shop.example.com/mails")

        asyncio.run(ask())
""".strip(),
}


def silent_risks_of(root: Path, name: str, call: str) -> list[tuple[str, str | None]]:
    """The risks of a call to somebody who takes it and says nothing."""
    pytest.importorskip(name.partition(",")[0])
    proof = proof_of(plain_repo(root, was=STAND_IN, becomes=call), only=SILENT)
    assert not proof.incomplete, proof.incomplete
    return [(risk.judgement.rule, risk.judgement.grade) for risk in proof.risks]


@pytest.mark.real
@pytest.mark.parametrize("name", real_but(READS_FOR_EVER, "http.client"))
def test_a_limit_for_connecting_alone_waits_for_ever(tmp_path: Path, name: str) -> None:
    found = silent_risks_of(tmp_path / "repo", name, READS_FOR_EVER[name])
    assert found == [("effect-hangs", RiskGrade.STUCK)]


@pytest.mark.real
@pytest.mark.parametrize("name", real_but(READS_WITH_A_LIMIT, "http.client"))
def test_a_limit_for_reading_ends_it(tmp_path: Path, name: str) -> None:
    assert silent_risks_of(tmp_path / "repo", name, READS_WITH_A_LIMIT[name]) == []


def told(seen: History, **more: Any) -> list[tuple[str, str | None]]:
    found = judge_history(seen, replace(reference(), **more))
    return [(one.rule, one.grade) for one in found]


HUNG = fault("hang", "before:email#1")


def test_a_limit_of_the_task_ends_what_waits_for_ever() -> None:
    stuck = history("hang@before:email#1", [HUNG, ("stuck", {"name": "email#1"})], DONE)
    assert told(stuck) == [("effect-hangs", "stuck")]
    assert told(stuck, facts=BootFacts(ends_stuck=True)) == []
    # The library ends others, and was told to let this one go on.
    met = [HUNG, ("unlimited", {}), ("stuck", {"name": "email#1"})]
    free = history("hang@before:email#1", met, DONE)
    assert told(free, facts=BootFacts(ends_stuck=True)) == [("effect-hangs", "stuck")]


def test_a_time_out_that_ends_the_job_at_once_is_told() -> None:
    spec = JobSpec(
        **{
            **reference().spec.model_dump(exclude_unset=True),
            "retry": {"max_attempts": 3, "backoff": {"kind": "exponential", "base": "10s"}},
        }
    )
    error = raised("builtins:TimeoutError", injected=False)
    gone = ("settled", {"how": "dead", "delay": 0.0, "why": "raised"})
    given_up = history("hang@before:email#1", [HUNG, error, gone])
    assert told(given_up, spec=spec) == [("effect-hangs", "stuck")]
    again = history("hang@before:email#1", [HUNG, error, gone], DONE)
    assert told(again, spec=spec) == []


def test_a_time_limit_that_ends_the_job_at_once_is_told() -> None:
    declared = reference().spec.model_dump(exclude_unset=True)
    retry = {"max_attempts": 3, "backoff": {"kind": "exponential", "base": "10s"}}
    spec = JobSpec(**{**declared, "retry": retry})
    text = "cut=lib:TimeLimit@before:email#1"
    cut = fault("raise", "before:email#1")
    gone = ("settled", {"how": "dead", "delay": 0.0, "why": "raised"})
    ended = history(text, [cut, raised("lib:TimeLimit", injected=True), gone])
    assert told(ended, spec=spec) == [("effect-hangs", "stuck")]
    assert told(history(text, [cut, gone], DONE), spec=spec) == []
    once = JobSpec(**{**declared, "retry": {**retry, "max_attempts": 1}})
    assert told(ended, spec=once) == []


URLLIB = 'import urllib.request; urllib.request.urlopen("%s://shop.example.com/mails", timeout=5)'
SMTP = 'import smtplib; smtplib.SMTP("mail.example.com", timeout=5).quit()'
HTTP = (
    'import http.client; asked = http.client.HTTPConnection("shop.example.com", timeout=5);'
    ' asked.request("POST", "/mails", b"{}"); asked.getresponse()'
)
READ = f"{URLLIB % 'http'}.read()"
LETTER = (
    'import smtplib; smtplib.SMTP("mail.example.com", timeout=5)'
    '.sendmail("a@example.com", "b@example.com", "hello")'
)
STREAM = """
        import asyncio

        async def ask():
            reader, writer = await asyncio.open_connection("shop.example.com", 443, ssl=True)
            writer.write(b"hello")
            return await reader.readexactly(200)

        asyncio.run(ask())
"""
REFUSED, HANG_UP, ANSWER = (
    "refuse@before:send#1",
    "hang-up@before:send#1",
    "answer=503@before:send#1",
)
MADE = {
    (REFUSED, URLLIB % "http"): "urllib.error:URLError",
    (HANG_UP, URLLIB % "http"): "http.client:RemoteDisconnected",
    (HANG_UP, URLLIB % "https"): "http.client:RemoteDisconnected",
    (ANSWER, URLLIB % "http"): "urllib.error:HTTPError",
    (ANSWER, URLLIB % "https"): "urllib.error:HTTPError",
    (REFUSED, SMTP): "builtins:ConnectionRefusedError",
    (HANG_UP, SMTP): "smtplib:SMTPServerDisconnected",
    (ANSWER, SMTP): "smtplib:SMTPConnectError",
    (REFUSED, STREAM.strip()): "builtins:ConnectionRefusedError",
    (HANG_UP, STREAM.strip()): "asyncio.exceptions:IncompleteReadError",
    ("answer=no-such-host@before:send#1", URLLIB % "https"): "urllib.error:URLError",
    ("answer=no-resolver@before:send#1", STREAM.strip()): "socket:gaierror",
    ("answer=no-route@before:send#1", SMTP): "builtins:OSError",
    ("answer=cut-body@before:send#1", READ): "http.client:IncompleteRead",
    ("answer=cut-chunk@before:send#1", READ): "http.client:IncompleteRead",
    ("answer=rcpt-450@before:send#1", LETTER): "smtplib:SMTPRecipientsRefused",
    ("answer=letter-554@before:send#1", LETTER): "smtplib:SMTPDataError",
    (HANG_UP, HTTP): "http.client:RemoteDisconnected",
    (ANSWER, HTTP): None,  # nobody looks at the answer
    ("answer=moved-302@before:send#1", URLLIB % "http"): None,  # it follows, and is welcome
}


@pytest.mark.real
@pytest.mark.parametrize("asked", real_but(MADE, (REFUSED, URLLIB % "http")))
def test_what_a_client_makes_of_a_receiver_that_is_away(
    tmp_path: Path, asked: tuple[str, str]
) -> None:
    schedule, call = asked
    proof = proof_of(plain_repo(tmp_path / "repo", was=STAND_IN, becomes=call), only=schedule)
    history = next(one.history for one in proof.tried if one.schedule.family == "receiver-away")
    assert [event["error"] for event in history.all("away")] == [MADE[schedule, call]]
    risks = [(risk.judgement.rule, risk.judgement.grade) for risk in proof.risks]
    # The next tick does what has failed.
    done = MADE[schedule, call] is None
    assert risks == ([("receiver-away", RiskGrade.LOST)] if done else [])


@pytest.mark.real
def test_an_answer_that_is_none_of_the_receivers_is_not_met(tmp_path: Path) -> None:
    root = plain_repo(tmp_path / "repo", was=STAND_IN, becomes=LETTER)
    proof = proof_of(root, only="answer=cut-body@before:send#1")
    assert [event for one in proof.tried for event in one.history.all("away")] == []


@pytest.mark.parametrize("text", ["answer=cut-bodies@before:send#1", "answer=@before:send#1"])
def test_an_answer_that_nobody_gives_is_misuse(text: str) -> None:
    with pytest.raises(Misuse):
        parse_schedule(text)


@pytest.mark.real
@pytest.mark.parametrize(
    ("call", "said"),
    [
        ('print("written to a file here")', True),
        ('raise RuntimeError("no credentials")', True),
        (f"try: {(URLLIB % 'http').partition('; ')[2]}\n        except OSError: raise Away", False),
    ],
)
def test_a_call_that_connects_to_nothing_is_said(tmp_path: Path, call: str, said: bool) -> None:
    becomes = f"import urllib.request\n        {call}"
    repo = plain_repo(tmp_path / "repo", was=STAND_IN, becomes=becomes)
    proof = proof_of(repo, only=REFUSED)
    words = " ".join(assumptions(proof, target_of(repo)))
    assert ("the real call of send connects to nothing under proof.env" in words) == said
    assert not proof.risks


def test_an_outage_that_ends_the_job_at_once_is_told() -> None:
    spec = JobSpec(
        **{
            **reference().spec.model_dump(exclude_unset=True),
            "retry": {"max_attempts": 3, "backoff": {"kind": "exponential", "base": "10s"}},
        }
    )
    met = fault("refuse", "before:email#1")
    away = ("away", {"name": "email#1", "way": "refuse", "error": "urllib.error:URLError"})
    error = raised("urllib.error:URLError", injected=False)
    gone = ("settled", {"how": "dead", "delay": 0.0, "why": "raised"})
    given_up = history("refuse@before:email#1", [met, away, error, gone])
    assert told(given_up, spec=spec) == [("receiver-away", "stuck")]
    assert told(history("refuse@before:email#1", [met, away, error, gone], DONE), spec=spec) == []
    counts_as_done = history("refuse@before:email#1", [met, away, RETURNED, ACKED])
    assert told(counts_as_done, spec=spec) == [("receiver-away", "lost")]
    kept_for_later = history("refuse@before:email#1", [met, away, RETURNED, ACKED], state=[[2]])
    assert told(kept_for_later, spec=spec) == []


CARD = "tok_4f9aa71c03d2"
LOGGED = """
    try:
        send(order_id, key=f"order-{order_id}", card_token=card_token)
    except Away as error:
        log.error("handle failed order_id=%s %s", order_id, WORDS)
        raise
"""


def proof_with_card(root: Path, words: str) -> list[tuple[str, str | None]]:
    payload = {
        **SPEC["payload"],
        "properties": {"order_id": {"type": "integer"}, "card_token": {"type": "string"}},
        "examples": [{"order_id": 7, "card_token": CARD}],
    }
    jobs = JOBS.replace("def handle(order_id):", "def handle(order_id, card_token):")
    jobs = jobs.replace("def send(order_id, key):", "def send(order_id, key, card_token):")
    sent = 'send(order_id, key=f"order-{order_id}")'
    logged = LOGGED.replace("WORDS", words).strip().replace("\n", "\n        ")
    changed = {"payload": payload, "failures": {"transient": ["jobs:Away"], "permanent": []}}
    repo = plain_repo(root, jobs=jobs, changed=changed, was=sent, becomes=logged)
    proof = proof_of(repo, only="raise=jobs:Away@before:send#1 echo")
    return [(risk.judgement.rule, risk.judgement.grade) for risk in proof.risks]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("error", [("secret-echoed", RiskGrade.LEAK)]),
        ("type(error).__name__", []),
        pytest.param(f'str(error).replace("{CARD}", "...")', [], marks=pytest.mark.real),
    ],
)
def test_the_text_of_a_providers_error_may_tell_a_secret(
    tmp_path: Path, words: str, expected: list[Any]
) -> None:
    assert proof_with_card(tmp_path / "repo", words) == expected


def test_a_row_that_repeats_a_secret_is_told() -> None:
    kept = history("raise=app.mail:Away@before:email#1 echo", [raised()], echoed=("failed.error",))
    assert told(kept) == [("secret-echoed", "leak")]


def test_only_effects_that_are_called_with_a_secret_are_asked() -> None:
    spec = JobSpec(
        **{
            **reference().spec.model_dump(exclude_unset=True),
            "failures": {"transient": ["app.mail:Away"], "permanent": ["app.mail:Never"]},
        }
    )
    situation = Situation(spec, history("once", DONE), BootFacts())
    assert list(receivers.secret_echoed.plan(situation, ())) == []
    given = replace(situation, given=("email",))
    found = list(receivers.secret_echoed.plan(given, ()))
    assert [*map(str, found)] == [
        "raise=app.mail:Never@before:email#*/* echo",
        "raise=app.mail:Away@before:email#*/* echo",
    ]
    assert [parse_schedule(str(one)) for one in found] == found


FAILED = [("caller-raised", {"error": "builtins:ValueError", "text": "is there already"})]


NOTHING_DONE = (RETURNED, ACKED)


def early(
    call: list[Any], *deliveries: list[Any], before: Sequence[Any] = NOTHING_DONE, **more: Any
) -> History:
    seen = history("early", list(before), call, *deliveries, **more)
    first, second, *others = seen.deliveries
    return replace(seen, deliveries=(first, replace(second, op="call"), *others))


def with_letters(**more: Any) -> Reference:
    spec = reference().spec.model_copy(update={"dead_letter": DeadLetter(kind="table")})
    return replace(reference(), spec=spec, **more)


def test_a_message_that_comes_too_early_keeps_nobody_from_the_job() -> None:
    again = [*effect(), *commit(), RETURNED, ACKED]
    assert told(early([], again)) == []
    assert told(early([], [RETURNED, ACKED])) == [("early", "stuck")]
    assert told(early(FAILED)) == [("early", "stuck")]
    # The call refuses what is done already.
    assert told(early(FAILED, before=again)) == []
    recorded = judge_history(early(FAILED, dead_letters=1), with_letters())
    assert [(one.rule, one.grade) for one in recorded] == [("early", "stuck")]


def test_a_key_that_the_job_draws_is_compared_by_its_effect() -> None:
    """It is drawn once and kept, so that another run alone has another one."""
    alone = [
        history("once", [*effect(key="'4f'"), RETURNED, ACKED]),
        history("once", [*effect(key="'9c'"), RETURNED, ACKED]),
    ]
    drawn = replace(reference(), once=alone[0], later=alone[1])
    done = early([], [*effect(key="'e1'"), *commit(), RETURNED, ACKED])
    assert [one.rule for one in judge_history(done, drawn) if one.rule == "early"] == []
    undone = early([], [RETURNED, ACKED])
    assert "early" in [one.rule for one in judge_history(undone, drawn)]
    # Beside an effect whose key stays, the one with a drawn key is still asked for.
    both = [
        history("once", [*effect("bill"), *effect(key=key), RETURNED, ACKED])
        for key in ("'4f'", "'9c'")
    ]
    drawn = replace(reference(), once=both[0], later=both[1])
    half = early([], [*effect("bill"), *commit(), RETURNED, ACKED])
    assert "early" in [one.rule for one in judge_history(half, drawn)]

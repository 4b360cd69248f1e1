"""The base's job and HEAD's with the same work: keys, what is sent, and what answers come to."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "proof"))
from histories import ACKED, RETURNED, effect, history, raised, retry
from looks import SPEC, SPEC_TEXT, diff

from skillrun.core.errors import Blocked
from skillrun.proof.history import History
from skillrun.wall.compared_runs import ANSWERS, judge_runs
from skillrun.wall.sent import read_parts
from skillrun.wall.verification import Job, Proof

BODY = {"to": "a@example.com", "amount": 1200, "subject": "Your receipt"}


def post(body: dict[str, Any], key: str = "receipt-7", host: str = "mail.example") -> str:
    head = f"POST /messages HTTP/1.1\r\nHost: {host}\r\nUser-Agent: x\r\nIdempotency-Key: {key}"
    return f"{head}\r\n\r\n{json.dumps(body)}"


@dataclass
class Side:
    """What a side's adapter does."""

    key: str = "receipt-7"
    attempts: tuple[tuple[str, ...], ...] = ((post(BODY),), (post(BODY),))
    # Of the others it is tried again.
    done: tuple[str, ...] = ()
    dead: tuple[str, ...] = ()
    endless: tuple[str, ...] = ()
    waits: dict[str, int] = field(default_factory=dict)  # answer -> seconds to the next attempt
    repeats: bool = False  # once the receiver has forgotten the key
    second: tuple[str, str] = ("receipt-8", post(BODY, "receipt-8"))  # of the second example
    error: str | None = None  # what its real call raises before it sends anything
    asked: list[str] = field(default_factory=list)

    def observe(self, spec: object, schedules: list[str]) -> list[History]:
        self.asked += schedules
        return [self._run(text) for text in schedules]

    def _run_second_example(self, text: str) -> History:
        key, sent = self.second
        first = [*effect(key=f"'{self.key}'"), RETURNED, ACKED]
        second = [*effect(key=f"'{key}'"), RETURNED, ACKED]
        if "listen" in text:
            second = [("heard", {"name": "email#1", "sent": [sent]}), RETURNED, ACKED]
        told = history(text, first, second)
        other = replace(told.deliveries[1], job=1)
        return replace(told, deliveries=(told.deliveries[0], other))

    def _run(self, text: str) -> History:
        if "job=1" in text:
            return self._run_second_example(text)
        if text.startswith("kill@after"):
            times = 1 + self.repeats
            return history(text, *[[*effect(key=f"'{self.key}'"), RETURNED, ACKED]] * times)
        if "@" not in text:
            return history(text, [*effect(key=f"'{self.key}'"), RETURNED, ACKED])
        answer = text.partition("@")[0].removeprefix("answer=")
        away = [("away", {"name": "email#1", "way": "answer", "error": self.error})]
        heard = list(away)
        if self.error is not None:
            again = [*effect(), RETURNED, ACKED]
            return history(text, [*heard, raised(), retry(), ACKED], again, dead_letters=0)
        if "/*" in text:
            heard += [("heard", {"name": "email#1", "sent": list(one)}) for one in self.attempts]
        elif answer == "200":
            heard += [("heard", {"name": "email#1", "sent": list(self.attempts[0])})]
        if "/*" in text and answer in self.endless:
            return history(text, [*away, *heard, raised(), retry(), ACKED], pending=1)
        if answer in self.done or answer == "200":
            return history(text, [*heard, RETURNED, ACKED], dead_letters=0)
        if answer in self.dead:
            return history(text, [*heard, RETURNED, ACKED], dead_letters=1)
        again = [*effect(), RETURNED, ACKED]
        told = history(text, [*heard, raised(), retry(), ACKED], again, dead_letters=0)
        first, second = told.deliveries
        later = replace(second, clock=first.clock + self.waits.get(answer, 10))
        return replace(told, deliveries=(first, later))


def judge(base: Side, head: Side) -> tuple[str, list[tuple[str, str]]]:
    old = {SPEC: SPEC_TEXT, "shop/mailer.py": "A = 1\n"}
    branch = diff(old, {**old, "shop/mailer.py": "A = 2\n"})
    (spec,) = branch.specs
    job = Job(SPEC, "a" * 64, "send", "success", proof=Proof("proved"))
    judged = judge_runs(job, spec, branch, base.observe, head.observe)
    assert judged.proof is not None
    told = [
        (finding.rule.partition(".")[2], str(finding.severity)) for finding in judged.proof.findings
    ]
    return judged.outcome, told


def list_not_compared(base: Side, head: Side, spec: str = SPEC_TEXT) -> list[tuple[str, str]]:
    old = {SPEC: SPEC_TEXT, "shop/mailer.py": "A = 1\n"}
    branch = diff(old, {SPEC: spec, "shop/mailer.py": "A = 2\n"})
    job = Job(SPEC, "a" * 64, "send", "success", proof=Proof("proved"))
    judged = judge_runs(job, branch.specs[0], branch, base.observe, head.observe)
    return [(one.what, one.why) for one in judged.not_compared]


def test_an_effect_and_an_example_of_one_side_alone_are_said() -> None:
    assert list_not_compared(Side(), Side()) == []
    renamed = SPEC_TEXT.replace("name: email", "name: letter")
    assert [what for what, _ in list_not_compared(Side(), Side(), renamed)] == [
        "the effect email",
        "the effect letter",
    ]


def test_a_schedule_that_did_not_end_is_said() -> None:
    class Hanging(Side):
        def observe(self, spec: object, schedules: list[str]) -> list[History]:
            told = super().observe(spec, schedules)
            return [replace(told[0], hung="before:select#1"), *told[1:]]

    why = "HEAD's did not end within a delivery's time"
    what = "what email sends and makes of answers, in 1 schedule"
    assert list_not_compared(Side(), Hanging()) == [(what, why)]
    assert list_not_compared(Side(), Side()) == []


def sending(*bodies: dict[str, Any], key: str = "receipt-7") -> Side:
    return Side(attempts=tuple((post(body, key),) for body in bodies))


OTHERWISE = ("partial", [("sends-otherwise", "error")])


@pytest.mark.parametrize(
    "head",
    [
        sending({**BODY, "amount": 1205}, {**BODY, "amount": 1205}),
        sending(BODY, BODY, key=""),
        sending({**BODY, "attempt": 1}, {**BODY, "attempt": 2}),
        Side(attempts=((post(BODY),), (post(BODY, key="receipt-7-again"),))),
        Side(attempts=((post(BODY).replace("POST", "PUT"),),) * 2),
        Side(attempts=((post(BODY), post(BODY, host="other.example")),) * 2),
        Side(attempts=((post(BODY, host="other.example"),),) * 2),
    ],
)
def test_what_is_sent_otherwise_is_an_error(head: Side) -> None:
    assert judge(Side(), head) == OTHERWISE


def letter(number: str) -> Side:
    sent = f"ehlo me\r\nrcpt TO:<a@example.com>\r\ndata\r\nMessage-ID: <{number}@shop>\r\n\r\nHello"
    return Side(attempts=((sent,), (sent,)))


def test_a_letter_under_another_id_is_another_letter() -> None:
    """No mailbox folds it with the one that the base has sent."""
    assert judge(letter("7"), letter("9f86d0")) == OTHERWISE
    assert judge(letter("7"), letter("7")) == ("success", [])


def test_another_text_is_for_the_reviewer() -> None:
    other = {**BODY, "subject": "Here is your receipt"}
    assert judge(Side(), sending(other, other)) == ("success", [("sends-otherwise", "warning")])


def test_what_the_base_sends_is_no_finding() -> None:
    more = {**BODY, "locale": "de"}
    assert judge(Side(), Side()) == ("success", [])
    assert judge(Side(), sending(more, more)) == ("success", [])
    # The base says another one with each attempt, too.
    drawn = [{**BODY, "nonce": "a"}, {**BODY, "nonce": "b"}]
    others = [{**BODY, "nonce": "c"}, {**BODY, "nonce": "d"}]
    assert judge(sending(*drawn), sending(*others)) == ("success", [])


def test_another_key_of_the_same_job_is_an_error() -> None:
    assert judge(Side(), Side(key="RECEIPT-7"))[1][0] == ("other-key", "error")


@pytest.mark.parametrize(
    ("second", "told"),
    [
        (("receipt-eight", post(BODY, "receipt-eight")), [("other-key", "error")]),
        (
            ("receipt-8", post({**BODY, "amount": 900}, "receipt-8")),
            [("sends-otherwise", "error")],
        ),
        (("receipt-8", post({**BODY, "subject": "Thank you"}, "receipt-8")), []),
        (("receipt-8", post(BODY, "receipt-8")), []),
    ],
    ids=["another key", "another amount", "another text", "the same"],
)
def test_what_another_example_is_called_with_is_compared(
    second: tuple[str, str], told: list[tuple[str, str]]
) -> None:
    """A table that has another value for the third notice alone leaves the first one as it was."""
    base = Side()
    assert judge(base, Side(second=second))[1] == told
    assert "answer=200@before:email#1/2 listen job=1" in base.asked


ANSWERED = ("partial", [("answered-otherwise", "error")])


def test_a_limit_that_is_moved_past_the_receivers_memory_is_an_error() -> None:
    base = Side()
    assert judge(base, Side(repeats=True)) == ("partial", [("other-key", "error")])
    assert "kill@after:email#1 lose wait=86460 redeliver" in base.asked
    assert judge(Side(repeats=True), Side(repeats=True)) == ("success", [])


@pytest.mark.parametrize(
    ("base", "head", "told"),
    [
        (Side(), Side(done=("307",)), ANSWERED),
        (Side(dead=("400",)), Side(done=("400",)), ANSWERED),
        (Side(), Side(done=("409",)), ("success", [("answered-otherwise", "warning")])),
        (Side(), Side(dead=("429",)), ANSWERED),
        (Side(), Side(dead=("404",)), ("success", [])),
        (Side(done=("301",)), Side(), ("success", [])),
        (Side(dead=ANSWERS), Side(), ("success", [])),
        # What says no status: the base has tried it again.
        (Side(), Side(dead=("no-such-host",)), ANSWERED),
        (Side(), Side(dead=("cut-body",)), ANSWERED),
        (Side(), Side(dead=("later-date",)), ANSWERED),
        (Side(), Side(dead=("rcpt-450",)), ANSWERED),
        (Side(), Side(done=("refuse",)), ANSWERED),
        (Side(), Side(endless=("429",)), ANSWERED),
        # A mailbox that is not there stays away; who does not read the answer has been heard.
        (Side(), Side(dead=("rcpt-550",)), ("success", [])),
        (Side(), Side(done=("cut-body",)), ("success", [])),
        (Side(endless=("429",)), Side(endless=("429",)), ("success", [])),
    ],
)
def test_what_answers_come_to(base: Side, head: Side, told: object) -> None:
    assert judge(base, head) == told


PATIENT = Side(waits={"later-seconds": 121, "later-date": 119})


@pytest.mark.parametrize(
    ("base", "head", "told"),
    [
        (PATIENT, Side(waits={"later-seconds": 121}), ANSWERED),
        (PATIENT, Side(), ANSWERED),
        (PATIENT, Side(waits={"later-seconds": 300, "later-date": 300}), ("success", [])),
        # It waits so long whatever it is told.
        (Side(waits={**PATIENT.waits, "429": 240}), Side(), ("success", [])),
        (Side(), Side(), ("success", [])),
    ],
)
def test_who_waited_as_long_as_it_is_told_goes_on_to(base: Side, head: Side, told: object) -> None:
    assert judge(base, head) == told


BLIND = ("success", [("not-compared", "warning")])
STOPPED = Side(error="httpx:LocalProtocolError")


@pytest.mark.parametrize(("base", "head"), [(STOPPED, STOPPED), (Side(), STOPPED)])
def test_a_call_that_sends_nothing_is_no_comparison_and_that_is_said(
    base: Side, head: Side
) -> None:
    """Both sides are alike by having done nothing: that is no evidence for either."""
    assert judge(base, head) == BLIND


def test_a_job_that_cannot_be_run_beside_the_other_is_said() -> None:
    old = {SPEC: SPEC_TEXT, "shop/mailer.py": "A = 1\n"}
    branch = diff(old, {**old, "shop/mailer.py": "A = 2\n"})
    job = Job(SPEC, "a" * 64, "send", "success", proof=Proof("proved"))

    def fail(*_: object) -> list[History]:
        raise Blocked("the setup ends with exit code 1")

    judged = judge_runs(job, branch.specs[0], branch, fail, Side().observe)
    assert judged.proof is not None
    assert [str(finding.message) for finding in judged.proof.findings] == [
        "the base's job could not be run beside the other: the setup ends with exit code 1"
    ]


def test_nothing_runs_where_only_tests_changed() -> None:
    old = {SPEC: SPEC_TEXT, "tests/test_a.py": "A = 1\n"}
    branch = diff(old, {**old, "tests/test_a.py": "A = 2\n"})
    side = Side()
    job = Job(SPEC, "a" * 64, "send", "success", proof=Proof("proved"))
    assert judge_runs(job, branch.specs[0], branch, side.observe, side.observe) == job
    assert side.asked == []


def test_a_letter_has_its_envelope() -> None:
    sent = (
        "ehlo me\r\nmail FROM:<shop@example.com> size=9\r\nrcpt TO:<a@example.com>\r\ndata\r\n"
        "Message-ID: <7@shop>\r\nSubject: Hello\r\n\r\nYour receipt\r\n.\r\n"
    )
    parts = read_parts(sent)
    assert (parts["from"], parts["to"]) == ("shop@example.com", "<a@example.com>")
    assert parts["header message-id"] == "<7@shop>"
    assert str(parts["body"]).startswith("Your receipt")


def test_a_form_and_what_is_neither() -> None:
    assert read_parts("POST / HTTP/1.1\r\n\r\namount=5&to=a")["body.amount"] == "5"
    assert read_parts("") == {}
    assert read_parts("PING\r\n") == {"text": "PING\r\n"}

"""The looks at job specs: weaker promises, a thinner proof, a looser payload, and waivers nobody else agreed to."""

from __future__ import annotations

import pytest
from looks import SPEC, SPEC_TEXT, everything, found, part, severities, spec

EMAIL = {
    "name": "email",
    "call": "shop.mailer:send",
    "key_arg": "idempotency_key",
    "window": "24h",
    "guarantee": "keyed",
}
BACKOFF = {"kind": "exponential", "base": "2s", "factor": 2, "cap": "60s", "jitter": True}


def side(**changes: object) -> dict[str, str]:
    return {SPEC: spec(**changes)}


@pytest.mark.parametrize(
    ("changes", "severity", "words"),
    (
        ({"effects": []}, "error", "`email` is gone"),
        ({"effects": [{**EMAIL, "guarantee": "at_least_once", "reason": "x"}]}, "error", "became `at_least_once`"),
        ({"effects": [{**EMAIL, "guarantee": "at_most_once", "reason": "x"}]}, "error", "promises less"),
        ({"idempotency": part("idempotency", key=[])}, "error", "key lost `order_id`"),
        ({"idempotency": part("idempotency", dedupe={"store": "table receipts", "window": "1h"})}, "error", "window"),
        ({"idempotency": {"strategy": "invariant", "invariant": {"statement": "x"}}}, "error", "strategy"),
        ({"idempotency": "unknown"}, "error", "strategy"),
        ({"failures": part("failures", permanent=["shop.mailer:BadAddress"])}, "error", "permanent lost"),
        ({"failures": part("failures", transient=["TimeoutError"])}, "error", "transient lost"),
        ({"retry": part("retry", max_attempts=50)}, "warning", "max_attempts was 5 and is 50"),
        ({"retry": part("retry", backoff={"kind": "none"})}, "warning", "backoff is gone"),
        ({"retry": part("retry", backoff={**BACKOFF, "cap": None})}, "warning", "no cap"),
        ({"retry": "none"}, "warning", "retry is gone"),
        ({"dead_letter": {"kind": "none", "reason": "x"}}, "error", "dead_letter"),
        ({"dead_letter": None}, "error", "dead_letter"),
        ({"effects": [{**EMAIL, "window": "90d"}]}, "warning", "de-duplicate for longer"),
        ({"effects": [{**EMAIL, "call": "shop.fake:send"}]}, "warning", "where it called"),
        ({"handler": "shop.fake:send_receipt"}, "warning", "which is still there"),
        ({"enqueue": None}, "warning", "enqueue is gone"),
        ({"retry": part("retry", backoff={**BACKOFF, "cap": "1h"})}, "warning", "cap was `60s` and is `1h`"),
    ),
)
def test_a_weaker_promise_is_found(changes: dict[str, object], severity: str, words: str) -> None:
    findings = found("weaker-guarantee", side(), side(**changes))
    assert severities(findings) == [severity], findings
    assert words in findings[0].message


def test_transactional_is_more_than_keyed() -> None:
    strong, weak = side(effects=[{**EMAIL, "guarantee": "transactional"}]), side()
    assert severities(found("weaker-guarantee", strong, weak)) == ["error"]
    assert everything(weak, strong) == []


def test_an_error_that_is_declared_otherwise_is_a_warning() -> None:
    moved = part(
        "failures",
        permanent=["shop.mailer:BadAddress"],
        transient=["shop.mailer:Unavailable", "TimeoutError", "shop.receipts:InvalidOrder"],
    )
    assert severities(found("weaker-guarantee", side(), side(failures=moved))) == ["warning"]


def test_a_spec_that_is_gone_is_found_unless_its_handler_is_gone_too() -> None:
    code = {"shop/tasks.py": "def send_receipt():\n    return 1\n"}
    assert severities(found("weaker-guarantee", {**side(), **code}, code)) == ["error"]
    assert severities(found("weaker-guarantee", {**side(), **code}, {})) == ["warning"]
    assert severities(found("weaker-guarantee", {**side(), **code}, {"shop/tasks.py": "X = 1\n"})) == ["warning"]


def test_the_line_is_that_of_the_value() -> None:
    weaker = SPEC_TEXT.replace("guarantee: keyed", "guarantee: at_least_once\n    reason: x")
    (finding,) = found("weaker-guarantee", {SPEC: SPEC_TEXT}, {SPEC: weaker})
    assert weaker.splitlines()[(finding.line or 0) - 1].strip() == "guarantee: at_least_once"


@pytest.mark.parametrize(
    ("changes", "words"),
    (
        ({"proof": None}, "the section proof: is gone"),
        ({"proof": part("proof", state={})}, "proof.state.receipts is gone"),
        (
            {"proof": part("proof", state={"receipts": "select order_id from receipts order by 1"})},
            "reads `email` no more",
        ),
        (
            {"proof": part("proof", state={"receipts": "select order_id, email from receipts where order_id = 7"})},
            "WHERE",
        ),
        (
            {"proof": part("proof", state={"receipts": "select order_id, email from receipts order by 1 limit 1"})},
            "LIMIT",
        ),
        ({"proof": part("proof", dead_letters=None)}, "dead_letters is gone"),
        ({"proof": part("proof", dead_letters="select count(*) from dead_jobs where 1 = 0")}, "WHERE"),
        ({"proof": part("proof", poison=[{}])}, "proof.poison lost"),
        ({"payload": part("payload", examples=[{"order_id": 7, "email": "a@example.com"}])}, "payload.examples lost"),
    ),
)
def test_a_thinner_proof_is_found(changes: dict[str, object], words: str) -> None:
    findings = found("thinner-proof", side(), side(**changes))
    assert severities(findings) == ["error"], findings
    assert words in findings[0].message


def test_another_table_is_a_warning() -> None:
    changed = side(proof=part("proof", state={"receipts": "select order_id, email from copies order by 1"}))
    assert severities(found("thinner-proof", side(), changed)) == ["warning"]


def test_a_handler_that_was_renamed_is_no_finding() -> None:
    old = {**side(), "shop/tasks.py": "def send_receipt():\n    return 1\n"}
    new = {**side(handler="shop.tasks:email_receipt"), "shop/tasks.py": "def email_receipt():\n    return 1\n"}
    assert everything(old, new) == []


def test_another_interpreter_is_a_warning() -> None:
    changed = side(proof=part("proof", python="tools/python"))
    assert severities(found("thinner-proof", side(), changed)) == ["warning"]


PROPERTIES = {"order_id": {"type": "integer", "minimum": 1}, "email": {"type": "string", "format": "email"}}


@pytest.mark.parametrize(
    ("changes", "severity", "words"),
    (
        ({"required": ["order_id"]}, "error", "required lost `email`"),
        ({"additionalProperties": True}, "error", "any further field"),
        ({"additionalProperties": None}, "error", "any further field"),
        ({"properties": {**PROPERTIES, "order_id": {"type": "integer"}}}, "warning", "no minimum"),
        ({"required": ["order_id"], "properties": {"order_id": PROPERTIES["order_id"]}}, "warning", "itself is gone"),
    ),
)
def test_a_looser_payload_is_found(changes: dict[str, object], severity: str, words: str) -> None:
    findings = found("looser-payload", side(), side(payload=part("payload", **changes)))
    assert severities(findings) == [severity], findings
    assert words in findings[0].message


WAIVER = {"item": "tests", "reason": "no broker here", "by": "me"}


def test_a_waiver_that_the_base_does_not_hold_is_found() -> None:
    (finding,) = found("new-waiver", side(), side(waivers=[WAIVER]))
    assert finding.severity == "error"
    assert "`tests`" in finding.message
    assert "base branch" in (finding.hint or "")
    assert found("new-waiver", side(waivers=[WAIVER]), side(waivers=[{**WAIVER, "reason": "other"}]))
    assert found("new-waiver", {}, side(waivers=[WAIVER]))


def test_a_waiver_that_the_base_holds_is_no_finding() -> None:
    assert everything(side(waivers=[WAIVER]), side(waivers=[{**WAIVER, "by": "somebody"}])) == []
    assert everything(side(waivers=[WAIVER]), side()) == []


@pytest.mark.parametrize(
    "changes",
    (
        {"effects": [{**EMAIL, "name": "mail"}]},  # renamed
        {"effects": [EMAIL, {"name": "sms", "call": "shop.sms:send", "guarantee": "keyed", "key_arg": "key"}]},
        {"idempotency": part("idempotency", key=["order_id", "email"])},
        {"idempotency": part("idempotency", dedupe={"store": "table sent", "window": "30d"})},
        {"idempotency": part("idempotency", dedupe={"store": "table receipts"})},  # for ever
        {"failures": part("failures", permanent=["shop.receipts:InvalidOrder", "shop.mailer:BadAddress"])},
        {"retry": part("retry", max_attempts=3)},
        {"retry": part("retry", backoff={**BACKOFF, "base": "4s"})},
        {"dead_letter": {"kind": "queue", "where": "dead"}},
        {"proof": part("proof", state={"sent": "select order_id, email from receipts order by 1"})},
        {"proof": part("proof", state={"receipts": "SELECT order_id, email, at\n FROM receipts order by 2;"})},
        {"proof": part("proof", state={"receipts": "select order_id as id, email from receipts order by 1"})},
        {"proof": part("proof", poison=[{}, {"order_id": -2, "email": "b@example.com"}, {"order_id": "x"}])},
        {
            "payload": part(
                "payload", examples=[{"order_id": 1, "email": "b@example.com"}, {"order_id": 2, "email": "c@d.e"}]
            )
        },
        {"payload": part("payload", required=["order_id", "email", "note"])},
        {"intent": {"what": "other words", "why_async": "slow"}},
    ),
)
def test_as_much_or_more_is_no_finding(changes: dict[str, object]) -> None:
    assert everything(side(), side(**changes)) == []


def test_a_spec_that_moved_is_the_same_spec() -> None:
    moved = ".skillrun/jobs/receipt.yaml"
    assert everything(side(), {moved: spec()}, {SPEC: moved}) == []
    weaker = {moved: spec(effects=[])}
    assert severities(found("weaker-guarantee", side(), weaker, {SPEC: moved})) == ["error"]


@pytest.mark.parametrize("broken", ("a: [", "- 1\n", "", "job: send-receipt\neffects: 3\nproof: [1]\n"))
def test_specs_that_cannot_be_read_do_not_stop_the_looks(broken: str) -> None:
    everything({SPEC: broken}, side())
    everything(side(), {SPEC: broken})

"""The looks at job specs: weaker promises, a thinner proof, a looser payload, and waivers nobody
else agreed to.
"""

from __future__ import annotations

import pytest
import yaml
from looks import SPEC, SPEC_TEXT, everything, found, part, severities, side, spec

from skillrun.wall.gaming.spec_places import spec_places
from skillrun.wall.gaming.spec_rules import COMPARED, HELD, RULES

EMAIL = {
    "name": "email",
    "call": "shop.mailer:send",
    "key_arg": "idempotency_key",
    "window": "24h",
    "guarantee": "keyed",
}
BACKOFF = {"kind": "exponential", "base": "2s", "factor": 2, "cap": "60s", "jitter": True}

PROPERTIES = {
    "order_id": {"type": "integer", "minimum": 1},
    "email": {"type": "string", "format": "email"},
}


@pytest.mark.parametrize(
    ("changes", "words"),
    (
        ({"effects": []}, "effects.email lost"),
        (
            {"effects": [{**EMAIL, "guarantee": "at_least_once", "reason": "x"}]},
            "is `at_least_once`: it promises less",
        ),
        ({"effects": [{**EMAIL, "guarantee": "at_most_once", "reason": "x"}]}, "promises less"),
        ({"effects": [{**EMAIL, "guarantee": None}]}, "promises less"),
        ({"effects": [{**EMAIL, "window": "90d"}]}, "de-duplicate for longer"),
        ({"effects": [{**EMAIL, "window": None}]}, "de-duplicate for ever"),
        (
            {"effects": [{**EMAIL, "call": "shop.fake:send"}]},
            "effects.email.call was `shop.mailer:send`",
        ),
        ({"effects": [{**EMAIL, "key_arg": "email"}]}, "effects.email.key_arg was"),
        ({"effects": [{**EMAIL, "mode": "pass_through"}]}, "effects.email.mode was"),
        ({"effects": [{**EMAIL, "returns": True}]}, "effects.email.returns is new: `true`"),
        ({"effects": [{**EMAIL, "returns": []}]}, "effects.email.returns is new: `[]`"),
        ({"idempotency": part("idempotency", key=[])}, "idempotency.key is gone"),
        (
            {"idempotency": part("idempotency", key=["order_id", "email"])},
            "fewer messages are the same work",
        ),
        (
            {
                "idempotency": part(
                    "idempotency", dedupe={"store": "table receipts", "window": "1h"}
                )
            },
            "it is shorter",
        ),
        (
            {"idempotency": part("idempotency", dedupe={"store": "table sent", "window": "7d"})},
            "dedupe.store was",
        ),
        (
            {"idempotency": {"strategy": "invariant", "invariant": {"statement": "x"}}},
            "no key is asked for",
        ),
        ({"idempotency": "unknown"}, "no key is asked for"),
        ({"idempotency": None}, "no key is asked for"),
        (
            {"failures": part("failures", permanent=["shop.mailer:BadAddress"])},
            "permanent lost `shop.receipts:",
        ),
        ({"failures": part("failures", transient=["TimeoutError"])}, "transient lost"),
        ({"failures": part("failures", acceptable_delay="1d")}, "more delay is accepted"),
        ({"failures": None}, "failures is gone"),
        ({"retry": part("retry", max_attempts=50)}, "max_attempts was `5` and is `50`"),
        ({"retry": part("retry", max_attempts=1)}, "it is not tried again"),
        ({"retry": part("retry", backoff={"kind": "none"})}, "retry.backoff was"),
        ({"retry": part("retry", backoff={**BACKOFF, "cap": None})}, "no cap"),
        ({"retry": part("retry", backoff={**BACKOFF, "cap": "1h"})}, "cap was `60s` and is `1h`"),
        ({"retry": part("retry", backoff={**BACKOFF, "base": "1ms"})}, "it waits less"),
        ({"retry": part("retry", backoff={**BACKOFF, "jitter": False})}, "return together"),
        ({"retry": part("retry", backoff={**BACKOFF, "jitter": None})}, "return together"),
        ({"retry": "none"}, "a failed job is not tried again"),
        ({"retry": {"kind": "none", "reason": "x"}}, "a failed job is not tried again"),
        ({"retry": None}, "a failed job is not tried again"),
        ({"dead_letter": {"kind": "none", "reason": "x"}}, "leaves no record"),
        ({"dead_letter": None}, "leaves no record"),
        ({"dead_letter": {"kind": "table", "where": "other"}}, "dead_letter.where was"),
        ({"dead_letter": {"kind": "queue", "where": "dead_jobs"}}, "dead_letter.kind was"),
        ({"handler": "shop.fake:send_receipt"}, "handler was `shop.tasks:send_receipt`"),
        ({"enqueue": None}, "enqueue is gone"),
        ({"enqueue": part("enqueue", args={"order_id": 7})}, "enqueue.args.email is gone"),
        ({"enqueue": part("enqueue", relay="shop.orders:relay")}, "enqueue.relay is new"),
    ),
)
def test_a_weaker_promise_is_found(changes: dict[str, object], words: str) -> None:
    findings = found("weaker-guarantee", side(), side(**changes))
    assert severities(findings) == ["error"], findings
    assert words in findings[0].message


def test_transactional_is_more_than_keyed() -> None:
    strong, weak = side(effects=[{**EMAIL, "guarantee": "transactional"}]), side()
    assert severities(found("weaker-guarantee", strong, weak)) == ["error"]
    assert everything(weak, strong) == []


def test_an_error_that_is_declared_otherwise_is_one_less_of_its_kind() -> None:
    moved = part(
        "failures",
        permanent=["shop.mailer:BadAddress"],
        transient=["shop.mailer:Unavailable", "TimeoutError", "shop.receipts:InvalidOrder"],
    )
    assert severities(found("weaker-guarantee", side(), side(failures=moved))) == ["error"]


def test_an_error_that_means_every_one_is_no_further_error() -> None:
    wide = part(
        "failures", permanent=["shop.mailer:BadAddress", "shop.receipts:InvalidOrder", "Exception"]
    )
    (finding,) = found("weaker-guarantee", side(), side(failures=wide))
    assert "it means every error" in finding.message


ERRORS = """
    class Unavailable(Exception):
        pass


    class Down(Unavailable):
        pass


    class BadAddress(Exception):
        pass
"""


@pytest.mark.parametrize(
    ("error", "severity"),
    (
        ("shop.mailer:Down", ["error"]),
        ("shop.mailer:Unavailable", ["error"]),
        ("ConnectionError", []),
        ("shop.mailer:BadAddress", []),
    ),
)
def test_a_kind_of_an_error_that_is_tried_again_is_not_given_up_at_once(
    error: str, severity: list[str]
) -> None:
    base = part("failures", transient=["shop.mailer:Unavailable"], permanent=["ValueError"])
    head = {**base, "permanent": ["ValueError", error]}
    code = {"shop/mailer.py": ERRORS}
    findings = found("weaker-guarantee", side(failures=base) | code, side(failures=head) | code)
    assert severities(findings) == severity, findings


MAILER = "def send(order_id):\n    print(order_id)\n"
HANDLER = "from shop import mailer\n\n\ndef send_receipt(order_id):\n    mailer.send(order_id)\n"


def test_a_spec_that_is_gone_is_found_unless_its_handler_is_gone_too() -> None:
    code = {"shop/tasks.py": HANDLER, "shop/mailer.py": MAILER}
    assert severities(found("weaker-guarantee", {**side(), **code}, code)) == ["error"]
    assert severities(found("weaker-guarantee", {**side(), **code}, {})) == ["warning"]
    assert severities(
        found("weaker-guarantee", {**side(), **code}, {"shop/tasks.py": "X = 1\n"})
    ) == ["warning"]


def test_a_handler_that_lost_its_spec_with_its_name_is_found() -> None:
    code = {"shop/tasks.py": HANDLER, "shop/mailer.py": MAILER}
    other = HANDLER.replace("def send_receipt", "def email_receipt").replace("order_id", "number")
    (finding,) = found("weaker-guarantee", {**side(), **code}, {**code, "shop/tasks.py": other})
    assert finding.severity == "error"
    assert "`shop.tasks:email_receipt` does its work" in finding.message


def test_a_stand_in_for_what_the_base_ran_is_found() -> None:
    """A declared effect is replaced in a proof: what the handler did for real, nothing would see
    any more.
    """
    code = {"shop/tasks.py": HANDLER, "shop/mailer.py": MAILER, "shop/sms.py": "def send(): pass\n"}
    old = side(effects=[])
    decoy = {"name": "log", "call": "shop.mailer:send", "guarantee": "keyed", "key_arg": "order_id"}
    (finding,) = found("weaker-guarantee", {**old, **code}, {**side(effects=[decoy]), **code})
    assert "replaced by a stand-in" in finding.message
    further = side(effects=[{**decoy, "call": "shop.sms:send"}])
    assert everything({**old, **code}, {**further, **code}) == []


def test_the_line_is_that_of_the_value() -> None:
    weaker = SPEC_TEXT.replace("guarantee: keyed", "guarantee: at_least_once\n    reason: x")
    (finding,) = found("weaker-guarantee", {SPEC: SPEC_TEXT}, {SPEC: weaker})
    assert weaker.splitlines()[(finding.line or 0) - 1].strip() == "guarantee: at_least_once"


def test_true_is_not_one() -> None:
    """They are equal in Python."""
    old = side(effects=[{**EMAIL, "returns": 1}])
    new = side(effects=[{**EMAIL, "returns": True}])
    assert severities(found("weaker-guarantee", old, new)) == ["error"]


@pytest.mark.parametrize(
    ("base", "changed", "is_allowed"),
    (
        ({}, {"worker": {"deliveries": 3}}, True),
        ({"worker": {"deliveries": 3}}, {"worker": {"deliveries": 2}}, True),
        ({"worker": {"deliveries": 3}}, {"worker": {"deliveries": 4}}, False),
        ({"worker": {"deliveries": 3}}, {}, False),
        ({}, {"worker": {"death": "loses", "reason": "x"}}, False),
        ({"worker": {"death": "loses", "reason": "x"}}, {}, True),
        ({}, {"failures": part("failures", success=["shop.mailer:There"])}, False),
        ({"failures": part("failures", success=["shop.mailer:There"])}, {}, False),
        ({}, {"effects": [{**EMAIL, "guarantee": "convergent"}]}, False),
        (
            {"effects": [{**EMAIL, "guarantee": "at_least_once", "reason": "x"}]},
            {"effects": [{**EMAIL, "guarantee": "convergent", "reason": "x"}]},
            True,
        ),
        ({"effects": [{**EMAIL, "guarantee": "convergent"}]}, {}, False),
        ({"retry": part("retry", backoff={**BACKOFF, "kind": "linear"})}, {}, True),
        ({}, {"retry": part("retry", backoff={**BACKOFF, "first": "0s"})}, False),
        ({}, {"idempotency": part("idempotency", test="npm test")}, True),
        ({"idempotency": part("idempotency", test="npm test")}, {}, False),
        (
            {"idempotency": part("idempotency", test="npm test")},
            {"idempotency": part("idempotency", test="true")},
            False,
        ),
        ({"proof": part("proof", not_state=["leases"])}, {}, True),
        ({"proof": part("proof", not_rivals=["orders.*"])}, {}, True),
        ({"proof": part("proof", rivals=["orders.status:void"])}, {}, False),
        ({}, {"proof": part("proof", rivals=["orders.status:void"])}, True),
        ({}, {"proof": part("proof", not_rivals=["orders.*"])}, False),
        ({}, {"proof": part("proof", setup_timeout="10m")}, True),
    ),
)
def test_a_word_that_was_added_may_ask_for_more(
    base: dict[str, object], changed: dict[str, object], is_allowed: bool
) -> None:
    assert (everything(side(**base), side(**changed)) == []) is is_allowed


@pytest.mark.parametrize(
    "more",
    (
        {"effects": []},
        {"wait": "1h"},
        {"unsent": True},
        {"kwargs": {"status": 1}},
        {"factory": "shop.fake:make"},
    ),
)
def test_an_error_that_is_made_or_met_otherwise_is_another_one(more: dict[str, object]) -> None:
    base = {"type": "TimeoutError", "args": ["x"]}
    old, new = (
        side(failures=part("failures", transient=[error])) for error in (base, {**base, **more})
    )
    assert "error" in severities(everything(old, new))


SWEEP = {"call": "shop.sweeps:requeue", "every": "15m"}


@pytest.mark.parametrize(
    ("base", "changed", "words"),
    (
        ([], [SWEEP], "recovers is new"),
        ([SWEEP], [], "recovers is gone"),
        ([SWEEP], [{**SWEEP, "every": "1m"}], "recovers.0.every was `15m`"),
        ([SWEEP], [{**SWEEP, "call": "shop.sweeps:nothing"}], "recovers.0.call was"),
    ),
)
def test_a_sweep_is_held(base: list[object], changed: list[object], words: str) -> None:
    """With one a lost message is no lost job; without one nobody asks what it does."""
    old, new = (side(recovers=sweeps or None) for sweeps in (base, changed))
    (finding,) = everything(old, new)
    assert finding.severity == "error"
    assert words in finding.message


def test_a_sweep_that_moved_or_is_written_otherwise_is_no_finding() -> None:
    code = "def requeue():\n    return 1\n"
    old = {**side(recovers=[SWEEP]), "shop/sweeps.py": code}
    moved = {"call": "shop.rescue:requeue", "every": "900s"}
    assert everything(old, {**side(recovers=[moved]), "shop/rescue.py": code}) == []


SPLIT = """
import time
from shop.db import rows

LIMIT = 5

def publish(row):
    row.send()

def requeue():
    for row in rows(LIMIT):
        publish(row)
    return time.time()
"""


@pytest.mark.parametrize(
    ("edit", "severity"),
    [
        (("OTHER = 1", "OTHER = 2"), []),
        (("LIMIT = 5", "LIMIT = 0"), ["error"]),
        (("from shop.db import rows", "from shop.fakes import rows"), ["error"]),
        (("row.send()", "pass"), ["error"]),
    ],
    ids=("moved", "value", "import", "function"),
)
def test_a_sweep_that_moved_into_a_module_of_its_own(
    edit: tuple[str, str], severity: list[str]
) -> None:
    """What it names has to mean there what it meant."""
    old = {**side(recovers=[SWEEP]), "shop/sweeps.py": f"OTHER = 1\n{SPLIT}"}
    moved = {"call": "shop.rescue:requeue", "every": "15m"}
    new = {"shop/sweeps.py": "OTHER = 1\n", "shop/rescue.py": SPLIT.replace(*edit)}
    assert severities(everything(old, {**side(recovers=[moved]), **new})) == severity


def test_a_handler_that_was_renamed_is_no_finding() -> None:
    old = {**side(), "shop/tasks.py": "def send_receipt():\n    return 1\n"}
    new = {
        **side(handler="shop.tasks:email_receipt"),
        "shop/tasks.py": "def email_receipt():\n    return 1\n",
    }
    assert everything(old, new) == []


def test_a_handler_under_another_name_that_does_something_else_is_found() -> None:
    old = {**side(), "shop/tasks.py": "def send_receipt():\n    return 1\n"}
    new = {
        **side(handler="shop.tasks:email_receipt"),
        "shop/tasks.py": "def email_receipt():\n    return 2\n",
    }
    assert severities(found("weaker-guarantee", old, new)) == ["error"]


def test_a_decoy_beside_the_handler_is_found() -> None:
    both = "def send_receipt():\n    return 1\n\n\ndef email_receipt():\n    return 1\n"
    old = {**side(), "shop/tasks.py": "def send_receipt():\n    return 1\n"}
    new = {**side(handler="shop.tasks:email_receipt"), "shop/tasks.py": both}
    assert severities(found("weaker-guarantee", old, new)) == ["error"]


@pytest.mark.parametrize(
    ("changes", "words"),
    (
        ({"required": ["order_id"]}, "payload.required lost `email`"),
        ({"required": ["order_id", "email", "note"]}, "payload.required is new: `note`"),
        ({"additionalProperties": True}, "additionalProperties was"),
        ({"additionalProperties": None}, "additionalProperties is gone"),
        (
            {"properties": {**PROPERTIES, "order_id": {"type": "integer"}}},
            "order_id.minimum is gone",
        ),
        ({"properties": {**PROPERTIES, "order_id": {"enum": [7, 8]}}}, "order_id.enum is new"),
        ({"properties": {"order_id": PROPERTIES["order_id"]}}, "payload.properties.email is gone"),
        ({"maxProperties": 1}, "payload.maxProperties is new"),
    ),
)
def test_another_payload_is_found(changes: dict[str, object], words: str) -> None:
    findings = found("looser-payload", side(), side(payload=part("payload", **changes)))
    assert set(severities(findings)) == {"error"}, findings
    assert any(words in finding.message for finding in findings)


@pytest.mark.parametrize(
    "changes",
    (
        {"trigger": {"type": "cron", "schedule": "0 3 * * *"}},
        {"message": "payload"},
        {"message": None},
        {"inputs": {"tests": "done"}},
        {"a_word_of_tomorrow": {"skip": True}},
        {"version": 2},
    ),
)
def test_what_no_rule_knows_is_held_to_the_letter(changes: dict[str, object]) -> None:
    findings = found("altered-spec", side(), side(**changes))
    assert set(severities(findings)) == {"error"}


@pytest.mark.real
def test_a_word_of_tomorrow_is_held_in_every_section() -> None:
    for section in (
        "proof",
        "retry",
        "failures",
        "idempotency",
        "enqueue",
        "dead_letter",
        "payload",
    ):
        changed = side(**{section: part(section, tomorrow="x")})
        assert severities(everything(side(), changed)) == ["error"], section
    tomorrow = side(effects=[{**EMAIL, "tomorrow": "x"}])
    assert severities(everything(side(), tomorrow)) == ["error"]


def test_every_word_of_the_schema_has_been_thought_of() -> None:
    """A new word is held to the letter; here it is asked for what it should be."""
    known = {*RULES, *HELD, *COMPARED}
    unknown = []
    for place in spec_places():
        around = [place, *(place[:cut] for cut in range(len(place)) if place[cut] in ".[")]
        is_section = any(other.startswith((f"{place}.", f"{place}[")) for other in known)
        if known.isdisjoint(around) and not is_section:
            unknown.append(place)
    assert unknown == []
    assert known <= set(spec_places())


def test_a_job_has_one_spec() -> None:
    path = ".skillrun/jobs/again.yaml"
    (finding,) = found("altered-spec", side(), {**side(), path: spec(effects=[])})
    assert "has a spec already" in finding.message
    assert everything({**side(), path: spec()}, {**side(), path: spec()}) == []


def test_two_specs_that_are_one_file_elsewhere_are_found() -> None:
    path = ".skillrun/jobs/Send-Receipt.yaml"
    (finding,) = found("altered-spec", side(), {**side(), path: spec(job="other")})
    assert "one file on some machines" in finding.message


def test_specs_that_changed_places_are_the_same_specs() -> None:
    path = ".skillrun/jobs/other.yaml"
    assert (
        everything({**side(), path: spec(job="other")}, {SPEC: spec(job="other"), path: spec()})
        == []
    )


def test_a_copy_that_says_less_does_not_stand_for_its_original() -> None:
    """The original moved, and something else took its place."""
    path = ".skillrun/jobs/moved.yaml"
    assert (
        everything(side(), {path: spec(), SPEC: spec(job="other", handler="shop.other:work")}) == []
    )
    weak = {path: spec(effects=[]), SPEC: spec(job="other", handler="shop.other:work")}
    assert "effects.email lost" in everything(side(), weak)[0].message


def test_a_job_under_another_name_is_the_same_job() -> None:
    path = ".skillrun/jobs/other.yaml"
    assert everything(side(), {path: spec(job="email-receipt")}) == []
    weak = {path: spec(job="email-receipt", effects=[])}
    assert severities(found("weaker-guarantee", side(), weak)) == ["error"]


def test_what_a_draft_leaves_open_is_filled_in() -> None:
    draft = {"version": 1, "job": "send-receipt", "idempotency": "unknown"}
    assert everything({SPEC: yaml.safe_dump(draft)}, side()) == []


@pytest.mark.parametrize(
    ("query", "severity"),
    (
        ("select 1", "error"),
        ("select order_id from receipts where 1 = 0", "error"),
        ("select order_id from receipts where order_id <> order_id", "error"),
        ("select order_id from receipts where order_id = 1 and order_id = 2", "error"),
        ("select order_id from receipts limit 0", "error"),
        ("select count(*) > -1 from receipts", "error"),
        ("select r.order_id from receipts r join orders o on false", "error"),
        ("select distinct order_id from receipts", "warning"),
        ("select order_id from receipts group by order_id", "warning"),
        ("select order_id from receipts intersect select id from orders", "warning"),
        ("select max(order_id) from receipts", "warning"),
        ("select exists (select 1 from receipts)", "warning"),
        ("select order_id from receipts limit 1", "warning"),
        ("select 1 from receipts", "warning"),
        ("select order_id from receipts where order_id = null", "error"),
        ("select order_id from receipts where order_id not in (1, null)", "error"),
        ("select order_id from receipts where order_id in ()", "error"),
        ("select order_id from receipts where order_id between 5 and 1", "error"),
        ("select order_id from receipts where order_id > 5 and order_id < 3", "error"),
        ("select order_id from receipts where at >= '2025' and at < '2024'", "error"),
        ("select order_id from receipts where length(email) < 0", "error"),
        ("select order_id from receipts where order_id = null or 1 = 0", "error"),
        ("select * from sqlite_schema", "error"),
        ("select * from json_each('[1]')", "error"),
        ("with one as (select 1) select * from one", "error"),
        ("values (1)", "error"),
        ("select order_id * 0 from receipts", "warning"),
        ("select nullif(email, email) from receipts", "warning"),
        ("select coalesce(1, order_id) from receipts", "warning"),
        ("select substr(email, 1, 0) from receipts", "warning"),
        ("select sum(0) from receipts", "warning"),
        ("select sum(order_id * 0) from receipts", "warning"),
        ("select count(distinct order_id) from receipts", "warning"),
        ("select group_concat(distinct order_id) from receipts", "warning"),
        ("select order_id from receipts fetch first 1 rows only", "warning"),
        ("select first_value(order_id) over () from receipts", "warning"),
        ("select order_id from receipts order by random()", "warning"),
        ("select order_id from receipts where state = 'paid' and state = 'open'", "error"),
        ("select order_id from receipts where 'a' = 'b'", "error"),
        ("select order_id from receipts where at >= '2025-01-31' and at < '2025-01-02'", "error"),
        (
            "select order_id from receipts where at > date '2025-01-31' and at < '2025-01-02'",
            "error",
        ),
        ("select name from main.sqlite_master", "error"),
        ("select relname from pg_catalog.anything", "error"),
        ("select * from pg_stat_user_tables", "warning"),
        ("select name from pragma_table_info('receipts')", "error"),
        ("select name from sqlite_master where name like 'part_%'", "warning"),
        ("select seq from sqlite_sequence", "warning"),
        ("with a as (select 1 union all select * from a) select * from a", "error"),
        ("with a as (select 1), b as (select * from a) select * from b", "error"),
        (
            "select id from a where id in (select id from b where x = 1 and x = 2) or true",
            "warning",
        ),
        ("select id from a where id not in (select id from b limit 0)", "warning"),
        ("select id from a where 1 = 0 union all select id from b", "warning"),
        ("select a.id, c.id from a join b on false right join c on true", "warning"),
        ("select count(*), (select group_concat(id) from b) from a where 1 = 0", "warning"),
        ("select id, count(*) > -1 from a group by id", "warning"),
        ("select count(*) > (select n from b) from a", "warning"),
    ),
)
def test_a_new_query_that_sees_too_little_is_found(query: str, severity: str) -> None:
    new = side(proof=part("proof", state={"receipts": query}))
    assert severities(found("blind-query", {}, new)) == [severity]
    assert found("blind-query", new, new) == []


@pytest.mark.parametrize(
    "query",
    (
        "select order_id, email from receipts order by 1",
        "select count(*), sum(total) from digests",
        "select month, count(*) from digests group by month",
        "select id from a union all select id from b",
        "select id from a where exists (select 1 from b where b.id = a.id)",
        "keys receipts:*",
        "select id from a where status in (select status from b)",
        "select id from a where id > 3 and id < 5 and length(token) > 0",
        "select id from a where id not in (1, 2) and sent_at is null",
        "select a.id from a left join b on false",
        "select a.id, e.value from a, json_each(a.items) e",
        "with sent as (select id from a where sent = 1) select id from sent",
        "select id, sent_at is not null, lower(email), amount / 100 from a",
        "select date(paid_at), substr(token, 1, 8), round(amount, 2), length(note) > 2000 from a",
        "select case when state = 'a' and kind = 'b' then 1 else 0 end, a = b, a - b from a",
        "select data ->> '$.x', strftime('%Y', at), email like '%@example.com' from a",
        "select sum(status = 'done'), total(amount), group_concat(id), count(sent_at) from a",
        "select id, status from pg_payments order by id",
        "select id from shop.pg_class",
        "select id from pragma_log order by id",
        "select id from sqlite_imports",
        "with orders as (select * from orders where paid) select id from orders order by id",
        "with orders as (select * from main.orders) select id from orders",
        "with b as (select 1) select id from main.b",
        "select id from (with b as (select 1) select * from b) x, b",
        "select id from a where amount >= '9' and amount < '10'",
        "select id from a where at > '2024-1-5' and at < '2024-1-10'",
        "select id from a where name >= 'a' and name < 'C'",
        "select id from a where amount = '1' and amount = '1.0'",
        "select id from a where paid = 'true' and paid = 'yes'",
        "select id from a where mail = 'Ann' and mail = 'ann'",
        "select id from a where n between symmetric 10 and 5",
        "select substr(created_at, 6, 2) = '07', code glob 'Q[0-9]-*' from a",
        "select '\ud800' || id from a",
    ),
)
def test_a_query_that_sees_every_row_is_no_finding(query: str) -> None:
    assert found("blind-query", {}, side(proof=part("proof", state={"receipts": query}))) == []


WAIVER = {"item": "tests", "reason": "no broker here", "by": "me"}


def test_a_waiver_that_the_base_does_not_hold_is_found() -> None:
    (finding,) = found("new-waiver", side(), side(waivers=[WAIVER]))
    assert finding.severity == "error"
    assert "`tests`" in finding.message
    assert "base branch" in (finding.hint or "")
    assert found(
        "new-waiver", side(waivers=[WAIVER]), side(waivers=[{**WAIVER, "reason": "other"}])
    )
    assert found("new-waiver", {}, side(waivers=[WAIVER]))


def test_a_waiver_that_the_base_holds_is_no_finding() -> None:
    assert everything(side(waivers=[WAIVER]), side(waivers=[{**WAIVER, "by": "somebody"}])) == []
    assert everything(side(waivers=[WAIVER]), side()) == []


@pytest.mark.parametrize(
    "changes",
    (
        {"effects": [{**EMAIL, "name": "mail"}]},  # renamed
        {
            "effects": [
                EMAIL,
                {"name": "sms", "call": "shop.sms:send", "guarantee": "keyed", "key_arg": "key"},
            ]
        },
        {"effects": [{**EMAIL, "window": "1h"}]},
        {"effects": [{**EMAIL, "mode": "stand_in", "returns": None}]},  # as it is by default
        {"idempotency": part("idempotency", dedupe={"store": "table receipts", "window": "30d"})},
        {"idempotency": part("idempotency", dedupe={"store": "table receipts"})},  # for ever
        {"idempotency": part("idempotency", dedupe={"store": "table receipts", "window": "168h"})},
        {
            "failures": part(
                "failures", permanent=["shop.receipts:InvalidOrder", "shop.mailer:BadAddress"]
            )
        },
        {
            "failures": part(
                "failures", transient=["TimeoutError", "shop.mailer:Unavailable", "OSError"]
            )
        },
        {"failures": part("failures", acceptable_delay="5m")},
        {"retry": part("retry", max_attempts=3)},
        {"retry": part("retry", backoff={**BACKOFF, "base": "4s"})},
        {"retry": part("retry", backoff={**BACKOFF, "cap": "1m"})},
        {"proof": part("proof", state={"sent": "select order_id, email from receipts order by 1"})},
        {
            "proof": part(
                "proof",
                state={"receipts": "SELECT order_id, email\n FROM Receipts -- all\n ORDER BY 1;"},
            )
        },
        {
            "proof": part(
                "proof",
                state={
                    "receipts": "select order_id, email from receipts order by 1",
                    "orders": "select id from orders",
                },
            )
        },
        {"proof": part("proof", poison=[{"x": 1}, {}, {"order_id": -1, "email": "a@example.com"}])},
        {
            "payload": part(
                "payload",
                examples=[
                    {"order_id": 7, "email": "a@example.com"},
                    {"order_id": 8, "email": "a@example.com"},
                    {"order_id": 9, "email": "b@example.com"},
                ],
            )
        },
        {
            "payload": part(
                "payload", properties={**PROPERTIES, "note": {"type": "string"}}, title="A receipt"
            )
        },
        {"payload": part("payload", required=["email", "order_id"])},
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


@pytest.mark.parametrize(
    "broken", ("a: [", "- 1\n", "", "job: send-receipt\neffects: 3\nproof: [1]\n")
)
def test_specs_that_cannot_be_read_do_not_stop_the_looks(broken: str) -> None:
    everything({SPEC: broken}, side())
    everything(side(), {SPEC: broken})

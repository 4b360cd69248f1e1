"""A job spec as text in, a frozen `JobSpec` or every violation out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from skillrun.contract.duration import format_duration, parse_duration
from skillrun.contract.spec import JobSpec, load_spec
from skillrun.contract.specfile import read_raw_spec, specs_in
from skillrun.core.canonical import sha256
from skillrun.core.errors import SpecInvalid

FULL = """\
version: 1
job: send-receipt
intent: {what: Email a receipt, why_async: The mail server may be down}
trigger: {type: event}
payload:
  type: object
  required: [order_id]
  additionalProperties: false
  properties: {order_id: {type: integer, minimum: 1}}
  examples: [{order_id: 7}, {order_id: 8}]
handler: shop.tasks:send_receipt
message: payload
enqueue: {call: shop.orders:settle, args: {order_id: 7}}
recovers: [{call: "shop.sweeps:requeue_stuck", every: 15m}]
idempotency:
  strategy: keyed
  key: [order_id]
  dedupe: {store: table receipts, window: 7d}
effects:
  - name: email
    call: shop.mailer:Client.send
    key_arg: idempotency_key
    window: 24h
    guarantee: keyed
    returns: null
failures:
  transient: [shop.mailer:Unavailable, TimeoutError]
  permanent: [{type: "requests:HTTPError", args: ["410 Gone"]}]
  acceptable_delay: 15m
retry:
  max_attempts: 5
  backoff: {kind: exponential, base: 2s, factor: 2, cap: 60s, jitter: true}
dead_letter: {kind: table, where: dead_jobs}
proof:
  env: {SHOP_DB: "{scratch}/app.db"}
  services: [redis]
  state: {receipts: select 1}
  poison: [{}]
waivers: [{item: tests, reason: none yet, by: ann}]
inputs: {job-intent: anything, files_touched: [a]}
"""
SMALL = "version: 1\njob: tidy\n"


def load(tmp_path: Path, text: str, name: str = "job.yaml", **overrides: str) -> JobSpec:
    path = tmp_path / name
    path.write_text(text)
    return load_spec(
        path,
        overrides={key.replace("__", "."): value for key, value in overrides.items()},
        root=tmp_path,
    )


def violations(tmp_path: Path, text: str, name: str = "job.yaml", **overrides: str) -> list[str]:
    with pytest.raises(SpecInvalid) as refusal:
        load(tmp_path, text, name, **overrides)
    assert refusal.value.exit_code == 4
    assert refusal.value.hint
    return refusal.value.message.split("\n")


def test_every_field_is_read(tmp_path: Path) -> None:
    spec = load(tmp_path, FULL)
    assert spec.job == "send-receipt"
    assert [(sweep.call, sweep.every) for sweep in spec.recovers] == [
        ("shop.sweeps:requeue_stuck", 900.0)
    ]
    assert spec.idempotency and spec.idempotency.key == ("order_id",)
    assert spec.idempotency.dedupe and spec.idempotency.dedupe.window == 7 * 86400.0
    assert spec.effects and spec.effects[0].window == 86400.0
    assert spec.effects[0].mode == "stand_in"
    assert spec.failures and spec.failures.acceptable_delay == 900.0
    assert [error.type for error in spec.failures.transient] == [
        "shop.mailer:Unavailable",
        "TimeoutError",
    ]
    assert spec.failures.permanent[0].args == ("410 Gone",)
    assert spec.retry and spec.retry.backoff and spec.retry.kind is None
    assert (spec.retry.backoff.base, spec.retry.backoff.cap, spec.retry.backoff.jitter) == (
        2.0,
        60.0,
        True,
    )
    assert spec.dead_letter and spec.dead_letter.where == "dead_jobs"
    assert spec.examples == ({"order_id": 7}, {"order_id": 8})
    assert spec.shown_path == "job.yaml"


def test_a_spec_keeps_its_text_its_lines_and_its_sha(tmp_path: Path) -> None:
    spec = load(tmp_path, FULL)
    assert spec.part("retry") == {
        "max_attempts": 5,
        "backoff": {"kind": "exponential", "base": "2s", "factor": 2, "cap": "60s", "jitter": True},
    }
    assert spec.part("nothing") is None
    assert spec.line("retry", "max_attempts") == FULL.split("\n").index("  max_attempts: 5") + 1
    assert spec.line("effects", 0, "call") == spec.line("effects", 0) + 1
    assert spec.line("retry", "gone") == spec.line("retry")
    assert (spec.path, spec.sha256) == (tmp_path / "job.yaml", sha256(FULL.encode()))
    assert read_raw_spec(tmp_path / "job.yaml") == (FULL.encode(), spec.sha256)


def test_a_spec_cannot_be_changed(tmp_path: Path) -> None:
    spec = load(tmp_path, FULL)
    with pytest.raises(Exception, match="frozen"):
        spec.job = "other"  # type: ignore[misc]


def test_only_version_and_job_are_required(tmp_path: Path) -> None:
    spec = load(tmp_path, SMALL)
    assert (spec.idempotency, spec.effects, spec.retry, spec.waivers, spec.inputs) == (
        None,
        None,
        None,
        (),
        {},
    )
    assert violations(tmp_path, "intent: {what: x}\n") == [
        "job.yaml:1: job: is missing: write for example send-receipt",
        "job.yaml:1: version: is missing: write 1",
    ]


def test_short_forms(tmp_path: Path) -> None:
    spec = load(
        tmp_path, SMALL + "idempotency: unknown\nretry: none\ndead_letter: none\neffects: []\n"
    )
    assert spec.idempotency and spec.idempotency.strategy == "unknown"
    assert spec.retry and spec.retry.kind == "none"
    assert spec.dead_letter and spec.dead_letter.kind == "none"
    assert spec.effects == ()


GOOD = [
    "retry: {kind: none, reason: it may run once only}",
    "retry: {max_attempts: 1}",
    "retry: {max_attempts: 3, backoff: {kind: fixed, base: 500ms}}",
    "dead_letter: {kind: none, reason: nobody would look}",
    "dead_letter: {kind: framework}",
    "idempotency: {strategy: keyed}",
    "idempotency: {strategy: keyed, key: []}",
    "idempotency: {strategy: invariant, invariant: {statement: x, guarded_by: y}}",
    "idempotency: {}",
    "effects: [{name: a, call: 'a:b', guarantee: at_most_once, reason: a lost ping is no loss}]",
    "effects: [{name: a, call: 'a:b'}, {name: b, call: 'a.b.c:d.e'}]",
    'trigger: {type: cron, schedule: "*/5 * * * *", timezone: UTC}',
    "trigger: {type: poller, every: 30s}",
    (
        "payload: {type: object, properties: {a: {$ref: '#/$defs/x'}}, $defs: {x: {type: integer}},"
        " examples: [{a: 1}]}"
    ),
    "failures: {transient: [], permanent: [ValueError, 'a.b:C', {type: OSError}]}",
    "proof: {services: [redis, postgresql], env: {A: b}}",
    "retry: {max_attempts: 3, backoff: {kind: linear, base: 5s, step: 1s, first: 0s}}",
    "worker: {deliveries: 3}",
    "failures: {success: ['a:B', {type: 'a:C', kwargs: {status: 409}, factory: 'a:make', wait: 3s}]}",
    "failures: {transient: [{type: 'a:Busy', effects: [], wait: 10s}]}",
    "effects: [{name: a, call: 'a:b', guarantee: convergent}]",
    "proof: {rivals: ['orders.status:void'], not_rivals: ['orders.*', 'orders.status:open']}",
    "idempotency: {strategy: keyed, key: [a], dedupe: {store: table a}, test: npm test}",
    "proof: {setup_timeout: 5m, not_state: [leases], scratch_files: ['cache/*']}",
    'payload: {type: object, examples: [{country: "no", at: "1:30"}]}',
]


@pytest.mark.parametrize("line", GOOD)
def test_what_is_allowed(tmp_path: Path, line: str) -> None:
    load(tmp_path, SMALL + line + "\n")


BAD = {
    "version: 2\njob: a": ":1: version: 2 is not 1: write 1",
    "version: '1'\njob: a": ":1: version: 1 is not 1",
    "version: 1\njob: Send Receipt": ":2: job: Send Receipt is not",
    "version: 1\njob: -a": ":2: job:",
    "version: 1\njob: 3": ":2: job: 3 is a number, not text",
    "retires: {}": ":3: retires: is not a known key: did you mean retry?",
    "retry: {max_attempts: 5, max_attemps: 5}": (
        ":3: retry.max_attemps: is not a known key: did you mean max_attempts?"
    ),
    "retry: {max_attempts: -1}": ":3: retry.max_attempts: -1 is less than 1",
    "retry: {max_attempts: 1.5}": ":3: retry.max_attempts: 1.5 is a number, not a whole number",
    "retry: {max_attempts: null}": ":3: retry.max_attempts: null is empty, not a whole number",
    "retry: never": ":3: retry: never is text, not a mapping: write none, or a bounded",
    "retry: null": ":3: retry: null",
    "retry: {kind: none, max_attempts: 3}": (
        ":3: retry.max_attempts: cannot stand beside kind: none"
    ),
    "retry: {max_attempts: 2, backoff: {kind: cubic}}": "write none | fixed | linear | exponential",
    "retry: {max_attempts: 2, backoff: {base: 2s}}": (
        "retry.backoff.kind: is missing: write none | fixed | linear | exponential"
    ),
    "retry: {max_attempts: 2, backoff: {kind: fixed, base: 2}}": (
        "2 is a number, not text: write for example 90s"
    ),
    "retry: {max_attempts: 2, backoff: {kind: fixed, base: 2 s}}": (
        "2 s is not a duration: write for example 90s"
    ),
    "retry: {max_attempts: 2, backoff: {kind: fixed, base: -2s}}": "-2s is not a duration",
    "dead_letter: {where: x}": ":3: dead_letter.kind: is missing",
    "dead_letter: {kind: none, where: x}": ":3: dead_letter.where: cannot stand beside kind: none",
    "idempotency: {key: [a], invariant: {statement: x}}": (
        ":3: idempotency.invariant: cannot stand beside key"
    ),
    "idempotency: {strategy: maybe}": "write keyed | invariant | unknown",
    "idempotency: keyed": (
        ":3: idempotency: keyed is text, not a mapping: write unknown, or either a key"
    ),
    "idempotency: {key: order_id}": ":3: idempotency.key: order_id is text, not a list",
    "idempotency: {key: [a, a]}": "holds the same item twice",
    "effects: {}": ":3: effects: {} is a mapping, not a list",
    "effects: [{name: a}]": ":3: effects.0.call: is missing",
    "effects: [{name: a, call: 'a.b'}]": ":3: effects.0.call: a.b is not an import path",
    "effects: [{name: a b, call: 'a:b'}]": ":3: effects.0.name:",
    "effects: [{name: a, call: 'a:b'}, {name: a, call: 'a:c'}]": (
        ":3: effects.1.name: a names two effects"
    ),
    "effects: [{name: a, call: 'a:b', guarantee: at_least_once}]": (
        ":3: effects.0.reason: is missing: a repetition or a loss is accepted with a reason"
    ),
    "effects: [{name: a, call: 'a:b', guarantee: best}]": (
        "write keyed | transactional | at_least_once | at_most_once"
    ),
    "effects: [{name: a, call: 'a:b', mode: real}]": "write stand_in | pass_through",
    "handler: shop.tasks.send": ":3: handler: shop.tasks.send is not an import path",
    "handler: 'shop/tasks.py:send'": "is not an import path",
    "handler: 'shop:send()'": "is not an import path",
    "handler: 'shop:'": "is not an import path",
    "enqueue: {args: {}}": ":3: enqueue.call: is missing",
    "recovers: {call: 'a:b', every: 1m}": "} is a mapping, not a list: write for example",
    "recovers: ['a:b']": ":3: recovers.0: a:b is text, not a mapping",
    "recovers: [{call: 'a:b'}]": ":3: recovers.0.every: is missing",
    "recovers: [{call: a.b, every: 1m}]": ":3: recovers.0.call: a.b is not an import path",
    "recovers: [{call: 'a:b', every: 15}]": ":3: recovers.0.every: 15 is a number, not text",
    "recovers: [{call: 'a:b', every: 0s}]": ":3: recovers.0.every: is no interval: write for",
    "xyzzy: 1": ":3: xyzzy: is not a known key: remove it, or take a skillrun newer than",
    "message: dict": "write payload | kwargs",
    "trigger: {type: event, every: 5s}": ":3: trigger.every: belongs to type: poller",
    "trigger: {type: cron}": ":3: trigger.schedule: is missing",
    "trigger: {type: poller}": ":3: trigger.every: is missing",
    "trigger: {}": ":3: trigger.type: is missing: write event | cron | poller",
    "failures: {transient: [a b]}": ":3: failures.transient.0: a b is not an exception",
    "failures: {transient: [{args: [1]}]}": ":3: failures.transient.0.type: is missing",
    "failures: {acceptable_delay: 15}": ":3: failures.acceptable_delay: 15 is a number, not text",
    "payload: {type: objct}": ":3: payload.type: objct",
    "payload: {properties: []}": ":3: payload.properties: [] is a list, not a mapping",
    "payload: {type: object, required: [a], examples: [{}]}": (
        ":3: payload.examples.0.a: is missing"
    ),
    "payload: {properties: {a: {type: integer}}, examples: [{a: 1}, {a: x}]}": (
        ":3: payload.examples.1.a: x is text"
    ),
    "payload: {$ref: 'https://example.com/s.json', examples: [{}]}": ":3: payload: the $ref",
    "payload: {$ref: '#/$defs/a', $defs: {a: {$ref: '#/$defs/a'}}, examples: [{}]}": (
        "leads in a circle"
    ),
    "payload: {properties: {a: {pattern: '['}}, examples: [{a: x}]}": (
        ":3: payload: the pattern '['"
    ),
    "payload: true": ":3: payload: true is true or false, not a mapping",
    "proof: {setup_timeout: 300}": ":3: proof.setup_timeout: 300 is a number, not text: write for",
    "proof: {rivals: ['orders.*']}": ":3: proof.rivals.0: orders.* is not a rival",
    "proof: {not_state: leases}": ":3: proof.not_state: leases is text, not a list",
    "proof: {scratch_files: [a, a]}": "holds the same item twice",
    "proof: {scratch_files: ['']}": ":3: proof.scratch_files.0:",
    "worker: {deliveries: 0}": ":3: worker.deliveries: 0 is less than 1",
    "failures: {success: [{type: 'a:B', kwargs: [1]}]}": "failures.success.0.kwargs: [1] is a list",
    "failures: {transient: [{type: 'a:B', factory: make}]}": (
        ":3: failures.transient.0.factory: make is not an import path"
    ),
    "failures: {transient: [{type: 'a:B', effects: [mail]}]}": (
        ":3: failures.transient.0.effects.0: mail is the name of no effect: the effects are none"
    ),
    "failures: {transient: [{type: 'a:B', wait: 10}]}": "failures.transient.0.wait: 10 is a number",
    "proof: {services: [mysql]}": "write redis | postgresql",
    "proof: {env: {A: 1}}": ":3: proof.env.A: 1 is a number, not text",
    "proof: {state: [select 1]}": ":3: proof.state:",
    "waivers: [{item: tests}]": ":3: waivers.0.reason: is missing",
    "inputs: {a b: 1}": ":3: inputs",
    "failures: {acceptable_delay: 1:30}": "YAML reads 1:30 as the base-60 number 90",
    "trigger: {type: cron, schedule: 12:30}": "YAML reads 12:30 as the base-60 number 750",
    "payload: {examples: [{of: no}]}": (
        ":3: payload.examples.0.of: YAML reads no as false: write false, or quote it"
    ),
    "payload: {examples: [{day: 2024-01-01}]}": "YAML reads 2024-01-01 as a date",
    "effects: [{name: a, call: 'a:b', returns: on}]": "YAML reads on as true",
    "intent: {what: yes}": "true is true or false, not text (YAML reads yes as true)",
    "trigger: {type: cron, schedule: */5 * * * *}": 'must be quoted, as in schedule: "*/5 * * * *"',
    "job: again": ":3: the key 'job' is given twice, first in line 2",
}


@pytest.mark.parametrize("text", BAD)
def test_a_violation_says_where_what_and_what_to_do(tmp_path: Path, text: str) -> None:
    whole = text if text.startswith("version") else SMALL + text
    with pytest.raises(SpecInvalid) as refusal:
        load(tmp_path, whole + "\n")
    assert refusal.value.message.startswith("job.yaml:")
    assert BAD[text] in f"{refusal.value.message} {refusal.value.hint}"


AS_WRITTEN = {
    "failures: {permanent: [{type: 'a:B', args: [{Code: no, Since: 2024-01-01}]}]}": (
        ("failures", "permanent", 0, "args", 0),
        {"Code": "no", "Since": "2024-01-01"},
    ),
    "failures: {permanent: [{type: 'a:B', kwargs: {reason: Yes}}]}": (
        ("failures", "permanent", 0, "kwargs", "reason"),
        "Yes",
    ),
    "failures: {transient: [{type: 'a:B', kwargs: {http: {status: 503, headers: {Retry-After: 007}}}}]}": (
        ("failures", "transient", 0, "kwargs", "http"),
        {"status": 503, "headers": {"Retry-After": "007"}},
    ),
    "payload: {properties: {of: {type: string}}, examples: [{of: no}, {of: 0123}]}": (
        ("payload", "examples"),
        [{"of": "no"}, {"of": "0123"}],
    ),
    # These are no text: nobody writes them otherwise.
    "failures: {permanent: [{type: 'a:B', args: [503, true, null, 1.5]}]}": (
        ("failures", "permanent", 0, "args"),
        [503, True, None, 1.5],
    ),
    "payload: {properties: {of: {type: integer}}, examples: [{of: 7}]}": (
        ("payload", "examples"),
        [{"of": 7}],
    ),
}


@pytest.mark.parametrize("text", AS_WRITTEN)
def test_what_can_only_be_text_is_read_as_it_is_written(tmp_path: Path, text: str) -> None:
    """YAML makes a boolean of `no`, and an octal number of 0123."""
    path, wanted = AS_WRITTEN[text]
    value: Any = load(tmp_path, SMALL + text + "\n").raw
    for step in path:
        value = value[step]
    assert value == wanted


def test_a_poison_message_stays_what_yaml_makes_of_it(tmp_path: Path) -> None:
    """Nothing says whether `no` is the text there, or a boolean in its place."""
    with pytest.raises(SpecInvalid, match="YAML reads no as false"):
        load(tmp_path, SMALL + "proof: {poison: [{of: no}]}\n")


def test_a_known_boolean_may_be_spelled_yes(tmp_path: Path) -> None:
    spec = load(tmp_path, SMALL + "retry: {max_attempts: 2, backoff: {kind: fixed, jitter: yes}}\n")
    assert spec.retry and spec.retry.backoff and spec.retry.backoff.jitter


def test_all_violations_come_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    found = violations(
        tmp_path, SMALL + "handler: x\nmessage: y\nretry: {max_attempts: 0}\nzzz: 1\n"
    )
    assert [line.split(":")[1] for line in found] == ["3", "4", "5", "6"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "the job spec is empty"),
        ("# nothing\n", "the job spec is empty"),
        ("- a\n", "this is a list"),
        ("text\n", "this is a single value"),
        ("a: [", "job.yaml:"),
    ],
)
def test_what_is_no_mapping_is_refused(tmp_path: Path, text: str, expected: str) -> None:
    assert expected in violations(tmp_path, text)[0]


def test_bytes_that_are_not_utf_8_are_refused(tmp_path: Path) -> None:
    (tmp_path / "job.yaml").write_bytes(b"version: 1\njob: \xff\n")
    with pytest.raises(SpecInvalid, match=r"job\.yaml:2: not UTF-8"):
        load_spec(tmp_path / "job.yaml", root=tmp_path)


def test_a_missing_a_large_and_no_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecInvalid, match="no such job spec"):
        load_spec(tmp_path / "gone.yaml")
    with pytest.raises(SpecInvalid, match="is not a file"):
        load_spec(tmp_path)
    (tmp_path / "big.yaml").write_text("#" * 1_000_001)
    with pytest.raises(SpecInvalid, match="larger than 1 MB"):
        load_spec(tmp_path / "big.yaml")


def test_a_json_spec_is_read_by_a_json_parser(tmp_path: Path) -> None:
    spec = load(
        tmp_path,
        json.dumps({"version": 1, "job": "a", "retry": {"max_attempts": 2}}, indent=1),
        "job.json",
    )
    assert (spec.job, spec.line("retry", "max_attempts")) == ("a", 5)
    assert "not JSON" in violations(tmp_path, SMALL, "job.json")[0]
    assert violations(tmp_path, '{"version": 1,\n"job": 3}', "job.json")[0].startswith(
        "job.json:2: job: 3 is a number"
    )
    assert (
        "given twice"
        in violations(tmp_path, '{"version": 1,\n"job": "a", "job": "b"}', "job.json")[0]
    )


def test_the_path_is_shown_relative_where_that_is_possible(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "job.yaml").write_text(SMALL)
    monkeypatch.chdir(tmp_path)
    assert load_spec(tmp_path / "job.yaml").shown_path == "job.yaml"
    monkeypatch.chdir("/")
    assert load_spec(tmp_path / "job.yaml", root=tmp_path / "elsewhere").shown_path == str(
        tmp_path / "job.yaml"
    )


@pytest.mark.parametrize(
    ("override", "path", "value"),
    [
        ({"retry__max_attempts": "3"}, ("retry", "max_attempts"), 3),
        ({"effects__0__name": "mail"}, ("effects", 0, "name"), "mail"),
        ({"effects__1": "{name: b, call: 'a:b'}"}, ("effects", 1), {"name": "b", "call": "a:b"}),
        ({"intent__what": "Something else"}, ("intent", "what"), "Something else"),
        ({"retry": "none"}, ("retry",), "none"),
        ({"inputs__new": "[1, 2]"}, ("inputs", "new"), [1, 2]),
        ({"proof__env__A": "b"}, ("proof", "env", "A"), "b"),
    ],
)
def test_an_override_sets_a_value(
    tmp_path: Path, override: dict[str, str], path: tuple[Any, ...], value: Any
) -> None:
    spec = load(tmp_path, FULL, **override)
    found: Any = spec.raw
    for step in path:
        found = found[step]
    assert found == value
    assert spec.sha256 not in (load(tmp_path, FULL).sha256, load(tmp_path, FULL, job="x").sha256)


def test_an_override_makes_what_is_missing(tmp_path: Path) -> None:
    spec = load(
        tmp_path, SMALL, effects__0__name="a", effects__0__call="a:b", idempotency__key="[x]"
    )
    assert spec.effects and spec.effects[0].call == "a:b"
    assert spec.idempotency and spec.idempotency.key == ("x",)


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        (
            {"retry__max_attempts": "0"},
            "--set retry.max_attempts: retry.max_attempts: 0 is less than 1",
        ),
        ({"effects__5__name": "a"}, "--set effects.5.name: effects.5.name: has only 1 items"),
        ({"job__x": "a"}, '--set job.x: job.x: "send-receipt" has no member x'),
        ({"effects__name": "a"}, "--set effects.name: effects.name:"),
        ({"nonsense": "a"}, "--set nonsense: nonsense: is not a known key"),
        ({"retry": "[1"}, "--set retry: "),
        (
            {"failures__acceptable_delay": "1:30"},
            "--set failures.acceptable_delay: YAML reads 1:30",
        ),
    ],
)
def test_a_wrong_override_is_named_as_such(
    tmp_path: Path, override: dict[str, str], expected: str
) -> None:
    assert violations(tmp_path, FULL, **override)[0].startswith(expected)


def test_specs_are_listed_without_their_schema(tmp_path: Path) -> None:
    folder = tmp_path / ".skillrun" / "jobs"
    assert specs_in(tmp_path) == []
    folder.mkdir(parents=True)
    for name in ("b.yaml", "a.json", "c.yml", "job-spec.v1.json", "notes.md"):
        (folder / name).write_text("x")
    assert [path.name for path in specs_in(tmp_path)] == ["a.json", "b.yaml", "c.yml"]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("15m", 900),
        ("24h", 86400),
        ("7d", 604800),
        ("500ms", 0.5),
        ("1.5h", 5400),
        ("0s", 0),
    ],
)
def test_durations_are_seconds(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)
    assert parse_duration(format_duration(seconds)) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text", ["", "5", "s", "5 s", "-5s", "5S", "1h30m", "5s ", "١s", "1e3s", "5w"]
)
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(90, "90s"), (3600, "1h"), (172800, "2d"), (0.25, "250ms"), (1.5, "1500ms"), (0, "0s")],
)
def test_durations_are_written_shortly(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text

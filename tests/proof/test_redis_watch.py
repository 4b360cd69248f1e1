"""What a job does to its Redis is asked of the server, by whatever way it came there."""

from __future__ import annotations

from pathlib import Path

import pytest
from escaping import PLACE, check
from plain_job import JOBS, SPEC, plain_repo, target_of

from skillrun.probe.redis_client import leaves_server
from skillrun.proof.assumptions import assumptions
from skillrun.proof.attempt import try_prove
from skillrun.proof.result import Proof
from skillrun.proof.services.find import find_redis_server
from skillrun.proof.services.redis import RedisServer
from skillrun.proof.store_watch import StoreWatch

needs_redis = pytest.mark.skipif(find_redis_server() is None, reason="no Redis server here")
SERVICES = {**SPEC["proof"], "services": ["redis"]}
SERVICES = {**SERVICES, "env": {**SERVICES["env"], "REDIS": "{redis}"}}


@pytest.mark.parametrize(
    "line", ["MIGRATE h 1 k 0 5", "config set dir /tmp", "SAVE", "publish c m", "MODULE LOAD x"]
)
def test_what_leaves_the_server(line: str) -> None:
    assert leaves_server(line.split())


@pytest.mark.parametrize(
    "line",
    ["config get dir", "set a b", "module list", "acl whoami", "rpush save x", "subscribe c"],
)
def test_what_stays_in_it(line: str) -> None:
    assert not leaves_server(line.split())


@needs_redis
def test_the_server_says_what_changed(tmp_path: Path) -> None:
    with RedisServer(tmp_path / "r") as server:
        server._resp.call("SET", "kept", "x")
        watch = StoreWatch({"redis": server})
        server._resp.call("RPUSH", "mails", "x")
        server._resp.call("CONFIG", "SET", "maxmemory", "0")
        watch.look()
    found = {(change.kind, change.name, change.what) for change in watch.changes}
    assert found == {("key", "mails", "created"), ("command", "CONFIG SET", "created")}


def proof_with(tmp_path: Path, code: str) -> tuple[Proof, list[str]]:
    lines = "".join(f"            {line}\n" for line in code.strip().splitlines())
    jobs = "    import redis, socket, urllib.parse\n" + JOBS.replace(PLACE, PLACE + lines)
    repo = plain_repo(tmp_path / "repo", jobs=jobs, changed={"proof": SERVICES})
    target = target_of(repo)
    proof = try_prove(target, only="redeliver")
    return proof, assumptions(proof, target)


CLIENT = 'client = redis.from_url(os.environ["REDIS"])\n'
RAW = """
raw = socket.socket(socket.AF_UNIX)
raw.connect(urllib.parse.urlsplit(os.environ["REDIS"]).path)
raw.sendall(b"COMMAND\\r\\n")
raw.recv(64)
raw.close()
"""


@needs_redis
@pytest.mark.real
@pytest.mark.parametrize(
    "code",
    [
        RAW.replace("COMMAND", "RPUSH mails x"),
        CLIENT + "client.eval(\"return redis.call('incr', 'mails')\", 0)",
    ],
)
def test_what_was_added_is_named(tmp_path: Path, code: str) -> None:
    proof, words = proof_with(tmp_path, code)
    assert proof.verdict == "proved", [j.message for j in proof.incomplete]
    assert any("adds to in Redis" in said and said.endswith(": mails") for said in words), words


@needs_redis
@pytest.mark.real
@pytest.mark.parametrize(
    ("code", "said"),
    [
        (CLIENT + "client.config_set('maxmemory', '0')", "CONFIG SET of Redis (jobs.py:"),
        (CLIENT + "client.publish('mails', 'x')", "PUBLISH of Redis (jobs.py:"),
        (RAW.replace("COMMAND", "PUBLISH mails x"), "PUBLISH of Redis"),
        (RAW.replace("COMMAND", "CONFIG SET maxmemory 0"), "CONFIG SET of Redis"),
    ],
)
def test_what_leaves_it_is_undeclared(tmp_path: Path, code: str, said: str) -> None:
    check(proof_with(tmp_path, code)[0], f"undeclared store: {said}")


@needs_redis
@pytest.mark.real
def test_a_lock_and_a_mark_stay_unsaid(tmp_path: Path) -> None:
    code = CLIENT + "client.set('seen', 1, nx=True)\nwith client.lock('own'):\n    pass"
    proof, words = proof_with(tmp_path, code)
    assert proof.verdict == "proved", [j.message for j in proof.incomplete]
    assert not any("adds to in Redis" in said for said in words), words


MARK = 'mark = client.set(f"done-{order_id}", 1, nx=True)\n'
ONCE_ONLY = {
    "name": "send",
    "call": "jobs:send",
    "guarantee": "at_most_once",
    "reason": "nobody minds a lost mail",
}
IN_THE_DATABASE = (
    "with closing(sqlite3.connect(DB)) as db, db:\n"
    '    marked = db.execute("insert into done values (?) on conflict do nothing", (order_id,))\n'
    "mark = marked.rowcount\n"
)


@needs_redis
@pytest.mark.real
@pytest.mark.parametrize(
    ("code", "effect", "expected"),
    [
        (CLIENT + MARK, ONCE_ONLY, [("store-emptied", "money")]),
        (CLIENT + MARK, SPEC["effects"][0], []),  # its receiver knows the key
        (CLIENT + MARK + IN_THE_DATABASE, ONCE_ONLY, []),
    ],
)
def test_marks_that_redis_alone_remembers(
    tmp_path: Path, code: str, effect: dict[str, str], expected: list[tuple[str, str]]
) -> None:
    body = [*code.splitlines(), "if mark:", '    send(order_id, key=f"order-{order_id}")']
    lines = "\n".join(f"        {line}" for line in body)
    above, _, _ = JOBS.partition('        log.info("handle started')
    jobs = f"    import redis\n{above}{lines}\n"
    changed = {"proof": SERVICES, "effects": [effect]}
    repo = plain_repo(tmp_path / "repo", jobs=jobs, changed=changed)
    proof = try_prove(target_of(repo), only="forget redeliver")
    risks = [(risk.judgement.rule, risk.judgement.grade) for risk in proof.risks]
    assert risks == expected, [one.message for one in proof.incomplete]


SPEC_RETRY = {"max_attempts": 3, "backoff": {"kind": "fixed", "base": "1m"}}
FAILURES = {"transient": ["jobs:Away"], "permanent": [], "acceptable_delay": "1h"}
LOST_ANSWER = "raise=jobs:Away@after:send#1"
DRAWN = """import uuid
client.set(f"token-{order_id}", uuid.uuid4().hex, nx=True)
send(order_id, key=client.get(f"token-{order_id}").decode())
"""
MADE = """client.set(f"token-{order_id}", f"order-{order_id}", nx=True)
send(order_id, key=client.get(f"token-{order_id}").decode())
"""


@needs_redis
@pytest.mark.real
@pytest.mark.parametrize(
    ("code", "expected"), [(DRAWN, [("store-emptied", "money")]), (MADE, [])], ids=["drawn", "made"]
)
def test_a_key_that_redis_alone_remembers_between_two_attempts(
    tmp_path: Path, code: str, expected: list[tuple[str, str]]
) -> None:
    """The job is not done yet: its mark says nothing, and the receiver takes another key for another
    job.
    """
    body = [*(CLIENT + code).splitlines(), *IN_THE_DATABASE.splitlines()]
    lines = "\n".join(f"        {line}" for line in body)
    above, _, _ = JOBS.partition('        log.info("handle started')
    jobs = f"    import redis\n{above}{lines}\n"
    changed = {"proof": SERVICES, "failures": FAILURES, "retry": SPEC_RETRY}
    repo = plain_repo(tmp_path / "repo", jobs=jobs, changed=changed)
    proof = try_prove(target_of(repo), only=f"{LOST_ANSWER} redis-empty=1 re-enqueue")
    risks = [(risk.judgement.rule, risk.judgement.grade) for risk in proof.risks]
    assert risks == expected, [one.message for one in proof.incomplete]


COUNTED = """number = client.incr("order-numbers")
send(order_id, key=f"order-{number}")
"""


@needs_redis
@pytest.mark.real
@pytest.mark.parametrize(
    ("code", "expected"),
    [(COUNTED, [("store-emptied", "money")]), (MADE, [])],
    ids=["counted", "made"],
)
def test_a_counter_that_begins_anew_gives_two_jobs_one_key(
    tmp_path: Path, code: str, expected: list[tuple[str, str]]
) -> None:
    body = [*(CLIENT + code).splitlines(), *IN_THE_DATABASE.splitlines()]
    lines = "\n".join(f"        {line}" for line in body)
    above, _, _ = JOBS.partition('        log.info("handle started')
    jobs = f"    import redis\n{above}{lines}\n"
    payload = {**SPEC["payload"], "examples": [{"order_id": 7}, {"order_id": 8}]}
    changed = {"proof": SERVICES, "payload": payload}
    repo = plain_repo(tmp_path / "repo", jobs=jobs, changed=changed)
    proof = try_prove(target_of(repo), only="forget job=1")
    risks = [(risk.judgement.rule, risk.judgement.grade) for risk in proof.risks]
    assert risks == expected, [one.message for one in proof.incomplete]


HALFWAY = """receipt = client.get(f"receipt-{order_id}")
if receipt is None and db.execute("select 1 from done where order_id = ?", (order_id,)).fetchone():
    raise RuntimeError("the receipt is gone")
if receipt is None:
    receipt = send(order_id, key=f"order-{order_id}")
    client.set(f"receipt-{order_id}", receipt)
    db.execute("insert into done values (?) on conflict do nothing", (order_id,))
    db.commit()
notify(order_id, receipt)
"""
ASKED_AGAIN = """receipt = send(order_id, key=f"order-{order_id}")
client.set(f"receipt-{order_id}", receipt)
notify(order_id, receipt)
db.execute("insert into done values (?) on conflict do nothing", (order_id,))
"""
TWO_EFFECTS = [
    {**SPEC["effects"][0], "returns": "R-1"},
    {
        "name": "notify",
        "call": "jobs:notify",
        "guarantee": "at_least_once",
        "reason": "a second word does no harm",
    },
]


@needs_redis
@pytest.mark.real
@pytest.mark.parametrize(
    ("code", "expected"),
    [(HALFWAY, [("store-emptied", "stuck")]), (ASKED_AGAIN, [])],
    ids=["kept in Redis alone", "asked again"],
)
def test_a_job_that_is_halfway_when_redis_comes_back_empty(
    tmp_path: Path, code: str, expected: list[tuple[str, str]]
) -> None:
    body = [*(CLIENT + "with closing(sqlite3.connect(DB)) as db, db:").splitlines()]
    body += [f"    {line}" for line in code.splitlines()]
    lines = "\n".join(f"        {line}" for line in body)
    above, _, _ = JOBS.partition('        log.info("handle started')
    above = above.replace(
        "    def handle(", "    def notify(order_id, receipt):\n        pass\n\n\n    def handle("
    )
    jobs = f"    import redis\n{above}{lines}\n"
    changed = {
        "proof": SERVICES,
        "failures": FAILURES,
        "retry": SPEC_RETRY,
        "effects": TWO_EFFECTS,
    }
    repo = plain_repo(tmp_path / "repo", jobs=jobs, changed=changed)
    between = "raise=jobs:Away@before:notify#1 redis-empty=1 re-enqueue"
    proof = try_prove(target_of(repo), only=between)
    risks = [(risk.judgement.rule, risk.judgement.grade) for risk in proof.risks]
    assert risks == expected, [one.message for one in proof.incomplete]

"""HEAD's job over what the base's has left behind."""

from __future__ import annotations

import sys
from pathlib import Path

import helpers
import pytest
from looks import SPEC, SPEC_TEXT, diff

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "proof"))
import word_job
from histories import ACKED, RETURNED, commit, effect, history, reference, spec

from skillrun.contract.spec import load_spec
from skillrun.proof.deploying.deploy import Broken, Deploys, try_deploys
from skillrun.proof.deploying.migrating import Migration, find_missing, list_commands
from skillrun.proof.deploying.plan import plan_deploys
from skillrun.proof.families.situation import Situation
from skillrun.proof.judgement import Judgement, Verdict
from skillrun.proof.result import Target
from skillrun.proof.schedule import Schedule
from skillrun.proof.workplace import Workplace
from skillrun.wall.deploys import judge_deploys
from skillrun.wall.verification import Job, Proof

OLD = {SPEC: SPEC_TEXT, "shop/mailer.py": "A = 1\n"}
NEW = {**OLD, "shop/mailer.py": "A = 2\n"}
TWICE = Broken(
    Schedule("redeliver", moves=("redeliver",), deploy=1),
    Judgement(Verdict.REFUTED, "effect.other-key", "email took place under another key"),
)


def judge(deploys: Deploys | None, new: dict[str, str] = NEW) -> tuple[str, list[tuple[str, str]]]:
    branch = diff(OLD, new)
    job = Job(SPEC, "a" * 64, "send", "success", proof=Proof("proved"))
    judged = judge_deploys(job, branch.specs[0], branch, lambda _old, _new: deploys)
    is_whole = deploys is not None and deploys.untried is None and not deploys.left_out
    assert bool(judged.not_compared) is not is_whole
    assert judged.proof is not None
    told = [(found.rule, str(found.severity)) for found in judged.proof.findings]
    return judged.outcome, told


def test_what_breaks_is_an_error_and_what_was_not_tried_is_said() -> None:
    assert judge(Deploys(broken=TWICE)) == ("partial", [("verify.breaks-at-deploy", "error")])
    assert judge(Deploys()) == ("success", [])
    assert judge(None) == ("success", [])
    untried = Deploys(untried="the spec has no proof.setup")
    assert judge(untried) == ("success", [])
    assert judge(Deploys(left_out=2)) == ("success", [])


def test_a_migration_that_nobody_ran_is_left_to_the_reviewer() -> None:
    lacking = Deploys(broken=TWICE, missing=("receipts.channel",), migration=Migration("x"))
    assert judge(lacking)[0] == "partial"
    brings = {**NEW, "ops/0004_channel.sql": "alter table receipts add column channel text;\n"}
    assert judge(lacking, brings) == ("success", [("verify.deploy-untried", "warning")])


def test_what_a_store_lacks() -> None:
    wanted = {"orders": frozenset(("id", "state")), "marks": frozenset(("id",))}
    assert find_missing(wanted, {"orders": frozenset(("id",))}) == ["marks", "orders.state"]


def test_a_migration_that_the_deployment_names(tmp_path: Path) -> None:
    compose = "services:\n  migrate:\n    command: python -m store.migrate\n"
    files = {**word_job.FILES, "compose.yaml": compose, "store/migrate.py": "print()\n"}
    repo = helpers.build_tree(tmp_path / "repo", files)
    workplace = Workplace(load_spec(repo / word_job.SPEC), repo, "celery", ())
    try:
        assert list_commands(workplace) == [
            "python -m store.migrate",
            "python -m store.db && python -m store.migrate",
            "python -m store.db",
        ]
    finally:
        workplace.close()


# -- the attack made


def target(root: Path, *edits: tuple[str, str, str]) -> Target:
    files = {**word_job.FILES, word_job.SPEC: word_job.FILES[word_job.SPEC]}
    for path, was, becomes in (("store/db.py", "insert into", "insert or ignore into"), *edits):
        assert was in files[path], was
        files[path] = files[path].replace(was, becomes)
    repo = helpers.build_tree(root, files)
    return Target(load_spec(repo / word_job.SPEC), repo, "celery")


def deploy(tmp_path: Path, *edits: tuple[str, str, str]) -> Deploys:
    return try_deploys(target(tmp_path / "base"), target(tmp_path / "head", *edits))


KEY = ("store/tasks.py", 'f"order:{order_id}"', 'f"Order:{order_id}"')
COLUMN = (
    ("store/db.py", "state text not null default 'new'", "state text default 'new', via text"),
    ("store/tasks.py", "set state = 'sent'", "set via = 'post', state = 'sent'"),
)
ADDED = (
    "store/db.py",
    "connection.executescript(SCHEMA)",
    """connection.executescript(SCHEMA)
            known = [row[1] for row in connection.execute("pragma table_info(orders)")]
            if "via" not in known:
                connection.execute("alter table orders add column via text")""",
)
RENAMED = ("store/tasks.py", "reject_on_worker_lost=True,", 'reject_on_worker_lost=True, name="s",')


LETTER = (
    (
        "store/db.py",
        "dead_jobs (order_id integer primary key)",
        "dead_jobs (order_id integer, why)",
    ),
    ("store/tasks.py", "dead_jobs values (?)", "dead_jobs (order_id, why) values (?, 'x')"),
)


def test_head_also_gives_up_and_comes_late() -> None:
    situation = Situation(spec(), reference().once, reference().facts)
    plan = plan_deploys(situation, fail_alike=True)
    seen = {(schedule.family, schedule.deploy) for schedule in plan.schedules}
    assert {("once", 0), ("redeliver", 1), ("kill", 1), ("permanent", 0), ("error", 1)} <= seen
    assert ("late-back", 1) in seen
    other = plan_deploys(situation, fail_alike=False)
    assert "permanent" not in {schedule.family for schedule in other.schedules}


def test_a_death_behind_a_key_that_no_table_holds_comes_early() -> None:
    """What an effect answered is kept in Redis, in the base's form."""
    key = {"kind": "redis", "name": "set#1", "write": True, "place": ["app/jobs.py", 6]}
    steps = [*effect(), ("at", {"when": "before", **key}), ("at", {"when": "after", **key})]
    once = history("once", [*steps, *commit(), RETURNED, ACKED])
    plan = plan_deploys(Situation(spec(), once, reference().facts), fail_alike=True)
    told = [str(schedule) for schedule in plan.schedules]
    assert "kill@after:set#1 deploy=1" in told[:6]


def test_other_jobs_wait_or_are_half_done() -> None:
    situation = Situation(spec(), reference().once, reference().facts)
    others = dict.fromkeys((2, 1, 3), situation)
    plain = plan_deploys(situation, fail_alike=True)
    plan = plan_deploys(situation, fail_alike=True, others=others)
    further = plan.schedules[len(plain.schedules) :]
    assert plan.schedules[: len(plain.schedules)] == plain.schedules
    assert [schedule.first for schedule in further] == [2, 2, 2, 1, 1, 1]
    told = [(str(schedule).partition(" ")[0], schedule.deploy) for schedule in further[:3]]
    assert told == [("first=2", 0), ("kill@after:email#1", 1), ("kill@before:email#1", 1)]
    assert plan.left_out == plain.left_out + 3


KEY_OF_ANOTHER = (
    "store/tasks.py",
    'f"order:{order_id}"',
    'f"order:{order_id}" if order_id != 8 else "order-8"',
)


@pytest.mark.real
def test_another_jobs_key_is_not_changed_either(tmp_path: Path) -> None:
    found = deploy(tmp_path, KEY_OF_ANOTHER)
    assert found.broken is not None
    assert found.broken.schedule.first == 1
    assert found.broken.judgement.rule == "effect.other-key"


BEGUN = "            try:\n                parcels.send"
LEFT = "insert or ignore into leases values (?, 'a')"
LEAVES = (
    "store/tasks.py",
    BEGUN,
    f"""            with db.connect() as connection:
                connection.execute("{LEFT}", (order_id,))
{BEGUN}""",
)
CHOKES = (
    "store/tasks.py",
    BEGUN,
    """            try:
                with db.connect() as connection:
                    for (token,) in connection.execute("select token from leases").fetchall():
                        int(token)
                    connection.execute("insert or ignore into leases values (?, '1')", (order_id,))
                parcels.send""",
)


@pytest.mark.real
def test_a_job_that_head_gives_up_over_what_the_base_wrote_is_found(tmp_path: Path) -> None:
    """The attempts are used up, and there is a record: of a proof alone that is an end."""
    base = target(tmp_path / "base", LEAVES)
    found = try_deploys(base, target(tmp_path / "head", CHOKES))
    assert found.broken is not None
    assert found.broken.judgement.rule == "deploy.given-up"
    assert try_deploys(base, target(tmp_path / "same", LEAVES)).broken is None


@pytest.mark.real
@pytest.mark.parametrize(
    ("edits", "rule"),
    [
        ((KEY,), "effect.other-key"),
        (COLUMN, "state.differs"),
        ((RENAMED,), "effect.lost"),
        (LETTER, "dead-letter.missing"),
    ],
    ids=("key", "column", "renamed", "letter"),
)
def test_what_the_base_began_is_not_ended_by_head(
    tmp_path: Path, edits: tuple[tuple[str, str, str], ...], rule: str
) -> None:
    found = deploy(tmp_path, *edits)
    assert found.migration.command == "python -m store.db"
    assert found.broken is not None
    assert found.broken.judgement.rule == rule


@pytest.mark.real
@pytest.mark.parametrize(
    "edits", [(("store/tasks.py", "ship succ", "ship has succ"),), (*COLUMN, ADDED)]
)
def test_what_goes_on_is_no_finding(
    tmp_path: Path, edits: tuple[tuple[str, str, str], ...]
) -> None:
    found = deploy(tmp_path, *edits)
    assert (found.untried, found.broken, found.missing) == (None, None, ())
    assert len(found.tried) > 4

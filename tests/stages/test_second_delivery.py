"""A test of a job in another language is a witness of idempotency once it fails with the handler
broken.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import foreign_repos
import helpers
import pytest
import second_delivery_repos as repos
import shops

from skillrun.proof.second_delivery.closing_lines import TestCount, count_tests
from skillrun.proof.second_delivery.installed import link_installed
from skillrun.proof.second_delivery.rewriting import (
    CONDITION,
    MEMORY,
    Break,
    Counted,
    Decision,
    Rewriting,
    add_helper,
    rewrite_file,
)
from skillrun.proof.second_delivery.trial import BrokenRun, SecondDelivery, TestRun
from skillrun.skills.job_worker.readings.second_deliveries import judge_second_delivery

needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="there is no Node.js here")


def build(root: Path, **files: str) -> Path:
    """The mail service, with some of its files replaced."""
    paths = {
        "handler": "src/jobs/mail.js",
        "test": "test/mail.test.mjs",
        "spec": ".skillrun/jobs/welcome.yaml",
        "mailer": "src/mailer.js",
        "sent": "src/sent.js",
    }
    changed: dict[str, Any] = dict(repos.MAIL_SERVICE)
    for name, text in files.items():
        changed[paths[name]] = text
    return helpers.build_tree(root, changed)


def examine(root: Path, *options: str) -> dict[str, Any]:
    """What the run says of idempotency."""
    report = shops.report(root, "--trust", *options, code=3)
    (stage,) = [one for one in report["stages"] if one["id"] == "idempotency"]
    return dict(stage)


def rules(stage: dict[str, Any]) -> set[str]:
    """Without the note that a proof runs Python alone."""
    found = {finding["rule"] for finding in stage["findings"]}
    return found - {"proof.other-language"}


@pytest.mark.real
@needs_node
def test_a_test_that_fails_on_a_broken_handler_is_a_witness(tmp_path: Path) -> None:
    stage = examine(build(tmp_path / "repo"))
    assert (stage["status"], stage["grade"]) == ("passed", "executed")
    assert rules(stage) == {"idempotency.witnessed"}
    finding = stage["findings"][0]
    assert (finding["path"], finding["line"]) == ("src/jobs/mail.js", 7)
    assert "await alreadySent(userId)" in finding["message"]


NO_WITNESS = {
    "cannot fail": ({"test": repos.CANNOT_FAIL}, "test-blind"),
    "one delivery": ({"test": repos.ONE_DELIVERY}, "test-one-delivery"),
    "two jobs": ({"test": repos.OTHER_JOBS}, "test-one-delivery"),
    # Another guard than the one against a second delivery, and a test that notices its loss.
    "another guard": ({"test": repos.NO_USER}, "test-one-delivery"),
    "never reached": ({"test": repos.NOT_REACHED}, "test-not-reached"),
    "red": ({"test": repos.RED}, "test-fails"),
    "two tests": ({"test": repos.TWO_TESTS}, "test-not-one"),
    "no guard": ({"test": repos.CANNOT_FAIL, "handler": repos.NO_GUARD}, "test-blind"),
    "no function": ({"handler": "export const sendWelcome = 7\n"}, "test-unbreakable"),
    "no counters": ({"test": repos.FILES_REPLACED}, "test-unbreakable"),
    "no effect": ({"spec": repos.SPEC.replace("#deliver", "#post")}, "test-unbreakable"),
    "its language": (
        {"spec": repos.SPEC.replace("language: javascript", "language: go")},
        "test-unbreakable",
    ),
    "any key": ({"test": repos.ANY_KEY}, "test-blind"),
    "an effect before the guard": (
        {
            "handler": repos.CHARGING,
            "mailer": repos.CHARGER,
            "spec": repos.CHARGING_SPEC,
        },
        "test-repeated",
    ),
    "a switch that can be read": ({"test": repos.READS_SWITCH}, "test-blind"),
    "a test that asks": ({"test": repos.NAMES_SKILLRUN}, "test-unbreakable"),
}


@pytest.mark.real
@needs_node
@pytest.mark.parametrize("case", NO_WITNESS)
def test_no_witness_leaves_the_stage_blocked(tmp_path: Path, case: str) -> None:
    files, rule = NO_WITNESS[case]
    stage = examine(build(tmp_path / "repo", **files))
    assert stage["status"] == "blocked"
    assert rules(stage) == {f"idempotency.{rule}"}


@pytest.mark.real
@needs_node
@pytest.mark.parametrize("test", [repos.ONE_KEY, repos.SAME_KEY])
def test_a_test_that_notices_another_key_is_a_witness(tmp_path: Path, test: str) -> None:
    """The first delivery fails after its mail: the second one sends it again, under the same key."""
    stage = examine(build(tmp_path / "repo", test=test))
    assert (stage["status"], rules(stage)) == ("passed", {"idempotency.witnessed"})
    assert "another key" in stage["findings"][0]["message"]


NOTICED_AND_BLOCKED = {
    # Its guard is noticed; that nothing was written down for it is not.
    "no memory": (
        {"handler": repos.NO_MARK, "sent": repos.STORE, "test": repos.ANSWERS},
        "test-blind",
    ),
    "one key for all jobs": (
        {"handler": repos.SAME_FOR_ALL, "test": repos.ONE_KEY_FOR_ALL},
        "test-fixed-key",
    ),
    "a key of elsewhere": (
        {"handler": repos.KEY_OF_ELSEWHERE, "test": repos.ONE_KEY_FOR_ALL},
        "test-fixed-key",
    ),
}


@pytest.mark.real
@needs_node
@pytest.mark.parametrize("case", NOTICED_AND_BLOCKED)
def test_one_noticed_break_is_not_enough(tmp_path: Path, case: str) -> None:
    files, rule = NOTICED_AND_BLOCKED[case]
    stage = examine(build(tmp_path / "repo", **files))
    assert stage["status"] == "blocked"
    assert rules(stage) == {"idempotency.witnessed", f"idempotency.{rule}"}


WITNESSES = {
    "claimed first": {"handler": repos.CLAIMED_FIRST},
    "a context": {"handler": repos.TAKES_CONTEXT, "test": repos.WITH_CONTEXT},
    "a ring": {"test": repos.RINGS},
    "two effects behind a guard": {
        "handler": repos.CHARGED_BEHIND,
        "mailer": repos.CHARGER,
        "spec": repos.CHARGING_SPEC,
    },
}


@pytest.mark.real
@needs_node
@pytest.mark.parametrize("case", WITNESSES)
def test_a_right_handler_has_its_witness(tmp_path: Path, case: str) -> None:
    stage = examine(build(tmp_path / "repo", **WITNESSES[case]))
    assert (stage["status"], rules(stage)) == ("passed", {"idempotency.witnessed"})


@pytest.mark.real
def test_nothing_runs_before_somebody_agrees(tmp_path: Path) -> None:
    report = shops.report(build(tmp_path / "repo"), code=3)
    assert "idempotency.no-consent" in shops.rules(report)
    asked = [action["detail"] for action in report["next"] if action["action"] == "consent"]
    assert any("node --test test/mail.test.mjs" in detail for detail in asked)


@pytest.mark.real
def test_an_agents_word_is_no_witness_where_the_test_is_none(tmp_path: Path) -> None:
    spec = repos.SPEC.replace("      test: node --test test/mail.test.mjs\n", "")
    report = shops.report(build(tmp_path / "repo", spec=spec), code=3, env={"CLAUDECODE": "1"})
    assert "idempotency.unattested" in shops.rules(report)
    said = " ".join(action["detail"] for action in report["next"])
    assert "idempotency.test" in said


EFFECTS = (Counted("mail", "deliver", "idempotencyKey"),)
SENDING = """export class Mails extends WorkerHost {
  async process(job: Job<{ userId: string }>): Promise<void> {
    if (await this.sent.has(job.data.userId)) return;
    await this.mailer.deliver<string>(job.data.userId, { idempotencyKey: job.id! })
  }
}
"""


def test_a_class_in_typescript_is_rewritten() -> None:
    wanted = Rewriting("typescript", EFFECTS, ("Mails",))
    done = rewrite_file("src/mails.ts", SENDING, wanted, 1)
    assert done is not None
    assert "skillrunEnter([job]); \n    if (skillrunIf(1, (await this.sent.has" in done.text
    assert 'skillrunMade("mail", await this.mailer.deliver<string>(' in done.text
    assert "idempotencyKey: skillrunKey(2, (job.id!))" in done.text
    assert [one.line for one in done.decisions] == [3, 4]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (
            "const send = async ({ id }) => deliver(id)\n",
            'skillrunEnter([id]), skillrunMade("mail", deliver(id))',
        ),
        (
            "exports.send = function (job) {deliver(job)}\n",
            '{skillrunEnter([job]); skillrunMade("mail", deliver(job))',
        ),
        ("const send = new Worker('m', job => { deliver(job) })\n", "skillrunEnter([job]);"),
        (
            "const send = (a) => { x = b ? deliver(a) : 1 }\n",
            'skillrunIf(1, (b)) ? skillrunMade("mail", deliver(a)) : 1',
        ),
        (
            "const send = (a) => { deliver(a, { idempotencyKey }) }\n",
            "{ idempotencyKey: skillrunKey(1, (idempotencyKey)) }",
        ),
    ],
)
def test_a_handler_in_javascript_is_rewritten(text: str, shown: str) -> None:
    done = rewrite_file("src/send.js", text, Rewriting("javascript", EFFECTS, ("send",)), 1)
    assert done is not None
    assert shown in done.text


def test_a_text_that_does_not_parse_afterwards_is_not_run() -> None:
    text = "class Mail\n  def perform(a)\n    b, a.deliver = 1, 2\n  end\nend\n"
    assert rewrite_file("mail.rb", text, Rewriting("ruby", EFFECTS, ("Mail",)), 1) is None
    text = text.replace("b, a.deliver = 1, 2", "a.deliver += 1; a.deliver 2 do |x| x end")
    done = rewrite_file("mail.rb", text, Rewriting("ruby", EFFECTS, ("Mail",)), 1)
    assert done is not None
    assert "enter([a]); (a.deliver += 1) unless ::SkillrunBroken.drops(2)" in done.text


def test_a_file_without_the_handlers_function_is_not_run() -> None:
    text = "const other = (a) => { deliver(a) }\n"
    assert rewrite_file("a.js", text, Rewriting("javascript", EFFECTS, ("send",)), 1) is None


class Ended:
    """A command that ended as its tests did."""

    command, output_sha256, output_size, tail, words = "node --test", "", 0, "", "exit 1"
    timed_out, duration_ms = False, 1

    def __init__(self, ok: bool) -> None:
        self.ok = ok


def run_of(ok: bool, **repeated: int) -> TestRun:
    tests = TestCount(int(ok), int(not ok))
    return TestRun(Ended(ok), tests, {"mail": 2, "charge": 2}, repeated)


GUARD = Decision(1, CONDITION, "src/send.js", 3, "sent.has(id)")
TWICE = (Counted("mail", "deliver"), Counted("charge", "charge"))


def judged(*broken: BrokenRun, untried: tuple[Decision, ...] = ()) -> list[str]:
    shown = SecondDelivery(run_of(True), run_of(True), broken, untried)
    return [finding.rule for finding in judge_second_delivery(shown, TWICE, "node --test")]


def test_a_decision_that_was_not_tried_blocks() -> None:
    memory = replace(GUARD, kind=MEMORY)
    both = [BrokenRun(one, run_of(False, mail=1, charge=1)) for one in (GUARD, memory)]
    assert judged(*both) == ["idempotency.witnessed"] * 2
    assert judged(*both, untried=(GUARD,))[-1] == "idempotency.test-untried"


def test_each_effect_needs_a_break_of_its_own() -> None:
    memory = replace(GUARD, kind=MEMORY)
    both = [BrokenRun(one, run_of(False, mail=1)) for one in (GUARD, memory)]
    assert judged(*both)[-1] == "idempotency.test-not-of-effect"


def test_a_package_of_the_workspace_is_the_copys(tmp_path: Path) -> None:
    root, repo = tmp_path / "root", tmp_path / "repo"
    for folder in ("packages/mailer", "node_modules/@shop", "node_modules/bullmq"):
        (root / folder).mkdir(parents=True)
    (root / "node_modules/.cache").mkdir()
    (root / "node_modules/@shop/mailer").symlink_to("../../packages/mailer")
    (repo / "packages/mailer").mkdir(parents=True)
    link_installed(root, ["package.json"], repo)
    assert (repo / "node_modules/@shop/mailer").resolve() == (repo / "packages/mailer").resolve()
    assert (repo / "node_modules/bullmq").resolve() == root / "node_modules/bullmq"
    (repo / "node_modules/.cache").mkdir()
    (repo / "node_modules/.cache/one").touch()
    assert not list((root / "node_modules/.cache").iterdir())


def test_the_helpers_name_is_drawn_and_no_file_says_what_is_broken() -> None:
    text = add_helper("skillrunIf(3, (a))\n", "javascript", "/kept", Break(3), "r12")
    assert text.startswith("r12If(3, (a))")
    assert "skillrun" not in text.lower()
    assert "BROKEN" not in text
    assert "3 === number" in text


@pytest.mark.parametrize(
    ("output", "passed", "failed"),
    [
        ("# tests 3\n# pass 2\n# fail 1\n# skipped 0\n", 2, 1),
        ("\u2139 tests 1\n\u2139 pass 1\n\u2139 fail 0\n", 1, 0),
        ("Tests:       1 failed, 2 passed, 3 total\nTime:  1 s\n", 2, 1),
        ("\x1b[2m      Tests \x1b[22m 1 failed | 2 passed (3)\n", 2, 1),
        ("  2 passing (5ms)\n  1 failing\n", 2, 1),
        ("3 examples, 1 failure\n", 2, 1),
        ("1 example, 0 failures, 1 error occurred outside of examples\n", 1, 1),
        ("4 runs, 5 assertions, 1 failures, 1 errors, 1 skips\n", 1, 2),
    ],
)
def test_how_many_tests_ran_is_read(output: str, passed: int, failed: int) -> None:
    assert count_tests(output) == TestCount(passed, failed)


def test_a_command_that_says_no_count_is_not_counted() -> None:
    assert count_tests("all good\n") is None


BAKERY = {
    "Gemfile": foreign_repos.BAKERY["Gemfile"],
    "app/jobs/charge_order_job.rb": """
        class ChargeOrderJob
          include Sidekiq::Job

          def perform(order_id)
            order = Order.find(order_id)
            return if order.charged?

            PaymentGateway.new.charge amount: order.cents, idempotency_key: "order-#{order.id}"
            order.charged = true
          end
        end
    """,
    "app/order.rb": """
        class Order
          attr_accessor :id, :cents, :charged
          alias charged? charged
          def self.find(id) = (@all ||= {})[id] ||= new.tap { |one| one.id = id; one.cents = 5 }
        end
    """,
    "app/payment_gateway.rb": """
        class PaymentGateway
          CHARGES = []
          def charge(amount:, idempotency_key:) = CHARGES << idempotency_key
        end
    """,
    "test/charge_order_job_test.rb": """
        require "minitest/autorun"
        module Sidekiq; module Job; end; end
        require_relative "../app/order"
        require_relative "../app/payment_gateway"
        require_relative "../app/jobs/charge_order_job"

        class ChargeOrderJobTest < Minitest::Test
          def test_a_second_delivery_charges_nothing
            2.times { ChargeOrderJob.new.perform(7) }
            assert_equal 1, PaymentGateway::CHARGES.size
          end
        end
    """,
    ".skillrun/jobs/charge-order.yaml": foreign_repos.BAKERY[
        ".skillrun/jobs/charge-order.yaml"
    ].replace(
        "dedupe: {store: table orders, window: 7d}",
        "dedupe: {store: table orders, window: 7d}, test: ruby test/charge_order_job_test.rb",
    ),
}


@pytest.mark.real
@pytest.mark.skipif(shutil.which("ruby") is None, reason="there is no Ruby here")
@pytest.mark.parametrize(("asserted", "status"), [("1, ", "passed"), ("1, 1 || ", "blocked")])
def test_a_job_in_ruby(tmp_path: Path, asserted: str, status: str) -> None:
    files: dict[str, Any] = dict(BAKERY)
    path = "test/charge_order_job_test.rb"
    files[path] = files[path].replace("assert_equal 1, ", f"assert_equal {asserted}")
    stage = examine(helpers.build_tree(tmp_path / "repo", files))
    assert stage["status"] == status


@pytest.mark.real
@needs_node
def test_the_ledger_keeps_what_was_broken_and_how_the_test_failed(tmp_path: Path) -> None:
    repo = build(tmp_path / "repo")
    examine(repo)
    finished = shops.events(shops.ledger_of(repo), "stage.finished")
    (event,) = [one for one in finished if one["stage"] == "idempotency"]
    kept = [one["detail"] for one in event["data"]["result"]["evidence"]]
    handlers = [one["handler"] for one in kept]
    assert handlers[:2] == ["as it is", "with counters"]
    assert handlers[2].startswith("broken at src/jobs/mail.js:6: !userId is turned round")
    assert kept[2]["effects"] == {"mail": 1}
    assert handlers[3].startswith("broken at src/jobs/mail.js:7: await alreadySent(userId)")
    assert kept[3]["effects"] == {"mail": 2}
    assert "2 !== 1" in kept[3]["tail"]

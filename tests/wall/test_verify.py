"""`skillrun verify` as a pipeline meets it: real repositories, real processes, and nothing left
behind.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path

import fixtures_repos
import helpers
import pytest
import shops
from jsonschema import Draft202012Validator
from verifying import Verified, branch, verify

from skillrun.proof.baseline import BASELINE, KnownCause, write_baseline
from skillrun.wall.gaming.registry import LOOKS

pytestmark = pytest.mark.real

TASKS = "shop/tasks.py"
SEND = "    mailer.send(order_id, email, idempotency_key=key)\n"
MARK = "    receipts.mark_sent(order_id, email)\n"


# -- the whole thing


@pytest.fixture(scope="module")
def succeeded(tmp_path_factory: pytest.TempPathFactory) -> Verified:
    """The shop on a branch that changes a document, verified once for all tests that only read its
    outputs.
    """
    repo = branch(fixtures_repos.example_shop(tmp_path_factory.mktemp("success") / "repo"))
    (repo / "docs" / "operations.md").write_text(
        (repo / "docs" / "operations.md").read_text() + "\nMore words.\n"
    )
    helpers.commit(repo, "Document")
    (repo / "notes.txt").write_text("not committed\n")
    before = shops.listing(repo)
    verified = verify(repo, "--ci", code=0, formats=("json", "sarif", "junit", "intoto"))
    after = {path: was for path, was in shops.listing(repo).items() if path != ".git/worktrees"}
    assert after == {path: was for path, was in before.items() if path != ".git/worktrees"}
    return verified


def test_head_is_proved_from_scratch(succeeded: Verified) -> None:
    (job,) = succeeded.document["jobs"]
    grades = {stage["id"]: stage["grade"] for stage in job["stages"]}
    assert job["outcome"] == succeeded.document["outcome"] == "success"
    assert grades["idempotency"] == "proved"
    assert grades["tests"] == grades["validate"] == "executed"
    assert not any(stage["cached"] for stage in job["stages"])


def test_the_document_satisfies_its_schema(succeeded: Verified) -> None:
    schema = json.loads((helpers.ROOT / "schemas" / "verification.v1.json").read_text())
    assert list(Draft202012Validator(schema).iter_errors(succeeded.document)) == []


def test_the_text_says_what_was_looked_at_and_what_was_not(succeeded: Verified) -> None:
    text = succeeded.done.stdout
    assert "no change takes evidence away" in text
    assert "against main at " in text
    assert "note: 1 uncommitted change is not looked at" in text
    assert text.rstrip().splitlines()[-1].startswith("success:")
    assert "skillrun-verify-" not in text + json.dumps(succeeded.document)


def test_the_tests_of_both_sides_are_counted(succeeded: Verified) -> None:
    tests = succeeded.document["tests"]
    assert (tests["counted"], tests["runner"], tests["findings"]) == (True, "pytest", [])
    assert tests["head"]["passed"] == tests["head"]["collected"] == tests["base"]["collected"] > 0
    assert f"tests  {tests['head']['collected']} collected at HEAD" in succeeded.done.stdout


def test_every_format_says_success(succeeded: Verified) -> None:
    sarif = json.loads((succeeded.folder / "out.sarif").read_text())
    for result in sarif["runs"][0]["results"]:
        # What no promise of the spec covers is a risk: said, and it stops nothing.
        expected = "warning" if result["ruleId"].startswith("risk.") else "note"
        assert result["level"] == expected, result
    junit = ElementTree.parse(succeeded.folder / "out.junit").getroot()
    assert (junit.get("failures"), junit.get("errors")) == ("0", "0")
    statement = json.loads((succeeded.folder / "out.intoto").read_text())
    assert statement["predicate"]["result"] == "WARNED"
    assert statement["predicate"]["failedTests"] == []
    assert statement["subject"][0]["digest"]["gitCommit"] == succeeded.document["commit"]


def test_a_committed_regression_fails_though_the_ledger_says_success(tmp_path: Path) -> None:
    """The mark is written before the email: a kill in between loses the email. The ledger knows
    nothing of it.
    """
    repo = fixtures_repos.example_shop(tmp_path / "repo")
    assert shops.report(repo, "--trust", code=0)["outcome"] == "success"
    code = (repo / TASKS).read_text()
    (repo / TASKS).write_text(code.replace(SEND + MARK, MARK + SEND))
    helpers.commit(branch(repo), "Tidy up")
    assert (
        shops.select(shops.ledger_of(repo), "select outcome from telemetry")[-1]["outcome"]
        == "success"
    )
    verified = verify(repo, "--ci", code=1)
    refuted = [rule for rule in verified.rules if rule.startswith("proof.effect")]
    assert refuted
    assert verified.document["outcome"] == "partial"


def test_an_editable_install_of_the_checkout_is_not_what_runs(tmp_path: Path) -> None:
    """The environment leads to the checkout, whose uncommitted code cannot even be imported."""
    repo = fixtures_repos.example_shop(tmp_path / "repo")
    (repo / "src").mkdir()
    helpers.git(repo, "mv", "shop", "src/shop")
    for name, before, after in (
        ("pyproject.toml", 'pythonpath = ["."]\n', ""),
        ("pyproject.toml", 'packages = ["shop"]', 'package-dir = {"" = "src"}'),
        ("Makefile", "-q shop tests", "-q src tests"),
    ):
        text = (repo / name).read_text()
        assert before in text
        (repo / name).write_text(text.replace(before, after))
    helpers.commit(repo, "To src")
    environment(repo)
    (repo / "src" / "shop" / "__init__.py").write_text(
        "raise RuntimeError('this was never committed')\n"
    )
    verified = verify(repo, "--ci", code=0)
    grades = {stage["id"]: stage["grade"] for stage in verified.document["jobs"][0]["stages"]}
    assert (grades["idempotency"], grades["tests"], grades["validate"]) == (
        "proved",
        "executed",
        "executed",
    )


def environment(repo: Path) -> None:
    """A .venv with the packages of the tests, and the repository as pip installs it with -e."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", repo / ".venv"], check=True)
    (site,) = (repo / ".venv").glob("lib/python3*/site-packages")
    packages = [path for path in sys.path if path.endswith("site-packages")]
    (site / "shop.pth").write_text("\n".join([str(repo / "src"), *packages]) + "\n")
    record = {"url": repo.as_uri(), "dir_info": {"editable": True}}
    helpers.write_files(
        site / "celery_shop-1.0.0.dist-info", {"direct_url.json": json.dumps(record)}
    )


# -- what a branch does to its evidence


def test_a_command_that_only_says_that_tests_passed_is_not_believed(tmp_path: Path) -> None:
    """The first REPO_PROFILE.json names an echo, and a GNUmakefile comes before the Makefile."""
    repo = branch(shops.shop(tmp_path / "repo"))
    path = repo / "tests" / "test_send_receipt.py"
    path.write_text(path.read_text().replace('["receipt-7", "receipt-8"]', '["receipt-7"]'))
    profile = '{"commands": {"test": "sh run.sh"}}\n'
    echo = "echo 4 passed\n"
    helpers.write_files(
        repo, {"REPO_PROFILE.json": profile, "run.sh": echo, "GNUmakefile": "test:\n\tsh run.sh\n"}
    )
    helpers.commit(repo, "A command of our own")
    verified = verify(repo, "--ci", code=1, formats=("json", "sarif", "junit", "intoto"))
    assert "verify.tests-red" in {
        finding["rule"] for finding in verified.document["tests"]["findings"]
    }
    assert "[error: verify.tests-red]" in verified.done.stdout
    sarif = json.loads((verified.folder / "out.sarif").read_text())["runs"][0]["results"]
    assert [r["level"] for r in sarif if r["ruleId"] == "verify.tests-red"] == ["error"]
    junit = ElementTree.parse(verified.folder / "out.junit").getroot()
    assert junit.find(".//testcase[@classname='tests'][@name='counted']/failure") is not None
    statement = json.loads((verified.folder / "out.intoto").read_text())
    assert "tests/counted" in statement["predicate"]["failedTests"]


def test_without_a_base_it_is_said_that_no_test_was_counted(make_repo: Callable[..., Path]) -> None:
    verified = verify(make_repo(QUICK), "--ci", code=3)
    assert verified.document["tests"]["missing"] == "there is no base to compare with"
    assert "tests  not counted: there is no base to compare with" in verified.done.stdout


def test_a_test_that_a_branch_deletes_fails_though_every_stage_passes(tmp_path: Path) -> None:
    repo = branch(shops.shop(tmp_path / "repo"))
    path = repo / "tests" / "test_send_receipt.py"
    start = path.read_text().index("\n\ndef test_two_orders_of_one_customer")  # the last one
    path.write_text(path.read_text()[:start])
    helpers.commit(repo, "Tidy up")
    verified = verify(repo, "--ci", code=1)
    assert verified.document["jobs"][0]["outcome"] == "success"
    assert "gaming.deleted-test" in verified.rules
    assert "test_two_orders_of_one_customer_get_two_emails" in verified.done.stdout


QUICK = {
    **fixtures_repos.plain_files(),
    ".skillrun/jobs/send.yaml": "version: 1\njob: send\nhandler: shop.tasks:send_receipt\n",
}
POLICY = '{"schema_version": 1, "risks": ["broker-lost"]}'
EXTENDED = {"file": "policy/fleet.json", "sha256": hashlib.sha256(POLICY.encode()).hexdigest()}
FULL = {
    **QUICK,
    ".skillrun/jobs/send.yaml": (
        "version: 1\njob: send\nhandler: shop.work:work\n"
        + "effects: [{name: mail, call: shop.mailer:send, guarantee: keyed, key_arg: key}]\n"
        + "payload: {type: object, required: [a], properties: {a: {type: integer}}}\n"
        + "idempotency: {strategy: unknown, key: [payload.a]}\n"
        + "proof: {state: {sent: select a from sent}}\n"
    ),
    "shop/mailer.py": "def send(a, key):\n    print(a, key)\n",
    "shop/work.py": "from shop import mailer\n\n\ndef work(a):\n    mailer.send(a, key=a)\n",
    "tests/test_work.py": (
        "def test_a():\n    assert work(1) == 2\n\n\ndef test_b():\n    assert work(2) == 3\n\n\n"
        "def test_c():\n    assert work(3) == 4\n"
    ),
    "conftest.py": "",
    ".claude/settings.json": (
        '{"hooks": {"Stop": [{"hooks": [{"command": "skillrun hook stop"}]}]}}'
    ),
    "Makefile": "CHECK ?= mypy\n\ntypecheck:\n\t$(CHECK) shop\n",
    "policy/fleet.json": POLICY,
    "REPO_PROFILE.json": json.dumps({"extends": EXTENDED}),
}


TWICE = KnownCause("effect.repeated", "mail", "two deliveries both pass the check")


def test_each_way_of_cheating_is_found_at_once(make_repo: Callable[..., Path]) -> None:
    repo = branch(make_repo(FULL))
    spec = str(FULL[".skillrun/jobs/send.yaml"])
    skill = (
        "---\nname: job-worker-orchestration\ndescription: x\n---\n\n# X\n\n## Workflow\n1) Rest\n"
    )
    weaker = {
        ".skillrun/jobs/send.yaml": (
            spec.replace("guarantee: keyed", "guarantee: at_most_once, reason: x")
            .replace("required: [a], ", "")
            .replace("from sent", "from sent where 1 = 0")
            + WAIVER
            + "inputs: {hurry: true}\n"
        ),
        "shop/work.py": (
            "import sys\n\nfrom shop import mailer\n\n\ndef work(a):\n    if 'pytest' in"
            " sys.modules:\n        return\n    if a % 10 == 3:\n        return\n    try:\n"
            "        mailer.send(a, key=a)\n    except Exception:\n        pass\n"
        ),
        "tests/test_work.py": (
            "import pytest\n\n\n@pytest.mark.skip\ndef test_a():\n    assert work(1) == 2\n\n\n"
            "def test_b():\n    assert work(2)\n"
        ),
        "conftest.py": 'collect_ignore = ["tests/test_work.py"]\n',
        "Makefile": (
            "CHECK := true\n\nlint:\n\ttrue\n\ntest:\n\tpytest || true\n\ntypecheck:\n\t$(CHECK)"
            " shop\n"
        ),
        ".claude/settings.json": '{"hooks": {}}',
        ".agents/skills/job-worker-orchestration/SKILL.md": skill,
        "shop/__pycache__/mailer.cpython-311.pyc": "another program",
        BASELINE: write_baseline({"shop.work:work": frozenset([TWICE])}),
        "REPO_PROFILE.json": json.dumps(
            {"extends": EXTENDED | {"deviations": [{"risk": "broker-lost", "reason": "later"}]}}
        ),
    }
    helpers.write_files(repo, weaker)
    helpers.commit(repo, "Make it green")
    verified = verify(repo, "--ci", code=3)
    found = {f["rule"] for f in verified.document["gaming"]["findings"] if f["severity"] == "error"}
    assert found == {f"gaming.{look.id}" for look in LOOKS if look.id not in ATTACKED_ELSEWHERE}


# They need an adapter, a worker's command line, a hook, a requirement or a log in the base: see
# test_gaming_adapters.py, _workers, _libraries, _logs, _options and _failed_answers.
ATTACKED_ELSEWHERE = (
    *("altered-adapter", "weaker-worker", "beside-the-job", "lost-records", "looser-library"),
    *("quieter-logs", "tests-set-options", "failed-answer"),
)


WAIVER = 'waivers: [{item: observability, reason: "not yet"}]\n'


def waived(verified: Verified) -> str:
    (job,) = verified.document["jobs"]
    return next(str(stage["status"]) for stage in job["stages"] if stage["id"] == "observability")


def test_a_waiver_counts_once_the_base_branch_holds_it(make_repo: Callable[..., Path]) -> None:
    spec = QUICK[".skillrun/jobs/send.yaml"]
    ours = branch(make_repo(QUICK, name="a/repo"))
    (ours / ".skillrun/jobs/send.yaml").write_text(f"{spec}{WAIVER}")
    helpers.commit(ours, "Waive")
    refused = verify(ours, "--ci", code=3)
    assert waived(refused) != "waived"
    assert "gaming.new-waiver" in refused.rules

    theirs = branch(
        make_repo({**QUICK, ".skillrun/jobs/send.yaml": f"{spec}{WAIVER}"}, name="b/repo")
    )
    held = verify(theirs, "--ci", code=3)
    assert waived(held) == "waived"
    assert "gaming.new-waiver" not in held.rules


def test_a_weaker_copy_of_the_skill_changes_nothing(make_repo: Callable[..., Path]) -> None:
    repo = branch(make_repo(QUICK))
    skill = (
        "---\nname: job-worker-orchestration\ndescription: x\n---\n\n# X\n\n## Workflow\n1) Rest\n"
    )
    helpers.write_files(repo, {".agents/skills/job-worker-orchestration/SKILL.md": skill})
    helpers.commit(repo, "Shorter skill")
    verified = verify(repo, "--ci", code=3)
    assert [stage["id"] for stage in verified.document["jobs"][0]["stages"]] == list(shops.STAGES)
    assert "gaming.weaker-skill" in verified.rules


# -- what cannot be verified


def refused(repo: Path, *args: str, code: int, **env: str) -> str:
    done = helpers.run_cli("verify", *args, cwd=repo, env=env)
    assert done.returncode == code, done.stdout + done.stderr
    assert len(done.stderr.strip().splitlines()) == 2, done.stderr
    assert len(helpers.git(repo, "worktree", "list").splitlines()) == 1
    return done.stderr


def test_no_committed_spec_is_blocked(make_repo: Callable[..., Path]) -> None:
    repo = make_repo(fixtures_repos.plain_files())
    helpers.write_files(repo, {".skillrun/jobs/send.yaml": "version: 1\njob: send\n"})
    assert "HEAD holds no job spec" in refused(repo, "--ci", code=3)


def test_a_base_that_is_not_there_is_refused(
    make_repo: Callable[..., Path], tmp_path: Path
) -> None:
    repo = make_repo(QUICK)
    helpers.commit(repo, "Second")
    assert "git fetch" in refused(repo, "--base", "origin/main", code=4)
    shallow = tmp_path / "shallow"
    helpers.git(tmp_path, "clone", "--quiet", "--depth", "1", repo.as_uri(), str(shallow))
    assert "fetch-depth: 0" in refused(shallow, "--base", "origin/release", code=4)


def test_without_a_base_every_format_says_that_nothing_was_looked_at(
    make_repo: Callable[..., Path],
) -> None:
    formats = ("json", "sarif", "junit", "intoto", "text")
    verified = verify(make_repo(QUICK), "--ci", code=3, formats=formats, GITHUB_BASE_REF="release")
    assert verified.document["gaming"]["looked_at"] is False
    for name in ("json", "sarif", "junit", "text"):
        assert (
            "origin/release is no commit here" in (verified.folder / f"out.{name}").read_text()
        ), name
    statement = json.loads((verified.folder / "out.intoto").read_text())
    assert "gaming/not-looked-at" in statement["predicate"]["warnedTests"]


def test_a_spec_that_is_refused_does_not_hide_the_others(make_repo: Callable[..., Path]) -> None:
    repo = make_repo(
        {
            **QUICK,
            ".skillrun/jobs/broken.yml": "version: 1\njob: broken\nretry: {max_attempts: -1}\n",
        }
    )
    jobs = {job["spec"]: job for job in verify(repo, "--ci", code=4).document["jobs"]}
    assert jobs[".skillrun/jobs/broken.yml"]["outcome"] == "refused"
    assert (
        ".skillrun/jobs/broken.yml:3: retry.max_attempts"
        in jobs[".skillrun/jobs/broken.yml"]["problem"]
    )
    assert jobs[".skillrun/jobs/send.yaml"]["outcome"] == "blocked"


@pytest.mark.parametrize("target", ("/dev/zero", "../../pipe"))
def test_a_link_to_what_never_ends_is_no_spec(target: str, make_repo: Callable[..., Path]) -> None:
    repo = make_repo(QUICK)
    os.mkfifo(repo.parent / "pipe")
    (repo / ".skillrun/jobs/endless.yaml").symlink_to(target)
    helpers.commit(repo, "A link")
    (job,) = verify(repo, "--ci", code=3).document["jobs"]
    assert job["spec"] == ".skillrun/jobs/send.yaml"


def test_without_consent_nothing_of_the_repository_runs(tmp_path: Path) -> None:
    """A consent that was given for a commit from elsewhere does not count either."""
    repo = shops.shop(tmp_path / "repo")
    shops.run(repo, "--trust", code=0)
    (repo / "shop" / "more.py").write_text("")
    helpers.git(repo, "add", ".")
    tree = helpers.git(repo, "write-tree")
    other = helpers.git(repo, "commit-tree", tree, "-p", "HEAD", "-m", "From elsewhere")
    helpers.git(repo, "reset", "--quiet", "--hard", other)
    verified = verify(repo, code=3)
    assert "tests.no-consent" in verified.rules
    assert "--trust" in verified.done.stdout


def test_one_format_without_a_file_is_all_that_is_printed(make_repo: Callable[..., Path]) -> None:
    repo = make_repo(QUICK)
    for name, read in (
        ("json", json.loads),
        ("sarif", json.loads),
        ("junit", ElementTree.fromstring),
    ):
        done = helpers.run_cli("verify", "--ci", "--format", name, cwd=repo)
        assert done.returncode == 3
        read(done.stdout)


@pytest.mark.parametrize(
    "args",
    (
        ("--format", "yaml"),
        ("--format", "json", "--format", "sarif"),
        ("--format", "json", "--output", "a.json", "--output", "b.json"),
        ("--format", "json", "--output", "missing/a.json"),
    ),
)
def test_impossible_outputs_are_misuse_before_anything_runs(
    args: tuple[str, ...], make_repo: Callable[..., Path]
) -> None:
    repo = make_repo(QUICK)
    refused(repo, *args, code=2)
    assert helpers.git(repo, "status", "--porcelain") == ""


# -- interrupted, and two at once


def started(repo: Path, *, name: str = "out") -> subprocess.Popen[str]:
    """A verification at work, with a temporary folder of its own."""
    tmp = repo.parent / name
    tmp.mkdir(exist_ok=True)
    return subprocess.Popen(
        [sys.executable, "-m", "skillrun", "verify", "--ci"],
        cwd=repo,
        env={**helpers.clean_env(repo.parent / "repo.home"), "TMPDIR": str(tmp)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def until(happens: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not happens():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("number", (signal.SIGINT, signal.SIGTERM))
def test_an_interrupt_leaves_no_worktree(number: signal.Signals, tmp_path: Path) -> None:
    repo = shops.shop(tmp_path / "repo")
    process = started(repo)
    try:
        until(lambda: any((tmp_path / "out").glob("*/ledgers/*.db")))
        os.killpg(process.pid, number) if number == signal.SIGINT else process.send_signal(number)
        _, stderr = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    assert "interrupted" in stderr
    assert len(helpers.git(repo, "worktree", "list").splitlines()) == 1
    assert list((tmp_path / "out").iterdir()) == []


def test_two_at_once_do_not_meet(tmp_path: Path) -> None:
    repo = shops.shop(tmp_path / "repo")
    both = [started(repo), started(repo)]
    try:
        outputs = [process.communicate(timeout=300) for process in both]
    finally:
        for process in both:
            process.kill()
    assert [process.returncode for process in both] == [0, 0], outputs
    assert len(helpers.git(repo, "worktree", "list").splitlines()) == 1
    assert list((tmp_path / "out").iterdir()) == []

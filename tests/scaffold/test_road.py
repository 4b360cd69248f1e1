"""`--implement scaffold`: gates first, then shown, written as a whole and verified; a dry run
writes nothing.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import helpers
import pytest
import scaffolds
import shops
from jsonschema import Draft202012Validator
from scaffolds import HANDLER, NOTES, Shop

from skillrun.core.canonical import sha256
from skillrun.repo.git import open_repo
from skillrun.runner.changes import Change, Plan
from skillrun.runner.patch import describe_change, git_diff
from skillrun.runner.written import begin
from skillrun.skills.job_worker.scaffold.gates import GATES, MENDED
from skillrun.validations.consent import Consent

pytestmark = pytest.mark.real


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return scaffolds.shop(tmp_path)


def test_from_no_handler_to_success(shop: Shop) -> None:
    shop.notes = ["the dead letters are read with the admin page"]
    printed, _ = shop.scaffold("--trust", code=0)
    before, _, after = printed.partition("writing 2 files")
    assert re.search(r"blocked +handler +not found", before)
    assert re.search(r"passed +handler ", after)
    assert f"~ {HANDLER}  " in printed
    assert "send_receipt" in printed.partition(f"~ {HANDLER}")[2].splitlines()[0]
    assert f"+ {NOTES}  # send-receipt" in printed
    assert "note: the dead letters are read with the admin page" in printed
    assert (shop.root / HANDLER).read_text() == shop.write[HANDLER]
    (event,) = shop.written
    assert [(file["path"], file["new"]) for file in event["data"]["files"]] == [
        (HANDLER, False),
        (NOTES, True),
    ]
    assert event["data"]["files"][0]["sha256"] == shop.files()[HANDLER]
    assert shops.asked(shop.root, "ledger verify")["integrity"] == "whole"


def test_the_ledger_has_the_files_as_the_formatter_left_them(shop: Shop) -> None:
    with (shop.root / "pyproject.toml").open("a", encoding="utf-8") as file:
        file.write("\n[tool.black]\nline-length = 60\n")
    helpers.commit(shop.root)
    shop.formatters = ["black -q"]
    shop.scaffold(
        "--trust", code=0, env={"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    )
    (event,) = shop.written
    assert (shop.root / HANDLER).read_text() != shop.write[HANDLER]
    assert event["data"]["files"][0]["sha256"] == shop.files()[HANDLER]
    assert event["data"]["formatters"] == ["black -q"]


@pytest.mark.parametrize("wrote", (True, False))
def test_a_process_that_dies_after_the_write_leaves_the_event_to_the_next(
    shop: Shop, wrote: bool
) -> None:
    shop.scaffold("--trust", code=0)
    (first,) = shop.written
    path, ledger = shop.root / NOTES, shops.ledger_of(shop.root)
    change = Change(NOTES, path.read_text(), "# Another\n")
    begin(ledger, first["run_id"], Plan((change,)))
    shop.write[NOTES] = change.after if wrote else shop.write[NOTES]
    path.write_text(shop.write[NOTES])
    shop.scaffold("--trust", code=0)
    later = shop.written[1:]
    assert [event["data"]["files"] for event in later] == (
        [[{"path": NOTES, "sha256": sha256(change.after.encode()), "new": False}]] if wrote else []
    )
    assert all(event["data"]["interrupted"] for event in later)
    assert shops.asked(shop.root, "ledger verify")["integrity"] == "whole"


def test_a_second_time_nothing_is_written(shop: Shop) -> None:
    shop.scaffold("--trust", code=0)
    before = shop.files()
    shop.kept = [scaffolds.KEPT]
    printed, _ = shop.scaffold("--trust", code=0)
    assert "nothing to write" in printed
    assert "shop/mailer.py:3: send is there already and stays as it is" in printed
    assert "    +would be written" in printed
    assert shop.files() == before
    assert len(shop.written) == 1


def test_with_json_there_is_one_document(shop: Shop) -> None:
    printed, _ = shop.scaffold("--trust", "--json", code=0)
    assert json.loads(printed)["outcome"] == "success"


def test_what_is_missing_comes_first(shop: Shop) -> None:
    shop.missing = [scaffolds.MISSING]
    before = shop.files()
    printed, _ = shop.scaffold("--trust", code=3)
    assert "shop/db.py:7: it cannot be told how the repository reaches its database" in printed
    assert "[blocker: scaffold.no-database]" in printed
    assert "do: give idempotency.dedupe.store" in printed
    assert "nothing was written" in printed
    assert shop.files() == before
    assert shop.written == []
    report = json.loads(shop.scaffold("--trust", "--json", code=3)[0])
    assert "scaffold.no-database" in shops.rules(report)
    schema = json.loads((helpers.ROOT / "schemas" / "report.v1.json").read_text())
    Draft202012Validator(schema).validate(report)


@pytest.mark.parametrize("more", ((), ("--dry-run",)))
def test_gates_come_first(tmp_path: Path, more: tuple[str, ...]) -> None:
    """The strategy of idempotency is not decided: a scaffold would have to guess it."""
    shop = scaffolds.shop(tmp_path, "1-idempotency-unknown")
    before = shop.files()
    printed, beside = shop.scaffold(*more, code=3)
    assert "the idempotency strategy is not defined" in printed + beside
    assert shop.files() == before
    assert "diff --git" not in printed


def test_a_table_that_nothing_creates_is_no_gate(shop: Shop) -> None:
    """What a scaffold writes itself does not keep it from being written."""
    spec = shop.root / shops.SPEC
    spec.write_text(spec.read_text().replace("store: table receipts", "store: table not_there_yet"))
    helpers.commit(shop.root)
    printed, _ = shop.scaffold(code=3)
    assert "nothing in the repository creates the table not_there_yet" in printed
    assert "writing 2 files" in printed


def test_an_agent_may_do_it(shop: Shop) -> None:
    """What it writes runs, where a person allowed it to say --trust."""
    store = Path(shop.env()["SKILLRUN_STATE_DIR"]) / "consent"
    Consent(open_repo(shop.root), store=store).allow_agents(trust=True)
    shop.scaffold("--trust", code=0, env={"SKILLRUN_ACTOR": "agent:claude"})
    (event,) = shop.written
    assert event["actor_kind"] == "agent"


def test_only_a_skill_about_jobs(shop: Shop) -> None:
    helpers.write_files(
        shop.root,
        {
            ".agents/skills/other/SKILL.md": (
                "---\nname: other\ndescription: d\n---\n# Other\n\n## Workflow\n1. Do it.\n"
            )
        },
    )
    done = shop.skillrun("other", "--implement", "scaffold")
    assert done.returncode == 2, done.stderr
    assert b"other writes no job" in done.stderr
    assert not shops.ledger_of(shop.root).exists()


def test_the_gates_are_documented_with_their_reasons() -> None:
    """Each rule that stops nothing is one that a stage has, and is named in the document."""
    document = (helpers.ROOT / "docs" / "scaffold.md").read_text()
    stages = "".join(
        path.read_text()
        for path in (helpers.ROOT / "skillrun" / "skills" / "job_worker" / "stages").glob("*.py")
    )
    for rule, reason in MENDED.items():
        assert f"| `{rule}` |" in document
        assert f'"{rule}"' in stages
        assert rule.partition(".")[0] in GATES
        assert reason


@pytest.mark.long
def test_killed_at_every_rename_of_the_whole_command(tmp_path: Path) -> None:
    """What of the files is there afterwards is all or nothing, and the same command goes on to
    success.
    """
    if shutil.which("strace") is None:
        pytest.skip("strace is not here")
    ends = set()
    for number in range(1, 50):
        shop = scaffolds.shop(tmp_path / str(number))
        old = shop.files()
        inject = ("strace", "-qq", "-o", os.devnull, "-e", "trace=rename")
        kill = (*inject, "-e", f"inject=rename:signal=KILL:when={number}")
        died = shop.skillrun(*scaffolds.SCAFFOLD, "--trust", prefix=kill).returncode
        begin_next_write(shop)
        found = shop.files()
        new = {**old, **{name: sha256(text.encode()) for name, text in shop.write.items()}}
        assert found in (old, new), number
        ends.add(found == new)
        shop.scaffold("--trust", code=0)
        assert shop.files() == new
        shutil.rmtree(shop.root)
        if died == 0:
            break
    assert ends == {True, False}
    assert number > 4


def begin_next_write(shop: Shop) -> None:
    """What every command that writes does first, and nothing else of it."""
    code = "import pathlib, skillrun.repo.git as git; git.finish_writing(pathlib.Path.cwd())"
    subprocess.run([sys.executable, "-c", code], cwd=shop.root, env=shop.env(), check=True)


# -- the dry run


def test_a_dry_run_writes_nothing_and_git_applies_it(shop: Shop) -> None:
    before = shops.listing(shop.root)
    done = shop.skillrun(*scaffolds.SCAFFOLD, "--dry-run")
    assert (done.returncode, done.stderr) == (0, b"")
    assert shops.listing(shop.root) == before
    apply(shop.root, done.stdout)
    assert {name: (shop.root / name).read_text() for name in shop.write} == shop.write


def test_a_dry_run_says_which_formatters_it_leaves_out(shop: Shop) -> None:
    shop.formatters = ["black -q"]
    beside = shop.scaffold("--dry-run", code=0)[1]
    assert "not in this diff: black -q runs over the Python files once they are written" in beside
    shop.write = {}
    assert "black" not in shop.scaffold("--dry-run", code=0)[1]


def apply(root: Path, diff: bytes) -> None:
    done = subprocess.run(
        ["git", "apply", "--whitespace=nowarn"], input=diff, cwd=root, capture_output=True
    )
    assert done.returncode == 0, done.stderr.decode() + diff.decode()


def test_a_dry_run_of_nothing(shop: Shop) -> None:
    helpers.write_files(shop.root, {name: text.encode() for name, text in shop.write.items()})
    shop.kept = [scaffolds.KEPT]
    printed, beside = shop.scaffold("--dry-run", code=0)
    assert printed == ""
    assert "nothing to write" in beside
    assert "send is there already and stays as it is" in beside


def test_a_dry_run_with_something_missing(shop: Shop) -> None:
    shop.missing = [scaffolds.MISSING]
    printed, beside = shop.scaffold("--dry-run", code=3)
    assert printed == ""
    assert "it cannot be told how the repository reaches its database" in beside


@pytest.mark.parametrize("missing", (False, True))
def test_a_dry_run_as_json(shop: Shop, missing: bool) -> None:
    shop.kept, shop.notes = [scaffolds.KEPT], ["a note"]
    shop.missing = [scaffolds.MISSING] if missing else []
    shop.write["shop/windows.py"] = "A = 1\r\nB = '\u202e'\r\n"
    before = shops.listing(shop.root)
    value = json.loads(shop.scaffold("--dry-run", "--json", code=3 if missing else 0)[0])
    schema = json.loads((helpers.ROOT / "schemas" / "scaffold.v1.json").read_text())
    Draft202012Validator(schema).validate(value)
    assert shops.listing(shop.root) == before
    assert [finding["rule"] for finding in value["missing"]] == ["scaffold.no-database"] * missing
    assert [file["path"] for file in value["files"]] == ([] if missing else [*shop.write])
    if not missing:
        apply(shop.root, value["diff"].encode())
        assert (shop.root / "shop/windows.py").read_bytes().decode() == shop.write[
            "shop/windows.py"
        ]


@pytest.mark.parametrize("args", (("--dry-run",), ("--implement", "claude -p", "--dry-run")))
def test_a_dry_run_is_of_a_scaffold(shop: Shop, args: tuple[str, ...]) -> None:
    done = shop.skillrun(shops.SKILL, *args)
    assert done.returncode == 2
    assert b"--dry-run: only what skillrun itself writes" in done.stderr
    assert not shops.ledger_of(shop.root).exists()


CHANGES: dict[str, tuple[str | bytes | None, str]] = {
    "new.py": (None, "A = 1\n"),
    "no_end.py": ("a = 1\nb = 2", "a = 1\nb = 2\nc = 3"),
    "gets_an_end.py": ("a = 1", "a = 1\n"),
    "crlf.py": (b"a = 1\r\nb = 2\r\n", "a = 1\r\nb = 2\r\nc = 3\r\n"),
    "odd_ends.py": (b"a = '\x0c'\nb = 2\x0bc\n", "a = '\x0c'\nb = 2\x0bc\nd = '\u2028'\n"),
    "bom.py": (b"\xef\xbb\xbfa = 1\n", "\ufeffa = 1\nb = 2\n"),
    "with space.py": ("a = 1\n", "a = 2\n"),
    "new with space.py": (None, "a = 2\n"),
    "umlaut-\u00e4.py": ("a = 1\n", "a = 2\n"),
    'quote".py': ("a = 1\n", "a = 2\n"),
    "a/b/deep.md": (None, "# Deep\n"),
    "was_empty.py": ("", "a = 1\n"),
    "stays.py": ("a = 1\n", "a = 1\n"),
}


def test_any_file_is_a_patch_that_git_applies(make_repo: Any) -> None:
    root = make_repo({name: before for name, (before, _) in CHANGES.items() if before is not None})
    texts = {n: b.decode() if isinstance(b, bytes) else b for n, (b, _) in CHANGES.items()}
    apply(
        root,
        "".join(git_diff(Change(n, texts[n], after)) for n, (_, after) in CHANGES.items()).encode(),
    )
    assert {name: (root / name).read_bytes().decode() for name in CHANGES} == {
        n: a for n, (_, a) in CHANGES.items()
    }


@pytest.mark.parametrize(
    ("change", "words"),
    (
        (
            Change("a.py", None, "import x\nA = 1\n\n\ndef f(): ...\n\n\nclass C: ...\n"),
            "+ a.py  A, f, C",
        ),
        (Change("a.py", "A = 1\n", "A = 1\nB: int = 2\n"), "~ a.py  B"),
        (Change("a.py", "L = [1]\n", "L = [1, 2]\n"), "~ a.py  1 line"),
        (Change("a.md", "# A\n", "# A\n\n## job\nx\n"), "~ a.md  ## job"),
        (Change("broken.py", None, "def (\n\n"), "+ broken.py  2 lines"),
        (
            Change("a.py", None, "".join(f"N{n} = 0\n" for n in range(10))),
            "+ a.py  N0, N1, N2, N3, N4, N5, N6, N7 and 2 more",
        ),
    ),
)
def test_a_change_in_words(change: Change, words: str) -> None:
    assert describe_change(change) == words


# -- what may not be written


@pytest.mark.parametrize(
    "path", ("../out.py", "out/x.py", ".git/hooks/post-checkout", "/tmp/skillrun-out.py")
)
@pytest.mark.parametrize("more", ((), ("--dry-run",)))
def test_nothing_outside_the_repository(shop: Shop, path: str, more: tuple[str, ...]) -> None:
    outside = shop.root.with_name("outside")
    outside.mkdir()
    (shop.root / "out").symlink_to(outside)
    helpers.commit(shop.root)
    shop.write[path] = "X = 1\n"
    before = shop.files()
    _, beside = shop.scaffold("--trust", *more, code=4)
    assert "leads out of" in beside
    assert shop.files() == before
    assert list(outside.iterdir()) == []
    assert not (shop.root.parent / "out.py").exists()
    assert not Path("/tmp/skillrun-out.py").exists()


def test_two_names_of_one_file(shop: Shop) -> None:
    (shop.root / "shop" / "other.py").symlink_to("tasks.py")
    shop.write["shop/other.py"] = "X = 1\n"
    _, beside = shop.scaffold("--trust", code=4)
    assert "two of these are one file" in beside


def test_a_file_that_changes_between_plan_and_write(shop: Shop) -> None:
    edited = shop.root / HANDLER
    _, beside = shop.scaffold("--trust", code=4, env={"STAND_IN_EDITS": str(edited)})
    assert f"{HANDLER}: somebody else has just changed it; nothing was written" in beside
    assert edited.read_text() == "# mine\n"
    assert not (shop.root / NOTES).exists()
    assert shop.written == []


def test_modes_and_line_ends_stay(shop: Shop) -> None:
    script = shop.root / "shop" / "run.py"
    script.write_bytes(b"A = 1\r\n")
    script.chmod(0o755)
    shop.write["shop/run.py"] = "A = 1\r\nB = 2\r\n"
    shop.scaffold("--trust", code=0)
    assert script.read_bytes() == b"A = 1\r\nB = 2\r\n"
    assert script.stat().st_mode & 0o777 == 0o755
    assert [path.name for path in (shop.root / NOTES).parent.iterdir()] == ["send-receipt.md"]

"""What the stores promise, tried in real processes on real databases: once, also after errors,
deaths and overlaps.
"""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import helpers
import pytest
import store_cases
from store_kinds import CLASSIC, KINDS, Kind

from skillrun.skills.job_worker.scaffold.stores import registry

KEYS = {("order_id",): "7", ("order_id", "email"): "7, 'a@example.com'"}
USE = """
from shop.send_receipt_store import once
with once({key}) as first:
    print("first" if first else "again", flush=True)
    {then}
"""
BURY = """
import json, sys
from shop.send_receipt_store import bury
bury(json.loads(sys.argv[1]), sys.argv[2])
"""
MANNERS = [pytest.param(k, m, id=f"{k.name}-{m}") for k in KINDS.values() for m in k.manners]


@pytest.fixture
def store(make_repo: Callable[..., Path]) -> Callable[..., Path]:
    """`store(kind, manner, key)`: a repository with a store in it and its tables made."""

    def make(
        kind: Kind,
        manner: str,
        key: tuple[str, ...] = ("order_id",),
        dead: str | None = "dead_jobs",
    ) -> Path:
        root = make_repo(kind.files)
        store_cases.write_store(store_cases.case_of(root, kind.spec(manner, key, dead)))
        kind.prepare(root)
        return root

    return make


def test_a_base_in_a_module_called_database_is_that_of_the_module(
    make_repo: Callable[..., Path],
) -> None:
    """testdrivenio/fastapi-celery-project keeps its base in project/database.py."""
    named = {
        path: text.replace("shop.db", "shop.database")
        for path, text in CLASSIC.items()
        if path != "shop/db.py"
    }
    files = {**named, "shop/database.py": CLASSIC["shop/db.py"]}
    case = store_cases.case_of(make_repo(files), store_cases.spec())
    values = registry.testing(store_cases.facts_of(case, store_cases.find(case))).values
    assert values["base"] == "database.Base"


def use(key: tuple[str, ...] = ("order_id",), then: str = "pass") -> str:
    return USE.format(key=KEYS[key], then=then)


@pytest.mark.real
@pytest.mark.parametrize(("kind", "manner"), MANNERS)
def test_what_is_done_is_not_done_again(
    store: Callable[..., Path], kind: Kind, manner: str
) -> None:
    key = ("order_id", "email")
    root = store(kind, manner, key)
    assert kind.run(root, use(key) * 2).split() == ["first", "again"]
    others = [use(key).replace("7", "8"), use(key).replace("a@", "b@")]
    assert kind.run(root, use(key) + "".join(others)).split() == ["again", "first", "first"]


@pytest.mark.real
@pytest.mark.parametrize(("kind", "manner"), MANNERS)
def test_an_error_leaves_it_undone(store: Callable[..., Path], kind: Kind, manner: str) -> None:
    """What is claimed stays claimed: whether the work happened is not known."""
    root = store(kind, manner)
    failed = kind.run(
        root,
        f"try:\n{indented(use(then='raise TimeoutError'))}\nexcept Exception as e: print(repr(e))",
    )
    assert failed.split() == ["first", "TimeoutError()"]
    assert kind.run(root, use()) == ("again" if manner == "claims" else "first")


@pytest.mark.real
@pytest.mark.parametrize(("kind", "manner"), MANNERS)
def test_after_a_death_another_delivery_is_let_in(
    store: Callable[..., Path], kind: Kind, manner: str
) -> None:
    root = store(kind, manner)
    kind.run(root, use(then="import os; os.kill(os.getpid(), 9)"), check=False)
    kind.wait(manner)
    assert kind.run(root, use()) == ("again" if manner == "claims" else "first")
    assert kind.run(root, use()) == "again"


@pytest.mark.real
@pytest.mark.parametrize(("kind", "manner"), MANNERS)
def test_two_at_once(store: Callable[..., Path], kind: Kind, manner: str) -> None:
    """Remote: both may work, with the same key. Transactional: the second waits. Claimed: the
    second is too late.
    """
    root = store(kind, manner)
    code = use(
        then="import sys; sys.stdin.readline()"
        if manner != "remote"
        else "first and sys.stdin.readline()"
    )
    first = kind.start(root, "import sys\n" + code)
    assert first.stdout is not None and first.stdout.readline() == "first\n"
    second = kind.start(root, "import sys\n" + code)
    if manner == "transactional":
        with pytest.raises(subprocess.TimeoutExpired):
            second.wait(timeout=1)
    elif manner == "claims":
        assert second.communicate("go\n", timeout=20)[0] == "again\n"
    else:
        kind.overlaps(second)
    assert first.communicate("go\n", timeout=20) == ("", "") and first.returncode == 0
    said, errors = second.communicate("go\n", timeout=20) if second.poll() is None else ("", "")
    assert errors == ""
    if manner == "transactional":
        assert said == "again\n"
    assert kind.run(root, use()) == "again"


@pytest.mark.real
@pytest.mark.parametrize("kind", [pytest.param(k, id=k.name) for k in KINDS.values() if k.spend])
def test_what_is_written_goes_with_the_row(store: Callable[..., Path], kind: Kind) -> None:
    root = store(kind, "transactional")
    failing = use(then=f"{kind.spend}; raise TimeoutError")
    kind.run(root, failing, check=False)
    kind.run(root, use(then=f"{kind.spend}; import os; os.kill(os.getpid(), 9)"), check=False)
    assert kind.run(root, use(then=kind.spend)) == "first"  # would fail on a second row
    assert kind.run(root, use()) == "again"
    twice = f"{kind.begin}{kind.spend}"
    assert (
        kind.run(root, USE.format(key="8", then=twice.rpartition(chr(10))[2]), check=False)
        == "first"
    )
    # A conflict of the work is no mark.
    assert kind.run(root, USE.format(key="8", then="pass")) == "first"


@pytest.mark.real
@pytest.mark.parametrize("kind", [pytest.param(k, id=k.name) for k in KINDS.values() if k.counted])
def test_a_job_is_buried_once(store: Callable[..., Path], kind: Kind) -> None:
    """Whatever the payload is: of the wrong type, empty, very long."""
    root = store(kind, "remote")
    payloads: list[object] = [
        {"order_id": 7, "email": "a"},
        {"order_id": "7"},
        {},
        [1],
        None,
        {"x": "y" * 100_000},
    ]
    for payload in payloads:
        kind.run(root, BURY, json.dumps(payload), "TimeoutError()")
    kind.run(root, BURY, json.dumps({"email": "a", "order_id": 7}), "another reason")
    assert kind.run(root, kind.counted) == str(len(payloads))


@pytest.mark.real
@pytest.mark.parametrize("kind", [pytest.param(k, id=k.name) for k in KINDS.values()])
def test_it_reads_as_if_formatted(tmp_path: Path, kind: Kind) -> None:
    """black and ruff have nothing to say about any combination."""
    files = []
    for number, (manner, key, dead) in enumerate(
        itertools.product(kind.manners, KEYS, ("dead_jobs", None))
    ):
        root = helpers.build_tree(tmp_path / f"repo{number}", kind.files)
        before = {path: path.read_text() for path in root.rglob("*.py")}
        store_cases.write_store(store_cases.case_of(root, kind.spec(manner, key, dead)))
        new = [path for path in root.rglob("*.py") if before.get(path) != path.read_text()]
        for (
            path
        ) in new:  # a module that was there gets its lines from the merger, where they belong
            path.write_text(path.read_text()[len(before.get(path, "")) :].lstrip())
        files += [str(path) for path in new]
    check("black", "--quiet", "--check", "--diff", *files, cwd=tmp_path)
    rules = ["--select", "E,F,I,UP,B,SIM,RET,PTH", "--ignore", "UP035,UP007,F821"]
    check("ruff", "check", "--isolated", *rules, *files, cwd=tmp_path)


@pytest.mark.real
@pytest.mark.parametrize(
    ("kind", "manner"),
    [
        pytest.param(k, m, id=f"{k.name}-{m}")
        for k in KINDS.values()
        for m in k.manners
        if k.checked
    ],
)
def test_a_strict_type_checker_agrees(
    store: Callable[..., Path], kind: Kind, manner: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = store(kind, manner, ("order_id", "email"))
    check(
        "mypy",
        "--strict",
        "--cache-dir",
        str(tmp_path_factory.getbasetemp() / "mypy"),
        "-p",
        "shop",
        cwd=root,
    )


def check(tool: str, *args: str, cwd: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", tool, *args], cwd=cwd, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def indented(code: str) -> str:
    return "".join(f"    {line}\n" for line in code.strip().splitlines())

"""Nothing in a repository makes the survey fail, hang, or read outside of it."""

from __future__ import annotations

import ast
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import helpers
import pytest

from skillrun.frameworks.apscheduler.recognise import APSchedulerRecogniser
from skillrun.frameworks.celery import FRAMEWORK as celery
from skillrun.repo.manifests import Manifests
from skillrun.repo.survey import Survey, survey_tree, walk_statements
from skillrun.repo.syntax import parse_python
from skillrun.repo.tree import Tree
from skillrun.repo.uses import FrameworkUse

MakeRepo = Callable[..., Path]
APP = "from celery import Celery\napp = Celery()\n"


def surveyed(root: Path) -> Survey:
    return survey_tree(Tree(root), [celery.recogniser()])


@pytest.mark.real
def test_hostile_python_becomes_notes(make_repo: MakeRepo) -> None:
    files: dict[str, str | bytes] = {
        "good.py": APP,
        "broken.py": "from celery import (\n",
        "null.py": b"from celery import x\n\0\n",
        "bytes.py": b"# celery \xff\xfe\nx = '\xff'\n",
        "coding.py": b"# -*- coding: no-such -*-\nimport celery\n",
        "deep.py": "import celery\nx = " + "(" * 50_000 + ")" * 50_000 + "\n",
        "chain.py": "import celery\nx = " + "a." * 20_000 + "b()\n",
        "plus.py": "import celery\nx = " + "-" * 30_000 + "1\n",
        "empty.py": "",
        "huge.py": "import celery\n" + "x = 1\n" * 300_000,
    }
    found = surveyed(make_repo(files))
    assert found.primary == "celery"
    noted = {note.partition(":")[0] for note in found.notes}
    assert {"broken.py", "null.py", "bytes.py", "coding.py", "deep.py"} <= noted
    assert all("\n" not in note for note in found.notes)


def test_hostile_nesting_of_statements(make_repo: MakeRepo) -> None:
    nested = (
        "import celery\n"
        + "".join(f"{' ' * depth}if x:\n" for depth in range(90))
        + " " * 90
        + "f()\n"
    )
    assert surveyed(make_repo({"a.py": APP, "nested.py": nested})).notes == ()


def test_links_pipes_and_odd_names(make_repo: MakeRepo, tmp_path: Path) -> None:
    root = make_repo({"app.py": APP, "requirements.txt": "celery\n"})
    helpers.write_files(
        tmp_path / "outside",
        {"tasks.py": "from celery import shared_task\n@shared_task\ndef f(): ...\n"},
    )
    (root / "outside").symlink_to(tmp_path / "outside")
    (root / "loop").symlink_to("loop")
    os.mkfifo(root / "Procfile")
    odd = os.fsdecode(b"t\xe9.py")
    (root / odd).write_text("from celery import shared_task\n@shared_task\ndef f(): ...\n")
    use = surveyed(root).use("celery")
    assert use and use.task_modules == (odd,)


@pytest.mark.real
def test_slow_patterns_have_no_catastrophe(make_repo: MakeRepo) -> None:
    long = (
        "broker" + " =" * 20_000 + "\n" + "celery -A " * 5_000 + "\n" + "@" + "a." * 20_000 + "\n"
    )
    files = {
        "app.py": APP + "X = '''" + long + "'''\n",
        "run.sh": long,
        "Makefile": "a:\n\t" + "X=1 " * 9_000 + "\n" + "b" * 60_000 + "\n" + "$(A" * 9_000,
        ".github/workflows/ci.yml": (
            "- run: " + "uv run " * 9_000 + "\n- run: " + "cd a && " * 9_000 + "\n"
        ),
        "requirements.txt": "a" * 100_000 + "\n" + "x [" * 9_000,
        "AGENTS.md": "`" + "python -m " * 9_000 + "`",
        "justfile": "r " + "a=b " * 9_000 + "\n",
    }
    assert surveyed(make_repo(files)).primary == "celery"


def test_a_make_variable_that_names_itself_ends(make_repo: MakeRepo) -> None:
    text = "A = $(B)$(B)\nB = $(A)$(A)\ntest:\n\t$(A)\n\tpytest\n"
    test = surveyed(make_repo({"Makefile": text})).commands.test
    assert test and test.command == "make test"


def test_a_file_that_vanishes_is_skipped(make_repo: MakeRepo) -> None:
    root = make_repo({"a.py": APP, "b.py": APP})
    tree = Tree(root)
    assert len(tree.files) == 2
    (root / "a.py").unlink()
    use = survey_tree(tree, [celery.recogniser()]).use("celery")
    assert use and use.apps == ("b.py:app",)


def test_statements_are_walked_everywhere_and_expressions_nowhere() -> None:
    code = """
        def f():
            with a:
                try: one
                except E: two
                else: three
                finally: four
            match x:
                case 1: five
        class C:
            async def m(self):
                async for i in y: six
                while z: seven
                else: eight
        g(lambda: nine)
    """
    module = ast.parse("if True:\n" + code)
    names = [
        node.value.id
        for node in walk_statements(module.body)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Name)
    ]
    assert names == ["one", "two", "three", "four", "five", "six", "seven", "eight"] or set(
        names
    ) == {*("one", "two", "three", "four", "five", "six", "seven", "eight")}


def test_newer_syntax_keeps_its_lines() -> None:
    code = (
        b"type A[T] = list[T]\nclass C[T]: ...\nasync def f[T](x: T): ...\ntry: ...\nexcept A, B:"
        b" ...\nlast = 1\n"
    )
    assert parse_python(code).body[-1].lineno == 6


class _Counting:
    """A recogniser that keeps account of what it was shown."""

    id = "counting"
    words = (b"needle",)
    language = "python"
    text_files = ("procfile",)

    def __init__(self) -> None:
        self.seen: list[str] = []

    def wants(self, path: str, data: bytes) -> bool:
        return not path.startswith("unwanted")

    def see_python(self, path: str, module: ast.Module, data: bytes) -> None:
        self.seen.append(path)

    def see_text(self, path: str, data: bytes) -> None:
        self.seen.append(path)

    def conclude(self, manifests: Manifests) -> FrameworkUse | None:
        return FrameworkUse(id=self.id, task_modules=tuple(self.seen))


def test_only_files_with_the_words_are_shown(make_repo: MakeRepo) -> None:
    files = {
        "a.py": "needle = 1",
        "b.py": "hay = 1",
        "needle/c.py": "hay = 1",
        "unwanted.py": "needle = 1",
        "Procfile": "needle",
        "notes.txt": "needle",
        "node_modules/d.py": "needle = 1",
    }
    assert survey_tree(Tree(make_repo(files)), [_Counting()]).frameworks[0].task_modules == (
        "Procfile",
        "a.py",
        "needle/c.py",
    )


def test_sections_are_json_and_equal_on_the_same_tree(make_repo: MakeRepo) -> None:
    root = make_repo(
        {"app.py": APP, "Makefile": "test:\n\tpytest\n", "requirements.txt": "celery\n"}
    )
    sections = (
        "languages",
        "package_manager",
        "commands",
        "paths",
        "stack",
        "frameworks",
        "framework:celery",
        "framework:x",
    )

    def lookups() -> Iterator[object]:
        tree = Tree(root)
        with tree.recording() as recorded:
            surveyed(root).record(tree, *sections)
        return iter(recorded)

    assert [str(one) for one in lookups()] == [str(one) for one in lookups()]
    assert len(list(lookups())) == len(sections)


def test_primary_is_the_one_that_carries_more(make_repo: MakeRepo) -> None:
    root = make_repo({"app.py": APP, "needle.py": "needle = 1", "requirements.txt": "celery\n"})
    assert survey_tree(Tree(root), [_Counting(), celery.recogniser()]).primary == "celery"
    assert survey_tree(Tree(root), []).primary is None


def test_what_carries_jobs_comes_before_the_clock_beside_it(make_repo: MakeRepo) -> None:
    clock = (
        "from apscheduler.schedulers.background import BackgroundScheduler\nscheduler ="
        " BackgroundScheduler()\n"
    )
    jobs = {
        f"jobs{n}.py": (
            "from clock import scheduler\n@scheduler.scheduled_job('cron')\ndef f(): pass\n"
        )
        for n in (1, 2)
    }
    files = {"app.py": APP, "clock.py": clock, **jobs, "requirements.txt": "celery\napscheduler\n"}
    found = survey_tree(Tree(make_repo(files)), [celery.recogniser(), APSchedulerRecogniser()])
    assert found.primary == "celery"
    assert found.use("celery").scheduler == "apscheduler"
    alone = survey_tree(
        Tree(make_repo({**files, "app.py": ""})), [celery.recogniser(), APSchedulerRecogniser()]
    )
    assert alone.primary == "apscheduler"

"""Each framework has all its parts, and each folder with a driver is a framework's."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from pathlib import Path

import helpers
import pytest

from skillrun.frameworks.registry import FRAMEWORKS, features_of, list_proved

FOLDER = helpers.ROOT / "skillrun" / "frameworks"
TESTS = helpers.ROOT / "tests"
IN_THE_TARGET = {"driver.py": "Driver", "real_worker.py": "Worker"}


def list_classes(path: Path) -> set[str]:
    """Those at the top of a module; it cannot be imported without its library."""
    tree = ast.parse(path.read_text())
    return {node.name for node in tree.body if isinstance(node, ast.ClassDef)}


@pytest.mark.parametrize("id_", list_proved())
def test_what_the_target_imports_by_name_is_there(id_: str) -> None:
    for name, wanted in IN_THE_TARGET.items():
        assert wanted in list_classes(FOLDER / str(FRAMEWORKS[id_].DRIVER) / name)


def test_every_driver_is_registered() -> None:
    found = {path.parent.name for path in FOLDER.glob("*/driver.py")}
    assert found == {FRAMEWORKS[id_].DRIVER for id_ in list_proved()}


def list_words(path: Path, pattern: str) -> set[str]:
    """What a file names, without an import: some of them need every library."""
    return set(re.findall(pattern, path.read_text(), re.MULTILINE))


@pytest.mark.parametrize("id_", FRAMEWORKS)
def test_every_library_has_rows_for_what_its_scaffold_writes(id_: str) -> None:
    folder = TESTS / "scaffold"
    name = id_.replace("-", "_")
    assert (folder / "samples" / f"{name}.py").is_file()
    assert name in list_words(folder / "samples" / "combinations.py", r'"([a-z0-9_]+)"')
    assert name in list_words(folder / "test_matrix_slice.py", r'Combination\("([a-z0-9_]+)"')


@pytest.mark.parametrize("id_", list_proved())
def test_every_driver_has_a_corpus_and_is_confirmed(id_: str) -> None:
    confirmed = list_words(TESTS / "proof" / "confirm_matrix.py", r'^    "([a-z0-9_]+)",$')
    drivers: set[str] = set()
    for name in confirmed:
        corpus = TESTS / "proof" / "corpus" / name / "corpus.py"
        drivers |= list_words(corpus, r'^DRIVER = "([a-z0-9-]+)"')
    assert id_ in drivers


@pytest.mark.parametrize("id_", FRAMEWORKS)
def test_a_library_runs_in_place_or_by_its_driver(id_: str) -> None:
    framework = FRAMEWORKS[id_]
    assert framework.FEATURES.runs_in_place == (framework.DRIVER is None)
    assert framework.load_writer().TESTS
    for pattern in (framework.FEATURES.tables, framework.FEATURES.keys):
        re.compile(pattern)


def list_control(path: Path) -> list[str]:
    """The errors that a driver knows as its library's own."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "CONTROL":
            return [str(name) for name in ast.literal_eval(node.value)]
    return []


@pytest.mark.parametrize("id_", list_proved())
def test_what_a_library_steers_itself_by_is_no_error_of_an_effect(id_: str) -> None:
    """As its driver has them; that of asyncio may come out of anything."""
    driver = str(FRAMEWORKS[id_].DRIVER)
    for name in list_control(FOLDER / driver / "driver.py"):
        if not name.startswith("asyncio."):
            assert re.fullmatch(FRAMEWORKS[id_].FEATURES.control, name), name


def test_what_is_only_recognised_has_no_features() -> None:
    assert features_of("sidekiq") == features_of(None)
    assert not features_of("sidekiq").own_dead_letters


def test_no_library_is_named_outside_of_its_folder() -> None:
    """The proof and the stages go by features; the survey alone tells a clock from a library."""
    ids = "|".join(re.escape(id_) for id_ in FRAMEWORKS)
    named = re.compile(rf"[\"']({ids})[\"']")
    for part in ("probe", "proof", "runner", "skills"):
        for path in (helpers.ROOT / "skillrun" / part).rglob("*.py"):
            if path.name == "loggers.py":  # Celery's way to get a logger is a name of a module
                continue
            found = named.search(path.read_text())
            assert found is None, f"{path}: {found}"


def count_lines_of_code(path: Path) -> int:
    """Without comments, empty lines and docstrings: who explains more is not to pay for it."""
    text = path.read_text()
    lines = set[int]()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type in (tokenize.NAME, tokenize.OP, tokenize.NUMBER, tokenize.STRING):
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(text)):
        is_text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if is_text and isinstance(node.value.value, str):
            lines.difference_update(range(node.lineno, (node.end_lineno or 0) + 1))
    return len(lines)


def test_a_library_needs_no_more_than_six_hundred_and_seventy_lines_of_code() -> None:
    """The youngest library is the one to copy: what a second one does as well is not in its
    folder.
    """
    files = list((FOLDER / "saq").rglob("*.py"))
    assert files != []
    assert sum(map(count_lines_of_code, files)) <= 670


def test_the_folder_of_a_library_has_no_more_than_a_thousand_lines() -> None:
    """Of product code, with what explains it and its templates."""
    files = [*(FOLDER / "saq").rglob("*.py"), *(FOLDER / "saq").rglob("*.jinja")]
    assert files != []
    assert sum(len(path.read_text().splitlines()) for path in files) <= 1_000


def test_what_a_library_writes_for_its_users_is_short() -> None:
    templates = list((FOLDER / "saq").rglob("*.jinja"))
    assert templates != []
    assert sum(len(path.read_text().splitlines()) for path in templates) <= 100

"""Imports go one way, as docs/architecture.md says; and what starting up must not import."""

from __future__ import annotations

import ast
import io
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import helpers
import pytest
import shops

PACKAGE = helpers.ROOT / "skillrun"
# From the words that everybody uses up to the command line.
LAYERS: tuple[set[str], ...] = (
    {"core"},
    {"contract"},
    {"repo"},
    {"probe"},
    {"frameworks", "validations", "ledger"},
    {"proof"},
    {"runner"},
    {"skills", "reports"},
    {"agents"},
    {"wall"},
    {"cli", "__main__"},
)
STRANGERS = (
    {"frameworks", "validations", "ledger"},
    {"skills", "reports"},
)
# Of the frameworks: what is no library's own.
SHARED = {
    *("broker", "deaths", "features", "interface", "known"),
    *("layout", "pieces", "publishing", "rulebook", "writer"),
}
# What is kept must be readable without the rest: its pages, anchors and exports stand above it.
ABOVE_THE_LEDGER = ("ledger.anchoring", "ledger.exports")
HEAVY = {
    "yaml",
    "jsonschema",
    "pydantic",
    "markdown_it",
    "git",
    "sqlite_utils",
    "rich",
    "datasette",
}


def in_target(path: Path) -> bool:
    """Whether a file runs in the repository's interpreter: it knows neither skillrun nor the
    layers.
    """
    parts = path.relative_to(PACKAGE).parts
    return parts[0] == "probe" or _is_driver(path) or _is_watcher(path)


def _is_watcher(path: Path) -> bool:
    """Whether it is of the package that watches the repository's own tests."""
    return path.is_relative_to(PACKAGE / "proof" / "fixtures" / "inside")


def _is_driver(path: Path) -> bool:
    """Whether it is the part of a job library that runs in the repository's interpreter."""
    is_there = path.relative_to(PACKAGE).parts[0] == "frameworks"
    is_part = path.name.startswith("driver_")
    return is_there and (is_part or path.name in ("driver.py", "real_worker.py"))


@cache
def modules() -> dict[str, Path]:
    """Dotted name below skillrun -> file."""
    found = {}
    for path in sorted(path for path in PACKAGE.rglob("*.py") if not in_target(path)):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)] = path
    return found


@dataclass(frozen=True)
class Read:
    """What a module imports of skillrun; every test asks, so each file is parsed once."""

    # (dotted name below skillrun, whether it runs: not only for types), anywhere.
    imported: tuple[tuple[str, bool], ...]
    opens_with_a_sentence: bool


@cache
def parse_imports(path: Path) -> tuple[ast.Import | ast.ImportFrom, ...]:
    """The imports of a file that runs in the target; those have relative ones."""
    return tuple(node for node, _ in find_imports(ast.parse(path.read_text()).body))


@cache
def read(path: Path) -> Read:
    text = path.read_text()
    tree = ast.parse(text)
    opens = not text or ast.get_docstring(tree) is not None
    imports = tuple(find_imports(tree.body))
    return Read(tuple(_imported(path, imports)), opens)


def find_imports(
    body: list[ast.stmt], runs: bool = True
) -> Iterator[tuple[ast.Import | ast.ImportFrom, bool]]:
    """(import, whether it runs) anywhere below these statements. Expressions hold none, and they
    are nine tenths of a tree.
    """
    for node in body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node, runs
            continue
        is_for_types = getattr(getattr(node, "test", None), "id", None) == "TYPE_CHECKING"
        yield from find_imports(getattr(node, "body", []), runs and not is_for_types)
        for name in ("orelse", "finalbody"):
            yield from find_imports(getattr(node, name, []), runs)
        for part in (*getattr(node, "handlers", ()), *getattr(node, "cases", ())):
            yield from find_imports(part.body, runs)


def _imported(
    path: Path, imports: tuple[tuple[ast.Import | ast.ImportFrom, bool], ...]
) -> Iterator[tuple[str, bool]]:
    for node, runs in imports:
        names: list[str] = []
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import"
            names = [node.module or ""]
            if (
                node.module == "skillrun"
                or (PACKAGE.parent / (node.module or "").replace(".", "/")).is_dir()
            ):
                names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            names = [alias.name for alias in node.names]
        for name in names:
            if name.startswith("skillrun."):
                yield name.removeprefix("skillrun."), runs


@cache
def edges() -> set[tuple[str, str, bool]]:
    """(importing top-level part, imported one, whether it runs), between different parts."""
    found = set()
    for name, path in modules().items():
        for target, runs in read(path).imported:
            here, there = name.partition(".")[0], target.partition(".")[0]
            if here != there and there != "__version__":
                found.add((here, there, runs))
    return found


def layer(part: str) -> int:
    return next(number for number, parts in enumerate(LAYERS) if part in parts)


def test_every_part_has_its_place() -> None:
    parts = {name.partition(".")[0] for name in modules()} - {"__init__"}
    assert parts <= set().union(*LAYERS)


@pytest.mark.real
def test_imports_go_down() -> None:
    """Those inside a function and those for types alone, too."""
    upward = {edge for edge in edges() if edge[0] != "__init__" and layer(edge[1]) > layer(edge[0])}
    assert {(here, there) for here, there, _ in upward} == set()


def test_strangers_stay_strangers() -> None:
    for group in STRANGERS:
        met = {(here, there) for here, there, _ in edges() if {here, there} <= group}
        assert met == set()


def test_the_ledger_knows_words_alone() -> None:
    for name, path in modules().items():
        if name.startswith("ledger") and not name.startswith(ABOVE_THE_LEDGER):
            met = {target.partition(".")[0] for target, _ in read(path).imported}
            assert met - {"core", "ledger", "__version__"} == set(), name


def test_the_runner_knows_no_coded_skill() -> None:
    """`find_entries` alone leads to one. `job` is there as the column of the ledger; what a spec
    says and where it lies, its format knows.
    """
    allowed = {"job", "NO_JOB"}
    of_jobs = {"contract.spec", "contract.job", "contract.spec_init"}
    for name, path in modules().items():
        if name.partition(".")[0] != "runner":
            continue
        met = {target.partition(".")[0] for target, _ in read(path).imported}
        assert met & {"skills", "frameworks"} == set(), name
        assert of_jobs.isdisjoint(target for target, _ in read(path).imported), name
        words = set(re.findall(r"\w+", strip_prose(path.read_text())))
        assert {word for word in words if "job" in word.lower()} - allowed == set(), name
        assert "SPEC_FOLDER" not in words, name


def strip_prose(text: str) -> str:
    """The code of a module: its names, without comments and strings."""
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    return " ".join(token.string for token in tokens if token.type == tokenize.NAME)


def test_frameworks_are_strangers_to_each_other() -> None:
    for name, path in modules().items():
        parts = name.split(".")
        if (
            parts[0] != "frameworks"
            or len(parts) < 2
            or parts[1] in {"registry", *SHARED} - {"known"}
        ):
            continue
        others = {t.split(".")[1] for t, _ in read(path).imported if t.startswith("frameworks.")}
        assert others - SHARED - {"common", parts[1]} == set(), name


def test_words_do_not_go_in_circles() -> None:
    met = set()
    for name, path in modules().items():
        for target, _ in read(path).imported:
            if name.startswith("core.") and target.startswith("core."):
                met.add((name.split(".")[1], target.split(".")[1]))
    assert circle({(here, there) for here, there in met if here != there}) == []


def test_no_circle_between_packages() -> None:
    assert circle({(here, there) for here, there, _ in edges()}) == []


def test_no_circle_between_modules() -> None:
    """An import inside a function, or for types alone, points back no more than one at the top."""
    known = set(modules())
    met = set()
    for name, path in modules().items():
        for target, _ in read(path).imported:
            # `from module import name`: the module.
            there = target if target in known else target.rpartition(".")[0]
            if there in known and there != name:
                met.add((name, there))
    assert circle(met) == []


@pytest.mark.real
def test_no_circle_between_what_runs_in_the_target() -> None:
    """Modules of the probe and drivers, which import by relative names."""
    met = set()
    for path in (path for path in PACKAGE.rglob("*.py") if in_target(path)):
        for node in parse_imports(path):
            if isinstance(node, ast.ImportFrom) and node.level:
                met |= {(str(path), str(there)) for there in _find_relative(path, node)}
    assert met != set()
    assert circle(met) == []


def circle(met: set[tuple[str, str]]) -> list[str]:
    """The parts left over when those that import nothing more are taken away, again and again."""
    left = set(met)
    while True:
        importing = {here for here, _ in left}
        smaller = {(here, there) for here, there in left if there in importing}
        if smaller == left:
            return sorted({here for here, _ in left})
        left = smaller


def test_a_circle_is_seen() -> None:
    assert circle({("a", "b"), ("b", "c"), ("c", "b"), ("c", "d")}) == ["a", "b", "c"]
    assert circle({("a", "b"), ("b", "c"), ("a", "c")}) == []


def test_the_folder_of_stages_has_stages_alone() -> None:
    """What they read of the code is in `readings/`, what a proof says to them in `proving/`."""
    from skillrun.skills.job_worker.stages.registry import STAGES

    folder = PACKAGE / "skills" / "job_worker" / "stages"
    own = {str(stage.__name__).rpartition(".")[2] for stage in STAGES}
    assert {path.stem for path in folder.glob("*.py")} == own | {"__init__", "registry"}


def test_inner_init_files_are_empty() -> None:
    for path in PACKAGE.rglob("__init__.py"):
        if path.parent != PACKAGE and path.parent.parent != PACKAGE / "frameworks":
            assert path.read_text() == "", path


def test_every_module_opens_with_a_sentence() -> None:
    for name, path in modules().items():
        assert read(path).opens_with_a_sentence, name


# A folder of `frameworks/` bears the name of its library's package.
LIBRARIES = "|".join(
    sorted(
        {
            *("kombu", "taskiq_redis", "django_q"),
            *(path.parent.name for path in PACKAGE.glob("frameworks/*/driver.py")),
        }
    )
)


def test_no_framework_is_imported_by_skillrun_itself() -> None:
    for path in PACKAGE.rglob("*.py"):
        if "examples" not in path.parts and not in_target(path):
            assert not re.search(rf"^\s*(import|from) ({LIBRARIES})\b", path.read_text(), re.M), (
                path
            )


def loaded(repo: Path, *args: str) -> set[str]:
    """The top-level names that a real process imported."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "skillrun", *args],
        cwd=repo,
        env=helpers.clean_env(repo.with_name("repo.home")),
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    assert "Traceback" not in done.stderr
    return {
        line.rpartition("|")[2].strip().partition(".")[0]
        for line in done.stderr.splitlines()
        if "|" in line
    }


@pytest.fixture(scope="module")
def typer_alone(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """What the smallest command line built with typer imports when it runs."""
    script = (
        "import typer; app = typer.Typer(rich_markup_mode=None); app.command()(lambda x: None);"
        " app(['x'])"
    )
    command = [sys.executable, "-X", "importtime", "-c", script]
    done = subprocess.run(command, capture_output=True, text=True)
    return {
        line.rpartition("|")[2].strip().partition(".")[0]
        for line in done.stderr.splitlines()
        if "|" in line
    }


@pytest.mark.real
def test_help_starts_light(tmp_path: Path, typer_alone: set[str]) -> None:
    (tmp_path / "repo").mkdir()
    for args in (["--help"], ["run", "--help"], ["ledger", "--help"]):
        assert (loaded(tmp_path / "repo", *args) - typer_alone) & HEAVY == set()


@pytest.mark.real
def test_status_and_an_unchanged_resume_start_light(
    finished_shop: Path, typer_alone: set[str]
) -> None:
    shops.run(finished_shop, code=0)
    for args in (["status"], ["next"], ["why", "retry"], [shops.SKILL], ["ledger", "list"]):
        assert (loaded(finished_shop, *args) - typer_alone) & HEAVY == set(), args


@pytest.mark.real
def test_what_runs_in_the_target_knows_the_library_alone() -> None:
    """The zygote has the standard library, its own files, and in a driver the job library: no
    skillrun, no pydantic.
    """
    for path in (path for path in PACKAGE.rglob("*.py") if in_target(path)):
        clients = {"redis", "psycopg", "psycopg2", "asyncpg"}
        if _is_driver(path):
            # psycopg is what Procrastinate itself connects with.
            clients = {path.parent.name, "kombu", "billiard", "django", "redis", "taskiq_redis"}
            clients.add("psycopg")
        if _is_watcher(path):
            clients = {"pytest"}
        for node in parse_imports(path):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [node.module or ""]
            for name in names:
                top = name.partition(".")[0]
                assert top in sys.stdlib_module_names | clients, f"{path}:{node.lineno}: {name}"


@pytest.mark.real
def test_what_runs_in_the_target_imports_its_own_by_relative_names() -> None:
    """Out there skillrun has another name: a driver finds the probe, and what lies beside it and
    runs there too.
    """
    for path in (path for path in PACKAGE.rglob("*.py") if in_target(path)):
        for node in parse_imports(path):
            if isinstance(node, ast.ImportFrom) and node.level:
                found = list(_find_relative(path, node))
                assert found and all(map(in_target, found)), f"{path}:{node.lineno}"


def _find_relative(path: Path, node: ast.ImportFrom) -> Iterator[Path]:
    """The files that a relative import leads to."""
    folder = path.parents[node.level - 1]
    if node.module is not None:
        folder = folder.joinpath(*node.module.split("."))
    if folder.is_dir():
        yield from (folder / f"{alias.name}.py" for alias in node.names)
    else:
        yield folder.with_suffix(".py")

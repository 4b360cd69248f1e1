"""Fixtures for every test: a HOME and a state folder of its own, and a place for repositories."""

from __future__ import annotations

import gc
import itertools
import os
import sys
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from pathlib import Path

import hypothesis
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))
# What a library's jobs look like that the scaffold writes is tested in the library's own folder.
sys.path.append(str(Path(__file__).resolve().parent / "scaffold"))

import helpers
import shops
from places import Place
from unsynced import leave_disk_alone

from skillrun.repo.git import open_repo
from skillrun.validations.consent import Consent

# pytest rewrites each assertion of a module, which takes a third of a minute for all of them, in each
# worker, and keeps what came out only where bytecode may be written. What the tests start has its
# own environment.
sys.dont_write_bytecode = False

leave_disk_alone()

# How long an example takes says something of the machine's load, and nothing of the code.
hypothesis.settings.register_profile(
    "unhurried", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("unhurried")

NOT_OURS = (
    *("CI", "GITHUB_", "GITLAB_", "BUILDKITE", "JENKINS_"),
    *("CLAUDE", "CODEX_", "CURSOR_", "GEMINI_", "AGENT", "AI_AGENT"),
    *("GIT_", "SKILLRUN_", "CELERY_", "SHOP_"),
)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Ten thousand tests are found, and nothing of them is garbage: nobody looks for it meanwhile,
    nor again and again while they run.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


# CI has so many minutes: what is not begun by then (seconds since 1970) is skipped, and counted.
UNTIL_S = float(os.environ.get("TESTS_UNTIL", "inf"))
# So that it is not always the same ones, CI begins at another place for each commit.
BEGIN_AT = int(os.environ.get("TESTS_BEGIN_AT", "0"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """In the order of the files, from another one on."""
    if items:
        place = BEGIN_AT % len(items)
        items[:] = items[place:] + items[:place]


def pytest_runtest_setup(item: pytest.Item) -> None:
    if time.time() > UNTIL_S:
        pytest.skip("not reached within the time that CI has")


@pytest.fixture(scope="session")
def _homes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One folder after the other; `mktemp` would look at all that are there, and there are
    thousands.
    """
    folder = tmp_path_factory.mktemp("homes")
    return (folder / str(number) for number in itertools.count())


@pytest.fixture(autouse=True)
def own_surroundings(_homes: Iterator[Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Each test has its own HOME and state folder, and does not see who runs it (CI, an agent, a
    git hook).
    """
    home = next(_homes)
    home.mkdir()
    for name in [name for name in os.environ if name.startswith(NOT_OURS)]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("SKILLRUN_STATE_DIR", str(home / "state"))
    for name, value in helpers.NOTHING_CONFIGURED.items():
        monkeypatch.setenv(name, value)
    yield home


@pytest.fixture(scope="session")
def _places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("places")
    return (folder / str(number) for number in itertools.count())


@pytest.fixture
def tmp_path(_places: Iterator[Path]) -> Path:
    """A folder of this test. pytest's own looks at the folders of all tests before it for a free
    number: a sixth of a minute for each worker.
    """
    place = next(_places)
    place.mkdir(mode=0o700)
    return place


@pytest.fixture
def home(own_surroundings: Path) -> Path:
    """The HOME of this test."""
    return own_surroundings


@pytest.fixture
def state_dir(own_surroundings: Path) -> Path:
    """Where skillrun keeps consent during this test."""
    return own_surroundings / "state"


@pytest.fixture
def make_repo(tmp_path: Path) -> Callable[..., Path]:
    """`make_repo({...}, name="repo")`: a git repository with these files in one commit."""

    def make(files: Mapping[str, str | bytes], name: str = "repo") -> Path:
        return helpers.build_tree(tmp_path / name, files)

    return make


@pytest.fixture(scope="session")
def _finished(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return Place(
        tmp_path_factory.mktemp("finished"),
        lambda repo: shops.run(shops.shop(repo), "--trust", code=0),
    )


@pytest.fixture
def finished_shop(_finished: Place) -> Path:
    """The quick shop, all of whose stages have passed in one run; its HOME stands beside it.

    It is a copy, so another working tree: somebody has to allow it again.
    """
    repo = _finished.restored()
    store = repo.with_name(f"{repo.name}.home") / "state" / "consent"
    Consent(open_repo(repo), store=store).give("the test")
    return repo

"""Whether a repository tries its code against a real broker, and where and how such tests are
marked.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from skillrun.frameworks.pieces import Integration
from skillrun.repo.places import is_shown, is_vendored
from skillrun.skills.job_worker.scaffold.manner.configured import Settings, option, read_text
from skillrun.skills.job_worker.scaffold.manner.neighbours import common

if TYPE_CHECKING:
    from skillrun.repo.tree import Tree

# Files of CI, and compose files.
_STARTS = re.compile(
    r"(?:^|/)(?:\.github/workflows/[^/]+|\.gitlab-ci|\.circleci/config|\.travis|azure-pipelines"
    r"|(?:docker-)?compose[\w.-]*)\.ya?ml$"
)
_BROKERS = {"postgres": "postgres(?:ql)?|postgis|pgvector|timescaledb(?:-ha)?"}
_USUAL = "(?:redis|valkey|rabbitmq)(?:-server|-stack)?"
# @pytest.fixture
# def celery_worker(
_FIXTURE = re.compile(
    r"@pytest\.fixture[^\n]*\n(?:@[^\n]*\n)*(?:async )?def"
    r" (?:celery_(?:session_)?worker|redis|rabbitmq|broker)\w*\("
)
_FOLDER = re.compile(r"(?:tests?_)?integration(?:[_-]?tests?)?")
_MARKER = re.compile(r"integration(?:[_-]?tests?)?|(?:needs|requires)_(?:redis|rabbitmq|broker)")
_ADDED = re.compile(r"addinivalue_line\(\s*[\"']markers[\"'],\s*[\"']([\w-]+)")


def find_integration(
    tree: Tree, settings: Settings, tests: str, handler_path: str, broker: str | None = None
) -> Integration | None:
    """The folder of such tests, else that of all `tests`; None where nothing shows that a broker is
    at hand for them.

    It is shown by a service or an image of Redis or RabbitMQ in CI or in a compose file (of
    PostgreSQL, where that is the `broker`), by a folder of integration tests, by a marker of
    pytest, or by a fixture that is a worker or a broker and no stand-in.
    """
    service = _make_service_pattern(_BROKERS.get(broker or "", _USUAL))
    conftests = []
    for path in tree.files:
        if path.rpartition("/")[2] == "conftest.py" and _is_own(path):
            conftests.append(read_text(tree, path))
    folder = _find_folder(tree, handler_path)
    marker = _find_marker(settings, conftests)
    is_started = any(_starts_service(tree, path, service) for path in tree.files)
    if folder or marker or is_started or any(_has_fixture(text) for text in conftests):
        return Integration(folder or tests, marker)
    return None


def _is_own(path: str) -> bool:
    """Whether it is neither somebody else's nor an example."""
    return not is_vendored(path) and not is_shown(path)


def _make_service_pattern(names: str) -> re.Pattern[str]:
    """A pattern for a line of a configuration that names a service or its image: `image: redis:7`,
    `- redis`.
    """
    image = rf"[\"']?(?:[\w.${{}}:-]+/)*(?:{names})(?:[:@][\w.${{}}:-]+)?[\"']?\s*(?:#.*)?$"
    return re.compile(rf"(?m)^\s*(?:(?:-\s*)?(?:image|name):\s*|-\s*){image}")


def _starts_service(tree: Tree, path: str, service: re.Pattern[str]) -> bool:
    """Whether a file of CI or of compose names the service."""
    if not _STARTS.search(path) or is_vendored(path):
        return False
    # `.github/workflows/examples.yml` is no example.
    if is_shown(path) and not path.startswith("."):
        return False
    return service.search(read_text(tree, path)) is not None


def _has_fixture(text: str) -> bool:
    """Whether a conftest.py has a worker or a broker that is no stand-in."""
    return "fakeredis" not in text and _FIXTURE.search(text) is not None


def _find_folder(tree: Tree, handler_path: str) -> str | None:
    """The folder of integration tests that is nearest to the handler."""
    folders = set()
    for path in tree.files:
        folder = path.rpartition("/")[0]
        if path.endswith(".py") and _is_own(path) and _is_of_integration_tests(folder):
            folders.add(folder)

    def rank(folder: str) -> tuple[int, int, str]:
        shared = common(folder.split("/"), handler_path.split("/"))
        return -shared, folder.count("/"), folder

    return min(folders, key=rank, default=None)


def _is_of_integration_tests(folder: str) -> bool:
    """Whether it is `tests/integration`, or named so that it holds tests itself."""
    parts = folder.split("/")
    if _FOLDER.fullmatch(parts[-1]) is None:
        return False
    return any(part.startswith("test") for part in parts)


def _find_marker(settings: Settings, conftests: list[str]) -> str | None:
    """The first marker of integration tests that pytest's configuration or a conftest.py adds."""
    names: list[str] = []
    for tool, table in settings.tables:
        if tool == "pytest":
            names += _read_names(option(table, "markers"))
            names += _read_names(option(option(table, "ini_options"), "markers"))
    for text in conftests:
        names += _ADDED.findall(text)
    for name in names:
        if _MARKER.fullmatch(name):
            return name
    return None


def _read_names(markers: Any) -> list[str]:
    """The names of markers, which stand before a colon or a bracket, one a line in an ini file."""
    if isinstance(markers, list):
        lines = markers
    else:
        lines = str(markers or "").splitlines()
    return [re.split(r"[:(]", str(line))[0].strip() for line in lines]

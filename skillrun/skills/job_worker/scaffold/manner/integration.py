"""Whether a repository tries its code against a real broker, and where and how such tests are
marked.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from skillrun.frameworks.pieces import Integration
from skillrun.repo.places import is_shown, is_vendored
from skillrun.skills.job_worker.scaffold.manner.configured import Settings, option, read_text
from skillrun.skills.job_worker.scaffold.manner.neighbours import common

if TYPE_CHECKING:
    from skillrun.repo.tree import Tree

_STARTS = re.compile(
    r"(?:^|/)(?:\.github/workflows/[^/]+|\.gitlab-ci|\.circleci/config|\.travis|azure-pipelines"
    r"|(?:docker-)?compose[\w.-]*)\.ya?ml$"
)
_BROKERS = {"postgres": "postgres(?:ql)?|postgis|pgvector|timescaledb(?:-ha)?"}
_USUAL = "(?:redis|valkey|rabbitmq)(?:-server|-stack)?"
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
    service = _service(_BROKERS.get(broker or "", _USUAL))
    conftests = []
    for path in tree.files:
        if _is_named(path, "conftest.py"):
            conftests.append(read_text(tree, path))
    folder, marker = _folder(tree, handler_path), next(_markers(settings, conftests), None)
    started = any(_starts(tree, path, service) for path in tree.files)
    if folder or marker or started or any(map(_has_fixture, conftests)):
        return Integration(folder or tests, marker)
    return None


def _is_named(path: str, name: str) -> bool:
    return path.rpartition("/")[2] == name and not is_vendored(path) and not is_shown(path)


def _service(names: str) -> re.Pattern[str]:
    """A line that names a service, or its image, in a configuration."""
    image = rf"[\"']?(?:[\w.${{}}:-]+/)*(?:{names})(?:[:@][\w.${{}}:-]+)?[\"']?\s*(?:#.*)?$"
    return re.compile(rf"(?m)^\s*(?:(?:-\s*)?(?:image|name):\s*|-\s*){image}")


def _starts(tree: Tree, path: str, service: re.Pattern[str]) -> bool:
    if (
        not _STARTS.search(path)
        or is_vendored(path)
        or (is_shown(path) and not path.startswith("."))
    ):
        return False
    return service.search(read_text(tree, path)) is not None


def _has_fixture(text: str) -> bool:
    return "fakeredis" not in text and _FIXTURE.search(text) is not None


def _folder(tree: Tree, handler_path: str) -> str | None:
    """The folder of integration tests that is nearest to the handler."""
    paths = []
    for path in tree.files:
        if path.endswith(".py") and not is_vendored(path) and not is_shown(path):
            paths.append(path)
    held = {one for path in paths if (one := path.rpartition("/")[0]) and _is_folder(one)}
    near = handler_path.split("/")
    return min(
        held, key=lambda one: (-common(one.split("/"), near), one.count("/"), one), default=None
    )


def _is_folder(folder: str) -> bool:
    parts = folder.split("/")
    return _FOLDER.fullmatch(parts[-1]) is not None and any(
        part.startswith("test") for part in parts
    )


def _markers(settings: Settings, conftests: list[str]) -> Iterator[str]:
    tables = [table for name, table in settings.tables if name == "pytest"]
    for said in (
        option(part, "markers")
        for table in tables
        for part in (table, option(table, "ini_options"))
    ):
        yield from (name for name in _named(said) if _MARKER.fullmatch(name))
    for text in conftests:
        for name in _ADDED.findall(text):
            if _MARKER.fullmatch(name):
                yield name


def _named(said: Any) -> list[str]:
    """The names of markers, which stand before a colon or a bracket, one a line in an ini file."""
    if isinstance(said, list):
        lines = said
    else:
        lines = str(said or "").splitlines()
    return [re.split(r"[:(]", str(line))[0].strip() for line in lines]

"""The look at which versions of a job library may be installed."""

from __future__ import annotations

import pytest
from looks import everything, found, severities

LOOK = "looser-library"
CODE = {"shop/tasks.py": "import celery\n"}


def project(line: str) -> dict[str, str]:
    return {**CODE, "pyproject.toml": f"[project]\nname = 'shop'\ndependencies = [{line}]\n"}


def pinned(line: str, path: str = "requirements.txt") -> dict[str, str]:
    return {**CODE, path: f"{line}\nhttpx>=0.27\n"}


def poetry(line: str) -> dict[str, str]:
    return {**CODE, "pyproject.toml": f"[tool.poetry.dependencies]\n{line}\n"}


def lock(version: str) -> dict[str, str]:
    text = f'[[package]]\nname = "celery"\nversion = "{version}"\n\n[[package]]\nname = "httpx"\n'
    return {**CODE, "poetry.lock": text + 'version = "0.27.0"\n'}


LOOSER = {
    "floor": (project('"celery>=5.7"'), project('"celery>=5.4,<6"')),
    "no floor": (project('"celery>=5.7"'), project('"celery"')),
    "no bound": (project('"celery>=5.7,<6"'), project('"celery>=5.7"')),
    "extra": (project('"celery[redis]>=5.7"'), project('"celery[redis,sqs]>=5.3"')),
    "among others": (
        project('"httpx>=1", "celery>=5.7", "rich"'),
        project('"httpx>=1", "celery>=5.6", "rich"'),
    ),
    "pin": (pinned("celery==5.7.1"), pinned("celery==5.6.0")),
    "compatible": (pinned("celery~=5.7"), pinned("celery~=5.4")),
    "excluded": (pinned("celery>=5.4,!=5.6.1"), pinned("celery>=5.4")),
    "gone": (pinned("celery>=5.7"), pinned("")),
    "moved and looser": (pinned("celery>=5.7"), project('"celery>=5.3"')),
    "marker": (pinned("celery>=5.7"), pinned("celery>=5.7; python_version < '3.9'")),
    "elsewhere": (pinned("celery>=5.7"), pinned("celery @ git+https://example.com/celery@main")),
    "carrier": (pinned("redis>=5.0.1"), pinned("redis>=4")),
    "constraint": (
        pinned("kombu>=5.4", "constraints.txt"),
        pinned("kombu>=5.2", "constraints.txt"),
    ),
    "caret": (poetry('celery = "^5.7"'), poetry('celery = "^5.4"')),
    "table": (
        poetry('celery = {version = "^5.7", extras = ["redis"]}'),
        poetry('celery = {version = "*", extras = ["redis"]}'),
    ),
    "lock": (lock("5.7.0"), lock("5.4.0")),
    "image": (
        {**CODE, "Dockerfile": "FROM python\nRUN pip install 'celery>=5.7'\n"},
        {**CODE, "Dockerfile": "FROM python\nRUN pip install 'celery>=5.3'\n"},
    ),
}
HONEST = {
    "an upper bound": (project('"celery>=5.7"'), project('"celery>=5.7,<6"')),
    "raised": (project('"celery>=5.7,<6"'), project('"celery>=5.8,<7"')),
    "blanks": (project('"celery>=5.7"'), project('"celery >= 5.7"')),
    "another library": (project('"celery>=5.7", "httpx>=1"'), project('"celery>=5.7", "httpx"')),
    "pin": (pinned("celery==5.7.1"), pinned("celery==5.7.2")),
    "moved": (pinned("celery>=5.7"), project('"celery>=5.7"')),
    "tighter": (pinned("celery"), pinned("celery>=5.7")),
    "lock": (lock("5.7.0"), lock("5.7.2")),
    "a comment": (pinned("celery>=5.7"), pinned("celery>=5.7  # counts attempts that killed")),
}


@pytest.mark.parametrize("name", LOOSER)
def test_an_older_library_is_an_error(name: str) -> None:
    old, new = LOOSER[name]
    assert severities(found(LOOK, old, new)) == ["error"]
    assert found(LOOK, old, old) == []


@pytest.mark.parametrize("name", HONEST)
def test_a_library_that_is_no_older_is_none(name: str) -> None:
    said = everything(*HONEST[name])
    assert set(severities(said)) <= {"note"}


def test_both_lines_are_quoted() -> None:
    (said,) = found(LOOK, *LOOSER["floor"])
    assert "celery>=5.7" in said.message
    assert "celery>=5.4,<6" in said.message
    assert (said.path, said.line) == ("pyproject.toml", 3)


def test_another_index_is_a_warning() -> None:
    new = pinned("celery>=5.7\n--extra-index-url https://example.com/simple")
    assert severities(found(LOOK, pinned("celery>=5.7"), new)) == ["warning"]

"""Where a repository keeps Alembic revisions, the one that a new revision follows, and how they are
named.
"""

from __future__ import annotations

import ast
import configparser
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from skillrun.core.errors import Blocked
from skillrun.core.opening import parse_toml
from skillrun.repo.places import is_aside
from skillrun.skills.job_worker.readings.tables.uniqueness import tables
from skillrun.skills.job_worker.scaffold.stores.nearness import within_reach
from skillrun.skills.job_worker.scaffold.stores.sqlalchemy import Migration

if TYPE_CHECKING:
    from skillrun.repo.python import Project
    from skillrun.repo.source import Module
    from skillrun.skills.job_worker.scaffold.stores.wanted import Wanted

_TEMPLATE = "%(rev)s_%(slug)s"
# As Alembic cuts it.
_SLUG_LENGTH = 40


@dataclass(frozen=True)
class Scripts:
    """The folder of the revisions, with a slash at its end, and `upgrade`, the command that runs
    them.
    """

    versions: str
    template: str
    upgrade: str


@dataclass(frozen=True)
class _Revision:
    id: str
    follows: tuple[str, ...]
    annotated: bool


def find_scripts(project: Project, near: str) -> Scripts | None:
    """By the folder that holds `env.py` and `versions/`; the settings come from alembic.ini or
    pyproject.toml.

    Of several the one nearest to the models, whose path is `near`.
    """
    found = within_reach(
        project, (path for path in project.tree.match("**env.py") if _is_env(project, path)), near
    )
    if not found:
        return None
    folder = found[0].removesuffix("env.py")
    settings = _settings(project, folder)
    flask = (
        re.search(rb"\bimport current_app\b|\bcurrent_app\.", project.tree.read(found[0]) or b"")
        is not None
    )
    places = str(settings.get("version_locations") or "").split()
    if len(places) == 1 and "%" not in places[0]:
        versions = f"{places[0].rstrip('/')}/"
    else:
        versions = f"{folder}versions/"
    return Scripts(
        versions, str(settings.get("file_template") or _TEMPLATE), _upgrade(settings, flask=flask)
    )


def _is_env(project: Project, path: str) -> bool:
    named = path == "env.py" or path.endswith("/env.py")
    return named and not is_aside(path) and b"alembic" in (project.tree.read(path) or b"")


def _upgrade(settings: dict[str, Any], *, flask: bool) -> str:
    if flask:
        return "flask db upgrade"
    ini = settings.get("ini", "alembic.ini")
    named = ""
    if ini != "alembic.ini":
        named = f" -c {ini}"
    # With the folder in which it runs on sys.path.
    return f"python -m alembic{named} upgrade head"


def _settings(project: Project, folder: str) -> dict[str, Any]:
    """The section [alembic] of the alembic.ini that leads to the folder, else of pyproject.toml."""
    inis = sorted(project.tree.match("**alembic.ini"), key=lambda path: (path.count("/"), path))
    for path in inis:
        section = _read_section(project, path)
        place = section.get("script_location", "").replace("%(here)s/", "").strip("/")
        if len(inis) == 1 or folder.rstrip("/").endswith(place):
            return {
                **section,
                "file_template": section.get("file_template", "").replace("%%", "%"),
                "ini": path,
            }
    found = _read_table(project)
    return {**found, "file_template": str(found.get("file_template", "")).replace("%%", "%")}


def _read_section(project: Project, path: str) -> dict[str, str]:
    """The section [alembic] of an ini file; empty in one that is broken, which alembic refuses as
    well.
    """
    read = configparser.RawConfigParser()
    try:
        read.read_string((project.tree.read(path) or b"").decode("utf-8", "replace"))
    except (configparser.Error, ValueError):
        return {}
    if not read.has_section("alembic"):
        return {}
    return dict(read["alembic"])


def _read_table(project: Project) -> dict[str, Any]:
    """The table [tool.alembic] of pyproject.toml."""
    text = (project.tree.read("pyproject.toml") or b"").decode("utf-8", "replace")
    if "tool.alembic" not in text:
        return {}
    try:
        found = parse_toml(text).get("tool", {}).get("alembic", {})
    except (ValueError, AttributeError):
        return {}
    if not isinstance(found, dict):
        return {}
    return found


def plan_migration(
    project: Project, wanted: Wanted, scripts: Scripts, now: datetime | None = None
) -> Migration | None:
    """A revision for the tables that none creates yet; None where there is nothing to add.

    Raises Blocked where the revisions have several heads.
    """
    done = bool(wanted.table) and not _is_created(project, scripts, wanted.table)
    dead = bool(wanted.dead_table) and not _is_created(project, scripts, wanted.dead_table)
    if not done and not dead:
        return None
    there = list(_revisions(project, scripts))
    head = _find_head(scripts, there)
    down_revision, annotated = None, True
    if head is not None:
        down_revision, annotated = head.id, head.annotated
    revision = _choose_id(wanted, there, head)
    words = ["add"]
    if done:
        words.append(wanted.table)
    if dead:
        words.append(wanted.dead_table)
    moment = now or datetime.now(UTC)
    name = _write_file_name(scripts.template, revision, "_".join(words), moment)
    return Migration(
        path=f"{scripts.versions}{name}.py",
        revision=revision,
        down_revision=down_revision,
        created=f"{moment:%Y-%m-%d %H:%M:%S.%f}",
        annotated=annotated,
        done=done,
        dead=dead,
    )


def _is_created(project: Project, scripts: Scripts, table: str) -> bool:
    return any(
        declared.path.startswith(scripts.versions)
        for declared in tables(project, table)
        if declared.exact
    )


def _revisions(project: Project, scripts: Scripts) -> Iterator[_Revision]:
    for path in project.tree.match(f"{scripts.versions}**.py"):
        module = project.module(path)
        if module is None:
            continue
        found = _read_revision(project, module)
        if found is not None:
            yield found


def _read_revision(project: Project, module: Module) -> _Revision | None:
    values: dict[str, Any] = {}
    annotated = False
    for node in module.tree.body:
        if isinstance(node, ast.Assign):
            name = ast.unparse(node.targets[0])
        elif isinstance(node, ast.AnnAssign):
            name = ast.unparse(node.target)
        else:
            continue
        values[name] = project.literal(node.value, module)
        if name == "revision":
            annotated = isinstance(node, ast.AnnAssign)
    revision, below = values.get("revision"), values.get("down_revision")
    if not isinstance(revision, str):
        return None
    follows: tuple[str, ...] = ()
    if isinstance(below, tuple | list):
        follows = tuple(below)
    elif isinstance(below, str):
        follows = (below,)
    return _Revision(revision, follows, annotated)


def _find_head(scripts: Scripts, there: list[_Revision]) -> _Revision | None:
    followed: set[str] = set()
    for revision in there:
        followed.update(revision.follows)
    heads = [revision for revision in there if revision.id not in followed]
    heads.sort(key=lambda one: one.id)
    if len(heads) > 1:
        message = f"{scripts.versions} has several heads: {', '.join(head.id for head in heads)}"
        raise Blocked(message, hint="join them first: alembic merge heads")
    if not heads:
        return None
    return heads[0]


def _choose_id(wanted: Wanted, there: list[_Revision], head: _Revision | None) -> str:
    """The next number where the repository counts; else twelve hexadecimal digits, the same for the
    same job.
    """
    before = ""
    if head is not None:
        before = head.id
        if all(re.fullmatch(r"\d+", revision.id) for revision in there):
            number = max(int(revision.id) for revision in there) + 1
            return f"{number:0{len(before)}}"
    text = f"{wanted.job} {wanted.table} {wanted.dead_table} {before}"
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _write_file_name(template: str, revision: str, slug: str, moment: datetime) -> str:
    parts = {
        "rev": revision,
        "slug": slug[:_SLUG_LENGTH].rstrip("_"),
        "epoch": int(moment.timestamp()),
        "year": moment.year,
        "month": moment.month,
        "day": moment.day,
        "hour": moment.hour,
        "minute": moment.minute,
        "second": moment.second,
    }
    try:
        return template % parts
    except (KeyError, ValueError, TypeError):
        return _TEMPLATE % parts

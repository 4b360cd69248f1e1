"""What a repository does for those who operate it: its notes, and the metrics that its code
emits.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from skillrun.repo.places import is_test, is_vendored
from skillrun.skills.job_worker.scaffold.manner.configured import read_text
from skillrun.skills.job_worker.scaffold.manner.neighbours import common

if TYPE_CHECKING:
    from skillrun.repo.python import Project
    from skillrun.repo.tree import Tree

_FOLDER = r"runbooks?|playbooks?|operations|ops|operating"
_JOBS = r"jobs|tasks|workers|background[-_]?(?:jobs|tasks|workers)|async[-_]?(?:jobs|tasks)|celery|rq|queues?"
_DOCS = r"(?:docs?|documentation)/(?:(?:dev|development|developers?|internals?|engineering|backend|architecture|ops)/)?"
_OPERATING_FILE = re.compile(rf"(?i)(?:^|/)(?:{_FOLDER}|on[-_]?call)\.md$")
_OPERATING_FOLDER = re.compile(rf"(?i)(?:^|/)(?:{_FOLDER})/[\w./-]+\.md$")
_JOBS_FILE = re.compile(rf"(?i)(?:^|/){_DOCS}(?:{_JOBS})\.md$")
_JOBS_FOLDER = re.compile(rf"(?i)(?:^|/){_DOCS}(?:{_JOBS})/[\w.-]+\.md$")
_EXAMPLE = re.compile(r"(?i)(?:^|/)(?:examples?|demos?|samples?|templates?|cookbook)/")
_INDEX = re.compile(r"(?i)(?:readme|index|_?template|overview)\.md")
_IMPORTS = {
    "prometheus_client": re.compile(r"(?m)^\s*(?:from|import)\s+prometheus_client\b"),
    "opentelemetry": re.compile(r"(?m)^\s*(?:from|import)\s+opentelemetry\b"),
}
_WORDS = (b"prometheus_client", b"opentelemetry", b"statsd")
_COUNTS = re.compile(r"\.incr(?:ement)?\(")


def _is_ours(path: str, handler_path: str) -> bool:
    """No part of an example, unless the handler is one too."""
    shown = _EXAMPLE.search(path)
    return (
        not is_vendored(path)
        and not is_test(path)
        and (not shown or handler_path.startswith(path[: shown.end()]))
    )


def find_notes(tree: Tree, handler_path: str, job: str) -> str | None:
    """The Markdown file for this job's operational notes: one of its own where the others have
    theirs in a folder.
    """
    paths = []
    for p in tree.files:
        if p.lower().endswith(".md") and _is_ours(p, handler_path):
            paths.append(p)
    paths.sort(
        key=lambda path: (
            -common(path.split("/")[:-1], handler_path.split("/")),
            path.count("/"),
            path,
        )
    )
    for folder, single in ((_OPERATING_FOLDER, _OPERATING_FILE), (_JOBS_FOLDER, _JOBS_FILE)):
        held = [path for path in paths if folder.search(path)]
        if held:
            return _of_its_own(held, job)
        if found := next((path for path in paths if single.search(path)), None):
            return found
    return None


def _of_its_own(paths: list[str], job: str) -> str:
    """`docs/runbooks/send-receipt.md`, spelled as its neighbours are; the index where there is
    nothing else.
    """
    nearest = paths[0].rpartition("/")[0]
    names = []
    for path in paths:
        if path.rpartition("/")[0] == nearest:
            names.append(path.rpartition("/")[2])
    others = []
    for name in names:
        if not _INDEX.fullmatch(name):
            others.append(name)
    underscored = sum("_" in name for name in others) > sum("-" in name for name in others)
    return f"{nearest}/{job.replace('-', '_') if underscored else job.replace('_', '-')}.md"


@dataclass(frozen=True)
class Metrics:
    """The library; of statsd also the repository's client ("shop.metrics", "statsd") and its method
    that counts.
    """

    library: str
    client: tuple[str, str] | None = None
    count: str = "incr"


def find_metrics(tree: Tree, project: Project) -> Metrics | None:
    """The metrics library that most of the repository's own files use; None where none does.

    statsd counts where files import a client of it: what a file makes for itself cannot be shared.
    """
    found: Counter[Metrics] = Counter()
    for path in tree.files:
        if (
            path.endswith(".py")
            and not is_vendored(path)
            and not is_test(path)
            and _speaks(tree.peek(path))
        ):
            text = read_text(tree, path)
            found.update(
                Metrics(name) for name, pattern in _IMPORTS.items() if pattern.search(text)
            )
            found.update(_clients(project, path) if _COUNTS.search(text) else ())
    if not found:
        return None
    return found.most_common(1)[0][0]


def _speaks(data: bytes | None) -> bool:
    return data is not None and any(word in data for word in _WORDS)


def _clients(project: Project, path: str) -> Iterator[Metrics]:
    """The statsd clients that a file imports and counts with, e.g. `from shop.metrics import
    statsd`.
    """
    module = project.module(path)
    if module is None:
        return
    for node in module.nodes(ast.Attribute):
        if node.attr in ("incr", "increment") and isinstance(node.value, ast.Name):
            home, _, name = (module.resolve(node.value) or "").rpartition(".")
            if (
                "statsd" in f"{home}.{name}".lower()
                and home not in ("", module.name)
                and "(" not in name
            ):
                yield Metrics("statsd", (home, name), node.attr)

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
# docs/runbook.md, on-call.md; docs/runbooks/receipts.md; docs/jobs.md; docs/jobs/receipts.md
_OPERATING_FILE = re.compile(rf"(?i)(?:^|/)(?:{_FOLDER}|on[-_]?call)\.md$")
_OPERATING_FOLDER = re.compile(rf"(?i)(?:^|/)(?:{_FOLDER})/[\w./-]+\.md$")
_JOBS_FILE = re.compile(rf"(?i)(?:^|/){_DOCS}(?:{_JOBS})\.md$")
_JOBS_FOLDER = re.compile(rf"(?i)(?:^|/){_DOCS}(?:{_JOBS})/[\w.-]+\.md$")
_EXAMPLE = re.compile(r"(?i)(?:^|/)(?:examples?|demos?|samples?|templates?|cookbook)/")
# Names that say nothing of how a folder's files are named.
_INDEX = re.compile(r"(?i)(?:readme|index|_?template|overview)\.md")
_IMPORTS = {
    "prometheus_client": re.compile(r"(?m)^\s*(?:from|import)\s+prometheus_client\b"),
    "opentelemetry": re.compile(r"(?m)^\s*(?:from|import)\s+opentelemetry\b"),
}
_WORDS = (b"prometheus_client", b"opentelemetry", b"statsd")
_COUNTS = re.compile(r"\.incr(?:ement)?\(")


def _is_ours(path: str, handler_path: str) -> bool:
    """Whether it is the repository's own, and no part of an example, unless the handler is one
    too.
    """
    if is_vendored(path) or is_test(path):
        return False
    example = _EXAMPLE.search(path)
    return example is None or handler_path.startswith(path[: example.end()])


def find_notes(tree: Tree, handler_path: str, job: str) -> str | None:
    """The Markdown file for this job's operational notes: one of its own where the others have
    theirs in a folder.
    """
    paths = []
    for path in tree.files:
        if path.lower().endswith(".md") and _is_ours(path, handler_path):
            paths.append(path)

    def rank(path: str) -> tuple[int, int, str]:
        shared = common(path.split("/")[:-1], handler_path.split("/"))
        return -shared, path.count("/"), path

    paths.sort(key=rank)
    for folder, single in ((_OPERATING_FOLDER, _OPERATING_FILE), (_JOBS_FOLDER, _JOBS_FILE)):
        in_folder = [path for path in paths if folder.search(path)]
        if in_folder:
            return _name_own_file(in_folder, job)
        for path in paths:
            if single.search(path):
                return path
    return None


def _name_own_file(paths: list[str], job: str) -> str:
    """`docs/runbooks/send-receipt.md` in the nearest folder, spelled as its neighbours are."""
    nearest = paths[0].rpartition("/")[0]
    underscored = dashed = 0
    for path in paths:
        folder, _, name = path.rpartition("/")
        if folder == nearest and not _INDEX.fullmatch(name):
            underscored += "_" in name
            dashed += "-" in name
    name = job.replace("_", "-")
    if underscored > dashed:
        name = job.replace("-", "_")
    return f"{nearest}/{name}.md"


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
    uses: Counter[Metrics] = Counter()
    for path in tree.files:
        if not path.endswith(".py") or is_vendored(path) or is_test(path):
            continue
        if not _names_library(tree.peek(path)):
            continue
        text = read_text(tree, path)
        for library, pattern in _IMPORTS.items():
            if pattern.search(text):
                uses[Metrics(library)] += 1
        if _COUNTS.search(text):
            uses.update(_find_clients(project, path))
    if not uses:
        return None
    return uses.most_common(1)[0][0]


def _names_library(data: bytes | None) -> bool:
    """Whether one of the libraries is named anywhere in a file: a quick look at its bytes."""
    return data is not None and any(word in data for word in _WORDS)


def _find_clients(project: Project, path: str) -> Iterator[Metrics]:
    """The statsd clients that a file imports and counts with, e.g. `from shop.metrics import
    statsd`.
    """
    module = project.module(path)
    if module is None:
        return
    for node in module.nodes(ast.Attribute):
        if node.attr not in ("incr", "increment") or not isinstance(node.value, ast.Name):
            continue
        home, _, name = (module.resolve(node.value) or "").rpartition(".")
        # Made in this file, or by a call: nobody else can import it.
        is_own = home in ("", module.name) or "(" in name
        if not is_own and "statsd" in f"{home}.{name}".lower():
            yield Metrics("statsd", (home, name), node.attr)

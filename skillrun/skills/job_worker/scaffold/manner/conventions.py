"""The conventions of a repository, read from its text: how a file near the handler would have been
written there.
"""

from __future__ import annotations

import shlex
from itertools import pairwise
from typing import TYPE_CHECKING

from skillrun.frameworks.pieces import Conventions, Symbol
from skillrun.repo.manifests import read_manifests
from skillrun.skills.job_worker.scaffold.manner.configured import Settings, read_settings
from skillrun.skills.job_worker.scaffold.manner.formatters import Named, find_formatters
from skillrun.skills.job_worker.scaffold.manner.habits import (
    absolute_imports,
    annotated,
    annotated_tests,
    fits,
    indents,
    majority,
    quotes,
)
from skillrun.skills.job_worker.scaffold.manner.integration import find_integration
from skillrun.skills.job_worker.scaffold.manner.loggers import Logger, find_log_style, find_logger
from skillrun.skills.job_worker.scaffold.manner.neighbours import (
    Neighbour,
    find_neighbours,
    find_tests,
)
from skillrun.skills.job_worker.scaffold.manner.operating import find_metrics, find_notes
from skillrun.skills.job_worker.scaffold.manner.pythons import find_python
from skillrun.skills.job_worker.scaffold.manner.testhomes import TestHome, find_test_home

if TYPE_CHECKING:
    from skillrun.repo.tree import Tree
    from skillrun.skills.job_worker.stages.interface import JobCase

_USUAL = Conventions()
_DOUBLE = ("black", "ruff format")


def read_conventions(case: JobCase, handler_path: str) -> Conventions:
    """How the repository writes what stands near `handler_path`, relative to its root; the file
    need not exist.

    Nothing is run. What the repository does not show is as in `Conventions()`; nothing in its files
    makes this fail.
    """
    tree, project = case.tree, case.project
    module = project.import_name(handler_path)
    settings, manifests = read_settings(tree, handler_path), read_manifests(tree)
    files = find_neighbours(tree, handler_path)
    formatters = find_formatters(tree, settings, manifests, handler_path)
    logger = find_logger(project, files)
    shown = logger or Logger(_USUAL.logger, _USUAL.logger_import, _USUAL.logger_value)
    home = find_test_home(tree, case.survey_everything(), manifests, settings, handler_path, module)
    annotations = majority(files, annotated) is not False
    of_tests = majority(find_tests(tree, home.folder), annotated_tests)
    metrics = find_metrics(tree, project)
    relative = (
        majority(files, absolute_imports(module.partition(".")[0])) is False
        and not settings.absolute_imports
    )
    return Conventions(
        quote=_quote(settings, formatters, files),
        indent=_indent(settings, formatters, files),
        line_length=_line_length(settings, formatters, files),
        annotations=annotations,
        test_annotations=annotations if of_tests is None else of_tests,
        absolute_imports=not relative,
        logger=shown.name,
        logger_import=shown.imported,
        logger_value=shown.value,
        log_style=find_log_style(logger, project, files),
        formatters=tuple(named.command for named in formatters),
        test_runner=home.runner,
        tests=home.folder,
        test_pattern=_with_room(tree, home, _job(case, module)),
        integration=find_integration(
            tree, settings, home.folder, handler_path, case.use.broker if case.use else None
        ),
        notes=find_notes(tree, handler_path, _job(case, module)),
        metrics=metrics.library if metrics else None,
        metrics_client=Symbol(*metrics.client) if metrics and metrics.client else None,
        metrics_count=metrics.count if metrics else _USUAL.metrics_count,
        python=find_python(tree, handler_path) or _USUAL.python,
        source_root=source_root(handler_path, module),
    )


def source_root(path: str, module: str) -> str:
    """The folder that leads import paths: "src" for src/shop/tasks.py, which is imported as
    shop.tasks.
    """
    tail = module.replace(".", "/")
    return path.removesuffix(".py").removesuffix("/__init__").removesuffix(tail).rstrip("/")


def _job(case: JobCase, module: str) -> str:
    if case.spec:
        return case.spec.job
    return module.rpartition(".")[2]


def _with_room(tree: Tree, home: TestHome, job: str) -> str:
    """A `tests.py` that is there holds other tests: the job's are in a file beside it, which is
    found as well.
    """
    there = tree.read(f"{home.folder}/{home.pattern}".lstrip("/"))
    if there is None or f"{job}:".encode() in there:
        return home.pattern
    return "test_{}.py"


def _formats(formatters: tuple[Named, ...]) -> bool:
    return any(named.tool in _DOUBLE for named in formatters)


def _quote(settings: Settings, formatters: tuple[Named, ...], files: tuple[Neighbour, ...]) -> str:
    """The formatter's, unless it is told to leave them; then what most files do."""
    if settings.quote:
        return settings.quote
    kept = settings.keeps_quotes or any(
        {"-S", "--skip-string-normalization"} & set(n.options) for n in formatters
    )
    if _formats(formatters) and not kept:
        return '"'
    return majority(files, quotes) or _USUAL.quote


def _indent(settings: Settings, formatters: tuple[Named, ...], files: tuple[Neighbour, ...]) -> str:
    if any(named.tool == "black" for named in formatters):
        return _USUAL.indent
    return majority(files, indents) or settings.indent or _USUAL.indent


def _line_length(
    settings: Settings, formatters: tuple[Named, ...], files: tuple[Neighbour, ...]
) -> int:
    """An option of the formatter, its configuration; else 79 columns where nearly all lines keep to
    them.
    """
    for named in formatters:
        for length in _lengths(named):
            return length
        if named.tool in _DOUBLE:
            return settings.length_for(named.tool) or _USUAL.line_length
    if settings.line_length:
        return settings.line_length
    if not _formats(formatters) and files and fits(files, 79):
        return 79
    return _USUAL.line_length


def _lengths(named: Named) -> list[int]:
    words = shlex.split(named.command.replace("=", " "))
    given = []
    for name, value in pairwise(words):
        if name in ("-l", "--line-length", "--max-line-length"):
            given.append(value)
    return [int(value) for value in given if value.isdecimal()]

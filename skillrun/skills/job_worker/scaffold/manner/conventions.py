"""The conventions of a repository, read from its text: how a file near the handler would have been
written there.
"""

from __future__ import annotations

import shlex
from dataclasses import replace
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
from skillrun.skills.job_worker.scaffold.manner.operating import (
    Metrics,
    find_metrics,
    find_notes,
)
from skillrun.skills.job_worker.scaffold.manner.pythons import find_python
from skillrun.skills.job_worker.scaffold.manner.testhomes import TestHome, find_test_home

if TYPE_CHECKING:
    from skillrun.repo.tree import Tree
    from skillrun.skills.job_worker.job_case import JobCase

_USUAL = Conventions()
# Formatters that write double quotes unless they are told otherwise.
_DOUBLE = ("black", "ruff format")
_PEP_8_LENGTH = 79


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
    test_annotations = majority(find_tests(tree, home.folder), annotated_tests)
    # Tests that do not show it are written as the code is.
    if test_annotations is None:
        test_annotations = annotations
    relative = (
        majority(files, absolute_imports(module.partition(".")[0])) is False
        and not settings.absolute_imports
    )
    broker = None
    if case.use:
        broker = case.use.broker
    conventions = Conventions(
        quote=_choose_quote(settings, formatters, files),
        indent=_choose_indent(settings, formatters, files),
        line_length=_choose_line_length(settings, formatters, files),
        annotations=annotations,
        test_annotations=test_annotations,
        absolute_imports=not relative,
        logger=shown.name,
        logger_import=shown.imported,
        logger_value=shown.value,
        log_style=find_log_style(logger, project, files),
        formatters=tuple(named.command for named in formatters),
        test_runner=home.runner,
        tests=home.folder,
        test_pattern=_choose_test_pattern(tree, home, _name_job(case, module)),
        integration=find_integration(tree, settings, home.folder, handler_path, broker),
        notes=find_notes(tree, handler_path, _name_job(case, module)),
        python=find_python(tree, handler_path) or _USUAL.python,
        source_root=source_root(handler_path, module),
    )
    return _add_metrics(conventions, find_metrics(tree, project))


def _add_metrics(conventions: Conventions, metrics: Metrics | None) -> Conventions:
    """The conventions with how the repository counts, where it does."""
    if metrics is None:
        return conventions
    client = None
    if metrics.client:
        client = Symbol(*metrics.client)
    return replace(
        conventions,
        metrics=metrics.library,
        metrics_client=client,
        metrics_count=metrics.count,
    )


def source_root(path: str, module: str) -> str:
    """The folder that leads import paths: "src" for src/shop/tasks.py, which is imported as
    shop.tasks.
    """
    tail = module.replace(".", "/")
    return path.removesuffix(".py").removesuffix("/__init__").removesuffix(tail).rstrip("/")


def _name_job(case: JobCase, module: str) -> str:
    """The job's name, or that of its module where there is no spec."""
    if case.spec:
        return case.spec.job
    return module.rpartition(".")[2]


def _choose_test_pattern(tree: Tree, home: TestHome, job: str) -> str:
    """How the file of the job's tests is named. A `tests.py` that is there holds other tests: the
    job's are in a file beside it, which is found as well.
    """
    there = tree.read(f"{home.folder}/{home.pattern}".lstrip("/"))
    if there is None or f"{job}:".encode() in there:
        return home.pattern
    return "test_{}.py"


def _has_double_quotes(formatters: tuple[Named, ...]) -> bool:
    """Whether a formatter is in use that writes double quotes unless it is told otherwise."""
    return any(named.tool in _DOUBLE for named in formatters)


def _choose_quote(
    settings: Settings, formatters: tuple[Named, ...], files: tuple[Neighbour, ...]
) -> str:
    """The quote that the configuration names, or the formatter's, unless it is told to leave them;
    then the one of most files.
    """
    if settings.quote:
        return settings.quote
    are_kept = settings.keeps_quotes
    for named in formatters:
        if not {"-S", "--skip-string-normalization"}.isdisjoint(named.options):
            are_kept = True
    if _has_double_quotes(formatters) and not are_kept:
        return '"'
    return majority(files, quotes) or _USUAL.quote


def _choose_indent(
    settings: Settings, formatters: tuple[Named, ...], files: tuple[Neighbour, ...]
) -> str:
    """What a line is indented with. Black knows four spaces alone."""
    if any(named.tool == "black" for named in formatters):
        return _USUAL.indent
    return majority(files, indents) or settings.indent or _USUAL.indent


def _choose_line_length(
    settings: Settings, formatters: tuple[Named, ...], files: tuple[Neighbour, ...]
) -> int:
    """How long a line may be: an option of the formatter, then its configuration, else PEP 8's 79
    columns where nearly all lines keep to them.
    """
    for named in formatters:
        length = _read_length(named)
        if length is not None:
            return length
        if named.tool in _DOUBLE:
            return settings.length_for(named.tool) or _USUAL.line_length
    if settings.line_length:
        return settings.line_length
    if not _has_double_quotes(formatters) and files and fits(files, _PEP_8_LENGTH):
        return _PEP_8_LENGTH
    return _USUAL.line_length


def _read_length(named: Named) -> int | None:
    """The line length that a command is given: 100 for `black -l 100`."""
    words = shlex.split(named.command.replace("=", " "))
    for name, value in pairwise(words):
        if name in ("-l", "--line-length", "--max-line-length") and value.isdecimal():
            return int(value)
    return None

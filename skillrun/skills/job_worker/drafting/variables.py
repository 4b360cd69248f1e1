"""The environment variables with which a repository runs its own tests, as its files say."""

from __future__ import annotations

import configparser
import re
import tomllib
from collections.abc import Mapping
from typing import TYPE_CHECKING

from skillrun.repo.places import is_vendored

if TYPE_CHECKING:
    from skillrun.repo.tree import Tree

_DJANGO = "DJANGO_SETTINGS_MODULE"
# os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings", and setdefault(...).
_IN_CODE = re.compile(rf"['\"]{_DJANGO}['\"]\s*(?:,|\]\s*=)\s*['\"]([\w.]+)['\"]")
_OF_TESTS = re.compile(
    r"(?:^|/)(?:tests?/settings|test_?settings|settings/tests?|settings_tests?)\.py$"
)
_SCRIPTS = ("runtests.py", "run_tests.py", "manage.py")
_SET = re.compile(r"\s*([A-Za-z_]\w*)\s*=\s*(.*?)\s*")
# Of a file of variables that each developer copies and fills in: the first one that is there.
_SAMPLES = (".env.test", ".env.example", ".env.sample", ".env.dist", ".env.template", "env.example")
_OF_MACHINE = frozenset(
    {"PATH", "HOME", "PYTHONPATH", "TMPDIR", "TZ", "LD_PRELOAD", "PYTHONSTARTUP"}
)
_IN_SAMPLE = re.compile(r"(?:export\s+)?([A-Za-z_]\w*)=(.*)")
# What a shell would fill in, and what is for a person to fill in.
_UNFILLED = re.compile(r"\$|\{|<[^>]*>|^$")
_FILES = (*_SCRIPTS, "pyproject.toml", "pytest.ini", "tox.ini", "setup.cfg")
_OF_PYTEST = (("pytest.ini", "pytest"), ("tox.ini", "pytest"), ("setup.cfg", "tool:pytest"))


def read_variables(tree: Tree, home: str = ".") -> dict[str, str]:
    """Name -> value. What pytest is told counts more than what another way to run the tests is.
    `home`: the folder in which they are run, whose files count more than those above it.
    """
    found = _read_folder(tree, ".")
    if home != ".":
        found.update(_read_folder(tree, home))
    if _DJANGO not in found:
        found.update(_find_settings(tree))
    return found


def find_sample(tree: Tree) -> str | None:
    """The file's name; None where the application has its variables committed as they are used."""
    if _read_text(tree, ".", ".env"):
        return None
    return next((name for name in _SAMPLES if _read_text(tree, ".", name)), None)


def read_sample(tree: Tree) -> dict[str, str]:
    """What a developer's own file of variables begins as: nothing else says it of an application
    whose settings need variables.
    """
    found = {}
    for line in _read_text(tree, ".", find_sample(tree) or "").splitlines():
        named = _IN_SAMPLE.fullmatch(line.strip())
        if named is None:
            continue
        value = _strip_quotes(named[2])
        if not _UNFILLED.search(value) and named[1] not in _OF_MACHINE:
            found[named[1]] = value
    return found


def _strip_quotes(value: str) -> str:
    value = value.strip()
    for quote in ("'", '"'):
        if len(value) > 1 and value[0] == value[-1] == quote:
            return value[1:-1]
    return value.partition(" #")[0].rstrip()


def _find_settings(tree: Tree) -> dict[str, str]:
    """Where no file at the root says which settings a Django project has: those of a manage.py in a
    folder of its own, such as a plug-in's example project, else the only ones that tests have.
    """
    for path in sorted(tree.files, key=_count_folders):
        folder, _, name = path.rpartition("/")
        if name != "manage.py" or is_vendored(path):
            continue
        named = _IN_CODE.search(_read_text(tree, folder or ".", name))
        if named is not None:
            return {_DJANGO: named[1], "PYTHONPATH": folder} if folder else {_DJANGO: named[1]}
    for_tests = []
    for path in tree.files:
        if _OF_TESTS.search(path) and b"django" in (tree.read(path) or b""):
            for_tests.append(path)
    if len(for_tests) == 1:
        return {_DJANGO: for_tests[0].removesuffix(".py").replace("/", ".")}
    return {}


def _count_folders(path: str) -> int:
    return path.count("/")


def _read_folder(tree: Tree, home: str) -> dict[str, str]:
    texts = {name: _read_text(tree, home, name) for name in _FILES}
    found = _read_tox(texts["tox.ini"])
    for script in _SCRIPTS:
        named = _IN_CODE.search(texts[script])
        if named is not None:
            found.setdefault(_DJANGO, named[1])
    settings = _read_pytest(texts)
    if settings is not None:
        found[_DJANGO] = settings
    return found


def _read_tox(text: str) -> dict[str, str]:
    """`setenv` of tox.ini, without what tox would fill in."""
    found = {}
    for line in _read_section(text, "testenv").get("setenv", "").splitlines():
        named = _SET.fullmatch(line)
        if named is not None and "{" not in named[2] and named[1] != "PYTHONPATH":
            found[named[1]] = named[2]
    return found


def _read_pytest(texts: Mapping[str, str]) -> str | None:
    try:
        document = tomllib.loads(texts["pyproject.toml"])
    except tomllib.TOMLDecodeError:
        document = {}
    options = document.get("tool", {}).get("pytest", {}).get("ini_options", {})
    if isinstance(options.get(_DJANGO), str):
        return str(options[_DJANGO])
    for name, section in _OF_PYTEST:
        # As configparser spells every option.
        named = _read_section(texts[name], section).get(_DJANGO.lower())
        if named is not None:
            return named
    return None


def _read_section(text: str, section: str) -> Mapping[str, str]:
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        parser.read_string(text)
    except configparser.Error:
        return {}
    return dict(parser[section]) if section in parser else {}


def _read_text(tree: Tree, home: str, name: str) -> str:
    path = name if home == "." else f"{home}/{name}"
    return (tree.read(path) or b"").decode("utf-8", "replace")

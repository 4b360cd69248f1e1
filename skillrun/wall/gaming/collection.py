"""Settings by which the test runner leaves tests out, and Python files that nothing can be said
of.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import Any

from skillrun.core.opening import parse_toml
from skillrun.core.verdict import Finding, Severity
from skillrun.repo.places import is_taken_for_tests
from skillrun.wall.diff import Diff, File
from skillrun.wall.gaming.making import doubtful, quoted, taken
from skillrun.wall.gaming.specs import at

ID = "uncollected-tests"
HELP = (
    "Tests that the runner leaves out find nothing. Found, where the base has none: collect_ignore"
    " in a conftest.py, --ignore, --deselect, -k and -m in pytest's addopts, plugins that are"
    " loaded or turned off, other settings that say what is collected, hooks that decide what a"
    " result is, and calls that end the run. A Python file that cannot be parsed is a note."
)
_SETTINGS = (
    "pytest.ini",
    ".pytest.ini",
    "pytest.toml",
    ".pytest.toml",
    "pyproject.toml",
    "tox.ini",
    "setup.cfg",
)
_LEAVING_OUT = re.compile(
    r"(?:^|\s|[\"'])(--ignore(?:-glob)?|--deselect|-[km]|--co(?:llect-only)?|--noconftest)(?![\w-])"
)
_LOADING = re.compile(r"(?:^|\s|[\"'])-p[\s=\"',]*([\w.:]+)")
_WHAT_COUNTS = ("testpaths", "norecursedirs", "python_files", "python_classes", "python_functions")
# Hooks by which a conftest decides what runs, and what is said of it.
_DECIDING = (
    *(
        "pytest_ignore_collect",
        "pytest_collection_modifyitems",
        "pytest_pyfunc_call",
        "pytest_sessionfinish",
    ),
    *(
        "pytest_runtest_makereport",
        "pytest_runtest_call",
        "pytest_runtest_protocol",
        "pytest_report_teststatus",
    ),
)
# Hooks that are called before the tests, or beside them: what they do decides what they are for.
_BESIDE = (
    *("pytest_configure", "pytest_plugin_registered", "pytest_load_initial_conftests"),
    *(
        "pytest_runtest_logreport",
        "pytest_cmdline_main",
        "pytest_cmdline_parse",
        "pytest_unconfigure",
    ),
)
# Names by which code of the repository takes hold of plugins, hooks and frames that are not its
# own.
_REACHING = frozenset(
    (
        *("get_plugins", "list_name_plugin", "list_plugin_distinfo"),
        *("get_hookimpls", "get_hookcallers", "_hookimpls", "_hookexec", "add_hookcall_monitoring"),
        *("unregister", "set_blocked", "subset_hook_caller", "__closure__", "cell_contents"),
        *(
            "get_objects",
            "get_referrers",
            "get_referents",
            "currentframe",
            "_getframe",
            "_current_frames",
        ),
        *("f_back", "f_locals", "gi_frame", "tb_frame", "settrace", "setprofile"),
    )
)
# What a conftest may well ask of the manager: for a plugin by its name, and to take its own.
_ASKED_OF_MANAGER = (
    "register",
    "hasplugin",
    "has_plugin",
    "getplugin",
    "get_plugin",
    "import_plugin",
)
_STACK = ("inspect.stack", "inspect.trace", "sys.modules['__main__']")
_REPORTED = ("outcome", "longrepr", "wasxfail", "when", "excinfo")
_ENDING = re.compile(r"(os\._exit|sys\.exit|exit|quit)\(0?\)$|pytest\.exit\(")
_SECTION = re.compile(r"^\[(?:tool:)?pytest\]\s*\n(.*?)(?=^\[|\Z)", re.MULTILINE | re.DOTALL)
_INI = re.compile(r"^(\w+)\s*=\s*(.*(?:\n[ \t]+.*)*)", re.MULTILINE)


def find(diff: Diff) -> Iterator[Finding]:
    """The findings of every conftest.py and every file with pytest's settings."""
    for file in diff.files_named("conftest.py"):
        yield from _check_conftest(file)
    for file in diff.files_named(*_SETTINGS):
        yield from _check_settings(file)
    for file in diff.python_files():
        if file.path.rpartition("/")[2] == "conftest.py" or _is_plugin(file):
            yield from _check_reaching(file)
        if is_taken_for_tests(file.path) or file.path.rpartition("/")[2] == "conftest.py":
            yield from _check_ended(file)
        if file.new is not None and file.new_tree is None:
            message = "this file cannot be parsed, so nothing can be said of its changes"
            yield Finding(f"gaming.{ID}", Severity.NOTE, message, file.path, 1, "mend its syntax")


def _check_conftest(file: File) -> Iterator[Finding]:
    known = {text for text, _ in _find_ignoring(file.old_tree)}
    for text, node in _find_ignoring(file.new_tree):
        if text in known:
            continue
        # A hook may do anything, and mostly does no harm; collect_ignore leaves tests out.
        is_left_out = "collect_ignore" in text and not isinstance(node, ast.FunctionDef)
        make = taken if is_left_out else doubtful
        message = f"what runs and what counts is decided here: {quoted(text)}"
        yield make(ID, file, node.lineno, message)


def _walk_tree(tree: ast.Module | None) -> Iterator[ast.AST]:
    """The nodes of a tree; none where there is no file, or it cannot be parsed."""
    if tree is not None:
        yield from ast.walk(tree)


def _is_plugin(file: File) -> bool:
    """A module that has hooks of pytest: `-p`, `pytest_plugins` and entry points name such."""
    for node in _walk_tree(file.new_tree):
        if isinstance(node, ast.FunctionDef) and node.name.startswith("pytest_"):
            return True
    return False


def _check_reaching(file: File) -> Iterator[Finding]:
    """Code that takes hold of the plugins and hooks of others, or writes what a report says."""
    known = {text for text, _ in _find_reaching(file.old_tree)}
    for text, line in _find_reaching(file.new_tree):
        if text not in known:
            known.add(text)
            message = f"this can change what other plugins see and say of the tests: {quoted(text)}"
            yield taken(ID, file, line, message)
    yield from _check_new_hooks(file)


def _check_new_hooks(file: File) -> Iterator[Finding]:
    """Hooks that the base does not have. Where a line of one is a finding already, it is enough."""
    error_lines = [line for _, line in _find_reaching(file.new_tree)]
    error_lines += [line for _, line in _find_ending_calls(file.new_tree)]
    known = {node.name for node in _list_hooks(file.old_tree)}
    for hook in _list_hooks(file.new_tree):
        if hook.name in known or _is_plain(hook):
            continue
        end = hook.end_lineno or 0
        if any(hook.lineno <= line <= end for line in error_lines):
            continue
        shown = quoted(f"def {hook.name}")
        message = f"what runs and what counts can be decided here: {shown}"
        yield doubtful(ID, file, hook.lineno, message, hint="look at what the hook does")


def _find_reaching(tree: ast.Module | None) -> Iterator[tuple[str, int]]:
    """(text, line) of each statement's first such expression."""
    seen: set[int] = set()
    usual: set[int] = set()
    for node in _walk_tree(tree):
        if isinstance(node, ast.Attribute) and node.attr in _ASKED_OF_MANAGER:
            usual.add(id(node.value))
        if not isinstance(node, _LOOKED_AT) or id(node) in usual or node.lineno in seen:
            continue
        if _reaches_for_others(node):
            seen.add(node.lineno)
            yield ast.unparse(node), node.lineno


_LOOKED_AT = (ast.Attribute, ast.Name, ast.Call, ast.Subscript, ast.Assign)


def _reaches_for_others(node: ast.AST) -> bool:
    if isinstance(node, ast.Attribute):
        return node.attr in _REACHING or node.attr == "pluginmanager" or ast.unparse(node) in _STACK
    if isinstance(node, ast.Name):
        return node.id in _REACHING
    if isinstance(node, ast.Subscript):
        return ast.unparse(node) in _STACK
    if isinstance(node, ast.Assign):
        return any(_is_report(target) for target in node.targets)
    if not isinstance(node, ast.Call):
        return False
    if ast.unparse(node.func) not in ("getattr", "setattr"):
        return False
    words = [str(word.value) for word in node.args if isinstance(word, ast.Constant)]
    return not _REACHING.isdisjoint(words)


def _is_report(target: ast.expr) -> bool:
    """`report.outcome = ...`: a report by its name, or what a hook's wrapper was given."""
    if not isinstance(target, ast.Attribute) or target.attr not in _REPORTED:
        return False
    owner = ast.unparse(target.value)
    return owner in ("report", "rep") or owner.endswith(".get_result()")


def _list_hooks(tree: ast.Module | None) -> Iterator[ast.FunctionDef]:
    for node in _walk_tree(tree):
        if isinstance(node, ast.FunctionDef) and node.name in _BESIDE:
            yield node


# What a pytest_configure usually does. `addinivalue_line` is how a marker is registered.
_USUAL = ("config.addinivalue_line", "os.environ.setdefault", "django.setup", "settings.configure")


def _is_plain(hook: ast.FunctionDef) -> bool:
    """Whether a pytest_configure does nothing but what is usual there."""
    if hook.name != "pytest_configure":
        return False
    for statement in hook.body:
        value = statement.value if isinstance(statement, ast.Expr) else None
        is_usual = isinstance(value, ast.Call) and ast.unparse(value.func) in _USUAL
        if not is_usual and not isinstance(value, ast.Constant):
            return False
    return True


def _check_ended(file: File) -> Iterator[Finding]:
    """Calls that end the whole run with success."""
    known = {text for text, _ in _find_ending_calls(file.old_tree)}
    for text, line in _find_ending_calls(file.new_tree):
        if text not in known:
            yield taken(ID, file, line, f"the test run is ended from inside: {quoted(text)}")


def _find_ending_calls(tree: ast.Module | None) -> Iterator[tuple[str, int]]:
    for node in _walk_tree(tree):
        if not isinstance(node, ast.Call):
            continue
        text = ast.unparse(node)
        if _ENDING.match(text):
            yield text, node.lineno


def _find_ignoring(tree: ast.Module | None) -> Iterator[tuple[str, ast.stmt]]:
    for node in _walk_tree(tree):
        if isinstance(node, ast.FunctionDef) and node.name in _DECIDING:
            yield f"def {node.name}", node
        elif isinstance(node, ast.Assign | ast.AugAssign | ast.Expr) and _says_what_runs(node):
            yield ast.unparse(node), node


def _says_what_runs(node: ast.Assign | ast.AugAssign | ast.Expr) -> bool:
    loads_plugins = isinstance(node, ast.Assign) and _names_any(node.targets[0], "pytest_plugins")
    return loads_plugins or _names_any(node, "collect_ignore")


def _names_any(node: ast.AST, word: str) -> bool:
    return word in ast.unparse(node)


def _check_settings(file: File) -> Iterator[Finding]:
    old, new = _read_options(file.old, file.path), _read_options(file.new, file.path)
    yield from _check_addopts(file, str(old.get("addopts", "")), str(new.get("addopts", "")))
    if "pytest11" in (file.new or "") and "pytest11" not in (file.old or ""):
        line = _first_added_line(file, "pytest11")
        message = f"a plugin of pytest is declared: {quoted(file.new_line(line))}"
        yield doubtful(ID, file, line, message, hint="look at what the plugin does")
    for name in _WHAT_COUNTS:
        if name not in new or new[name] == old.get(name):
            continue
        # A new file of settings changes nothing that an older one said.
        if name not in old and file.old is None:
            continue
        was = quoted(old.get(name, "not set"))
        message = f"pytest's {name} is {quoted(new[name])}; it was {was}"
        yield doubtful(ID, file, _first_added_line(file, name), message)


def _check_addopts(file: File, before: str, after: str) -> Iterator[Finding]:
    known, found = _LEAVING_OUT.findall(before), _LEAVING_OUT.findall(after)
    for option in dict.fromkeys(found):
        # Counted, since one `--ignore` more beside another leaves more out.
        if found.count(option) > known.count(option):
            message = f"pytest's addopts leave tests out: {quoted(after)}"
            yield taken(ID, file, _first_added_line(file, option), message)
    loaded = _LOADING.findall(before)
    for plugin in _LOADING.findall(after):
        # One that is turned off decides nothing: `-p no:cacheprovider`.
        if plugin not in loaded and not plugin.startswith("no:"):
            shown = quoted(f"-p {plugin}")
            message = f"pytest's addopts say which plugins run: {shown}"
            line = _first_added_line(file, plugin)
            yield doubtful(ID, file, line, message, hint="look at what the plugin does")


def _read_options(text: str | None, path: str) -> dict[str, Any]:
    """pytest's settings; empty where there are none."""
    if text is None:
        return {}
    if path.endswith(".toml"):
        try:
            value = parse_toml(text)
        except ValueError:
            return {}
        # pytest 9 has settings of its own kind in [tool.pytest], and in [pytest] of a file of its
        # own.
        native = at(value, "tool", "pytest") or at(value, "pytest")
        found = at(value, "tool", "pytest", "ini_options") or native
        return found if isinstance(found, dict) else {}
    section = _SECTION.search(text)
    if not section:
        return {}
    return dict(_INI.findall(section[1]))


def _first_added_line(file: File, word: str) -> int:
    """The number of the first added line with the word; 1 where there is none."""
    for number, line in file.added_lines():
        if word in line:
            return number
    return 1

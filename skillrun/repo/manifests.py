"""What a repository says that it depends on, in every manifest of Python and JavaScript; see also
`ecosystems`.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatch, translate
from typing import TYPE_CHECKING, Any

from skillrun.repo import ecosystems
from skillrun.repo.dependency import Dependency, Lines, normalise_name
from skillrun.repo.places import is_vendored
from skillrun.repo.syntax import find_nodes
from skillrun.repo.tree import SEARCH_LIMIT

if TYPE_CHECKING:
    from skillrun.repo.sources import TreeLike

_REQUIREMENT = re.compile(
    r"^\s*([A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[([^\]]*)\])?\s*(?=$|[<>=!~;@#,( \[])"
)
_DEVELOPMENT = re.compile(
    r"(?i)(?:^|[^a-z])(dev|devel|develop|development|tests?|testing|lint|docs?|ci|typing|qa)(?:[^a-z]|$)"
)
__all__ = ["Dependency", "Manifests", "normalise_name", "read_manifests"]


@dataclass(frozen=True)
class Manifests:
    """Every declared dependency, in the order of the files; `notes` names files that could not be
    read.
    """

    dependencies: tuple[Dependency, ...] = ()
    notes: tuple[str, ...] = ()

    def find(self, *names: str) -> tuple[Dependency, ...]:
        """The declarations of any of these distributions, the main ones first."""
        wanted = {normalise_name(name) for name in names}
        return tuple(
            sorted((d for d in self.dependencies if d.name in wanted), key=lambda d: not d.main)
        )

    def names(self) -> frozenset[str]:
        """All declared names."""
        return frozenset(dependency.name for dependency in self.dependencies)


def read_manifests(tree: TreeLike) -> Manifests:
    """Reads every manifest in the tree. A broken one becomes a note and is skipped."""
    found: list[Dependency] = []
    notes: list[str] = []
    for path in sorted(tree.files, key=lambda path: (path.count("/"), path)):
        reader = _find_reader(path, tree)
        if reader and tree.size(path) > SEARCH_LIMIT:
            notes.append(f"{path}: larger than 1 MB: not read as a manifest")
            continue
        text = ""
        if reader:
            text = (tree.peek(path) or b"").decode("utf-8", "replace")
        try:
            found.extend(reader(path, text) if reader and text else ())
        except (
            ValueError,
            SyntaxError,
            RecursionError,
            MemoryError,
            TypeError,
            AttributeError,
        ) as error:
            notes.append(f"{path}: not readable as a manifest: {error}")
    return Manifests(tuple(found), tuple(notes))


def _find_reader(path: str, tree: TreeLike) -> Any:
    name = path.rpartition("/")[2]
    if (
        not path.endswith(_ENDINGS)
        or not _ANY_MANIFEST.fullmatch(path)
        or "{{" in path
        or is_vendored(path)
    ):
        return None
    for pattern, reader in _READERS.items():
        if fnmatch(path if "/" in pattern else name, pattern):
            compiled = name.endswith(".txt") and tree.size(path[:-4] + ".in") > 0
            # The .in is the truth, the .txt is full of transitive lines.
            if compiled:
                return None
            return reader
    return None


def _read_requirement(text: str, path: str, line: int, group: str = "") -> Iterator[Dependency]:
    found = _REQUIREMENT.match(text)
    if found:
        extras = tuple(part.strip() for part in (found[2] or "").split(",") if part.strip())
        yield Dependency(normalise_name(found[1]), path, line, text.strip()[:200], group, extras)


def _parse_toml(text: str) -> dict[str, Any]:
    import tomllib

    return tomllib.loads(text)


def _read_pyproject(path: str, text: str) -> Iterator[Dependency]:
    data, lines = _parse_toml(text), Lines(text)
    project, tool = data.get("project", {}), data.get("tool", {})
    yield from _read_list(path, lines, project.get("dependencies", ()), "")
    for extra, items in project.get("optional-dependencies", {}).items():
        yield from _read_list(path, lines, items, f"extra:{extra}")
    for group, items in data.get("dependency-groups", {}).items():
        yield from _read_list(path, lines, items, group)
    yield from _read_list(path, lines, tool.get("uv", {}).get("dev-dependencies", ()), "dev")
    for group, items in tool.get("pdm", {}).get("dev-dependencies", {}).items():
        yield from _read_list(path, lines, items, group)
    yield from _read_poetry(path, lines, tool.get("poetry", {}))


def _read_poetry(path: str, lines: Lines, poetry: Mapping[str, Any]) -> Iterator[Dependency]:
    tables = [("", poetry.get("dependencies", {})), ("dev", poetry.get("dev-dependencies", {}))]
    tables += [
        (name, group.get("dependencies", {})) for name, group in poetry.get("group", {}).items()
    ]
    for group, table in tables:
        yield from _read_table(path, lines, table, group)


def _read_list(path: str, lines: Lines, items: Iterable[Any], group: str) -> Iterator[Dependency]:
    for item in items:
        if isinstance(item, str):
            yield from _read_requirement(item, path, lines.of(item), group)


def _read_table(
    path: str, lines: Lines, table: Mapping[str, Any], group: str
) -> Iterator[Dependency]:
    for name, value in table.items():
        extras = ()
        if isinstance(value, dict):
            extras = tuple(value.get("extras", ()))
        optional = isinstance(value, dict) and value.get("optional")
        shown = f"{name} = {json.dumps(value, default=str)}"[:200]
        number = 1
        if name != "python":
            number = lines.of(f"{name} =")
        yield Dependency(
            normalise_name(name), path, number, shown, "extra:" if optional else group, extras
        )


def _read_pipfile(path: str, text: str) -> Iterator[Dependency]:
    data, lines = _parse_toml(text), Lines(text)
    for section, group in (("packages", ""), ("dev-packages", "dev")):
        yield from _read_table(path, lines, data.get(section, {}), group)


def _read_requirements(path: str, text: str) -> Iterator[Dependency]:
    group = _development_group(path)
    lines = text.splitlines()
    for number, line in enumerate(lines, 1):
        if _is_transitive(line, lines[number : number + 1]):
            continue
        yield from _read_requirement(line.split(" #")[0], path, number, group)


def _is_transitive(line: str, following: list[str]) -> bool:
    """A pin of a compiled file that only another package wants, e.g. `# via django-celery-beat`."""
    said = line.partition("#")[2] or (
        following[0].partition("#")[2] if following and following[0][:1] == " " else ""
    )
    via = said.strip()
    return via.startswith("via ") and not re.search(r"-r |pyproject|setup\.|\(", via)


def _development_group(path: str) -> str:
    found = _DEVELOPMENT.search(path)
    if not found:
        return ""
    return found[1].lower()


def _read_setup_cfg(path: str, text: str) -> Iterator[Dependency]:
    section = key = ""
    for number, line in enumerate(text.splitlines(), 1):
        header = re.match(r"\[([^\]]+)\]", line)
        assigned = re.match(r"([\w.-]+)\s*[=:]\s*(.*)$", line)
        if header:
            section, key = header[1].strip(), ""
        elif assigned:
            key = assigned[1]
            yield from _read_cfg_value(path, number, section, key, assigned[2])
        elif line[:1] in " \t" and not line.lstrip().startswith("#"):
            yield from _read_cfg_value(path, number, section, key, line)


def _read_cfg_value(
    path: str, number: int, section: str, key: str, text: str
) -> Iterator[Dependency]:
    if section == "options" and key == "install_requires":
        yield from _read_requirement(text, path, number)
    elif section == "options.extras_require":
        yield from _read_requirement(text, path, number, f"extra:{key}")


def _read_setup_py(path: str, text: str) -> Iterator[Dependency]:
    module = ast.parse(text)
    names = {}
    for statement in module.body:
        if isinstance(statement, ast.Assign):
            for target in statement.targets:
                if isinstance(target, ast.Name):
                    names[target.id] = statement.value
    for node in find_nodes(module, ast.keyword):
        if node.arg not in (
            "install_requires",
            "extras_require",
        ):
            continue
        if isinstance(node.value, ast.Name):
            value = names.get(node.value.id, node.value)
        else:
            value = node.value
        if isinstance(value, ast.Dict):
            for extra, items in zip(value.keys, value.values, strict=True):
                yield from _read_strings(path, items, f"extra:{_text_of(extra)}")
        else:
            yield from _read_strings(path, value, "")


def _text_of(key: ast.expr | None) -> str:
    if isinstance(key, ast.Constant) and isinstance(key.value, str):
        return str(key.value)
    return ""


def _read_strings(path: str, node: ast.expr, group: str) -> Iterator[Dependency]:
    for item in find_nodes(node, ast.Constant):
        if isinstance(item.value, str):
            yield from _read_requirement(item.value, path, item.lineno, group)


def _read_conda(path: str, text: str) -> Iterator[Dependency]:
    listing = False
    for number, line in enumerate(text.splitlines(), 1):
        item = re.match(r"\s+-\s+[\"']?([^\"'#:]+?)[\"']?\s*(#.*)?$", line) or re.match(
            r"-\s+([^#:]+?)\s*$", line
        )
        if re.match(r"\w", line):
            listing = line.startswith("dependencies")
        elif listing and item:
            yield from _read_requirement(item[1].rpartition("::")[2], path, number)


def _read_package_json(path: str, text: str) -> Iterator[Dependency]:
    data, lines = json.loads(text), Lines(text)
    for section, group in (("dependencies", ""), ("devDependencies", "dev")):
        for name in data.get(section) or {}:
            yield Dependency(name.lower(), path, lines.of(f'"{name}"'), name, group)


_READERS = {
    "pyproject.toml": _read_pyproject,
    "*requirements*.txt": _read_requirements,
    "*requirements*.in": _read_requirements,
    "*requirements/*.txt": _read_requirements,
    "*requirements/*.in": _read_requirements,
    "*requires.txt": _read_requirements,
    "Pipfile": _read_pipfile,
    "setup.cfg": _read_setup_cfg,
    "setup.py": _read_setup_py,
    "environment*.yml": _read_conda,
    "environment*.yaml": _read_conda,
    "package.json": _read_package_json,
    **ecosystems.READERS,
}
# Quickly says no to almost every file.
_ENDINGS = tuple({pattern.rpartition("*")[2] for pattern in _READERS})
_ANY_MANIFEST = re.compile("|".join(rf"(?:.*/)?{translate(pattern)}" for pattern in _READERS))

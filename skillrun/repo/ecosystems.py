"""What Ruby, Go, JVM, PHP, Elixir, .NET and Rust projects say that they depend on, each manifest by
a real parser.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from skillrun.repo.dependency import Dependency, Lines, normalise_name

if TYPE_CHECKING:
    from ast_grep_py import SgNode

_DEVELOPMENT = frozenset({"development", "test", "dev", "doc", "docs", "lint"})
_CONFIGURATIONS = frozenset(
    {
        *(
            "implementation",
            "api",
            "compile",
            "runtimeOnly",
            "compileOnly",
            "runtime",
            "kapt",
            "annotationProcessor",
        ),
        *("testImplementation", "testCompile", "testRuntimeOnly", "developmentOnly"),
    }
)


def _parse_source(text: str, language: str) -> SgNode:
    from ast_grep_py import SgRoot

    return SgRoot(text, language).root()


def _find_kinds(root: SgNode, *kinds: str) -> Iterator[SgNode]:
    yield from root.find_all({"rule": {"any": [{"kind": kind} for kind in kinds]}})


def _line_of(node: SgNode) -> int:
    return int(node.range().start.line) + 1


def _list_arguments(node: SgNode) -> list[SgNode]:
    held = node.field("arguments") or next(
        (one for one in node.children() if one.kind() == "arguments"), None
    )
    if held is None:
        return []
    return [one for one in held.children() if one.is_named()]


def _first_line(node: SgNode) -> str:
    return str(node.text()).partition("\n")[0][:200]


# -- Ruby


def read_gemfile(path: str, text: str) -> Iterator[Dependency]:
    """`gem "sidekiq"`, also inside `group :test do`; of a gemspec, `add_dependency "sidekiq"`."""
    for call in _find_kinds(_parse_source(text, "ruby"), "call"):
        method = call.field("method")
        said = ""
        if method is not None:
            said = method.text()
        given = _list_arguments(call)
        if (
            said
            not in (
                "gem",
                "add_dependency",
                "add_runtime_dependency",
                "add_development_dependency",
            )
            or not given
        ):
            continue
        if given[0].kind() == "string":
            group = "dev"
            if "development" not in said:
                group = _gem_group(call, given)
            yield Dependency(
                normalise_name(given[0].text().strip("\"'")),
                path,
                _line_of(call),
                _first_line(call),
                group,
            )


def _gem_group(call: SgNode, given: list[SgNode]) -> str:
    """The group of the block around it or of its own `group:`; "" where any of them is a main
    one.
    """
    names = []
    for one in given:
        if one.kind() == "pair" and "group" in one.text():
            for word in _list_symbols(one):
                names.append(word)
    for above in call.ancestors():
        method = None
        if above.kind() == "call":
            method = above.field("method")
        if method is not None and method.text() == "group":
            names += [word for one in _list_arguments(above) for word in _list_symbols(one)]
    if names and _DEVELOPMENT.issuperset(names):
        return "dev"
    return ""


def _list_symbols(node: SgNode) -> list[str]:
    if node.kind() == "simple_symbol":
        found = [node]
    else:
        found = list(node.find_all(kind="simple_symbol"))
    return [one.text().lstrip(":") for one in found]


# -- Go


def read_go_mod(path: str, text: str) -> Iterator[Dependency]:
    """Each module that go.mod requires; an indirect one only comes with another."""
    inside = False
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition("//")[0].split()
        if words[:1] == ["require"]:
            inside = words[1:] == ["("]
            if inside:
                words = []
            else:
                words = words[1:]
        elif not inside or not words or words == [")"]:
            inside = inside and words != [")"]
            continue
        if len(words) == 2 and "// indirect" not in line:
            yield Dependency(words[0].lower(), path, number, line.strip())


# -- JVM


def read_pom(path: str, text: str) -> Iterator[Dependency]:
    """ "group:artifact" of each dependency, and of the parent, which brings its own."""
    lines = Lines(text)
    for node in _parse_xml(text).iter():
        tag = node.tag.rpartition("}")[2]
        if tag not in ("dependency", "parent"):
            continue
        said = {child.tag.rpartition("}")[2]: (child.text or "").strip() for child in node}
        name = f"{said.get('groupId', '')}:{said.get('artifactId', '')}".lower()
        group = ""
        if said.get("scope") == "test":
            group = "test"
        yield Dependency(
            name, path, lines.of(f"<artifactId>{said.get('artifactId', '')}"), name, group
        )


def _parse_xml(text: str) -> Any:
    from xml.etree import ElementTree

    return ElementTree.fromstring(text.lstrip("\ufeff"))


def read_gradle_kotlin(path: str, text: str) -> Iterator[Dependency]:
    """Each coordinate that a configuration is given:
    `implementation("org.quartz-scheduler:quartz:2.3")`.

    A Groovy script is close enough to Kotlin for its parser where it names coordinates.
    """
    for call in _parse_source(text, "kotlin").find_all(kind="string_literal"):
        coordinate = call.text().strip("\"'").split(":")
        before = text.splitlines()[_line_of(call) - 1].split("(")[0].split()
        if len(coordinate) in (2, 3) and before and before[0].strip() in _CONFIGURATIONS:
            group = ""
            if before[0].startswith("test"):
                group = "test"
            yield Dependency(
                ":".join(coordinate[:2]).lower(), path, _line_of(call), call.text()[:200], group
            )


def read_gradle_groovy(path: str, text: str) -> Iterator[Dependency]:
    """The same of build.gradle, where a coordinate stands in single or double quotes on a line of
    its own.
    """
    for number, line in enumerate(text.splitlines(), 1):
        words = line.replace("(", " ").replace(")", " ").split()
        if len(words) < 2 or words[0] not in _CONFIGURATIONS or words[1][:1] not in "\"'":
            continue
        coordinate = words[1].strip("\"',").split(":")
        if len(coordinate) in (2, 3):
            group = ""
            if words[0].startswith("test"):
                group = "test"
            yield Dependency(
                ":".join(coordinate[:2]).lower(), path, number, line.strip()[:200], group
            )


def read_version_catalog(path: str, text: str) -> Iterator[Dependency]:
    """The libraries of gradle/libs.versions.toml."""
    lines = Lines(text)
    for key, value in _parse_toml(text).get("libraries", {}).items():
        if isinstance(value, dict):
            said = value
        else:
            said = {"module": str(value)}
        module = said.get("module") or f"{said.get('group', '')}:{said.get('name', '')}"
        yield Dependency(
            ":".join(str(module).split(":")[:2]).lower(), path, lines.of(key), str(module)[:200]
        )


# -- PHP


def read_composer(path: str, text: str) -> Iterator[Dependency]:
    """composer.json's `require` and `require-dev`."""
    data, lines = json.loads(text), Lines(text)
    for section, group in (("require", ""), ("require-dev", "dev")):
        for name in data.get(section) or {}:
            yield Dependency(str(name).lower(), path, lines.of(f'"{name}"'), str(name), group)


# -- Elixir


def read_mix(path: str, text: str) -> Iterator[Dependency]:
    """The tuples of mix.exs's `deps`: `{:oban, "~> 2.23", only: :test}`."""
    for node in _find_kinds(_parse_source(text, "elixir"), "tuple"):
        parts = []
        for one in node.children():
            if one.is_named():
                parts.append(one)
        if parts and parts[0].kind() == "atom" and len(parts) > 1:
            keywords = next((one.text() for one in parts if one.kind() == "keywords"), "")
            only = keywords.partition("only:")[2]
            group = ""
            if only and ":prod" not in only.partition("]")[0]:
                group = "dev"
            yield Dependency(
                parts[0].text().lstrip(":").lower(), path, _line_of(node), _first_line(node), group
            )


# -- .NET


def read_msbuild(path: str, text: str) -> Iterator[Dependency]:
    """Every PackageReference, GlobalPackageReference and PackageVersion; a test project's come for
    development.
    """
    lines = Lines(text)
    group = ""
    if any(part.lower().endswith(("test", "tests")) for part in path.replace(".", "/").split("/")):
        group = "test"
    for node in _parse_xml(text).iter():
        if node.tag.rpartition("}")[2] in (
            "PackageReference",
            "GlobalPackageReference",
            "PackageVersion",
        ):
            name = node.get("Include") or node.get("Update") or ""
            if name:
                yield Dependency(name.lower(), path, lines.of(f'"{name}"'), name, group)


# -- Rust


def read_cargo(path: str, text: str) -> Iterator[Dependency]:
    """The dependency tables of Cargo.toml, also the workspace's and a target's."""
    data, lines = _parse_toml(text), Lines(text)
    tables = [data, data.get("workspace", {}), *(data.get("target", {}) or {}).values()]
    for table in tables:
        for section, group in (
            ("dependencies", ""),
            ("dev-dependencies", "dev"),
            ("build-dependencies", "build"),
        ):
            yield from _read_crates(path, lines, table.get(section, {}), group)


def _read_crates(
    path: str, lines: Lines, table: Mapping[str, Any], group: str
) -> Iterable[Dependency]:
    for name, value in table.items():
        if isinstance(value, dict):
            real = value.get("package", name)
        else:
            real = name
        yield Dependency(
            str(real).lower(),
            path,
            lines.of(name),
            f"{name} = {json.dumps(value, default=str)}"[:200],
            group,
        )


def _parse_toml(text: str) -> dict[str, Any]:
    import tomllib

    return tomllib.loads(text)


READERS = {
    "Gemfile": read_gemfile,
    "*.gemspec": read_gemfile,
    "go.mod": read_go_mod,
    "pom.xml": read_pom,
    "*.gradle.kts": read_gradle_kotlin,
    "*.gradle": read_gradle_groovy,
    "*.versions.toml": read_version_catalog,
    "composer.json": read_composer,
    "mix.exs": read_mix,
    "*.csproj": read_msbuild,
    "Directory.Packages.props": read_msbuild,
    "Directory.Build.props": read_msbuild,
    "Cargo.toml": read_cargo,
}

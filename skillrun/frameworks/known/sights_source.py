"""What a source file in another language than Python does with imported names, read from a real
syntax tree.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import TYPE_CHECKING

from skillrun.frameworks.known import grammars
from skillrun.frameworks.known.entry import FileSights, Sight

if TYPE_CHECKING:
    from ast_grep_py import SgNode

_LONGEST_LINE = (
    20_000  # characters; people write a hundred, a picture in the source may take some thousands
)

_READERS: dict[str, tuple[str, grammars.Reader]] = {
    **dict.fromkeys(("js", "jsx", "mjs", "cjs"), ("javascript", grammars.JAVASCRIPT)),
    **dict.fromkeys(("ts", "mts", "cts"), ("typescript", grammars.JAVASCRIPT)),
    "tsx": ("tsx", grammars.JAVASCRIPT),
    **dict.fromkeys(("rb", "rake", "ru"), ("ruby", grammars.RUBY)),
    "go": ("go", grammars.GO),
    "java": ("java", grammars.JAVA),
    **dict.fromkeys(("kt", "kts"), ("kotlin", grammars.KOTLIN)),
    "php": ("php", grammars.PHP),
    **dict.fromkeys(("ex", "exs"), ("elixir", grammars.ELIXIR)),
    "cs": ("csharp", grammars.CSHARP),
    "rs": ("rust", grammars.RUST),
}


@lru_cache(maxsize=2)  # several recognisers look at one file, one after the other
def see_source(path: str, data: bytes) -> FileSights:
    """Every sight of a file, and the file itself; of one that is in no known language, only the
    file.
    """
    text = data.decode("utf-8", "replace")
    sights = [Sight("file", path, 1)]
    language, reader = _READERS.get(path.rpartition(".")[2].lower(), ("", None))
    if reader is not None:
        sights += _read_language(text, language, reader)
    return FileSights(path, tuple(sights), tuple(text.splitlines()))


def _read_language(text: str, language: str, reader: grammars.Reader) -> Iterator[Sight]:
    from ast_grep_py import SgRoot

    root = SgRoot(text, language).root()
    line_of = _lines_of(text)
    names = grammars.Names()
    for node in _find_nodes(root, reader.imports):
        for local, path in reader.imports[node.kind()](node):
            names.bind(local, path)
            yield Sight("import", path, line_of(node))
    for node in _find_nodes(root, reader.sights):
        for kind, name, target in reader.sights[node.kind()](node):
            for said in (
                names.resolve(name, reader.separator) if kind in grammars.RESOLVED else (name,)
            ):
                yield Sight(kind, said, line_of(node), target)


def _find_nodes(root: SgNode, kinds: Iterable[str]) -> list[SgNode]:
    return root.find_all({"rule": {"any": [{"kind": kind} for kind in kinds]}})


def _lines_of(text: str) -> Callable[[SgNode], int]:
    """How to learn the line of a node.

    The parser counts characters from the beginning of the line for each node that it is asked
    about, which takes minutes in a bundle of one line. Nobody looks for a place in such a file: all
    of it counts as its longest line.
    """
    lengths = [len(line) for line in text.split("\n")]
    longest = max(lengths)
    if longest <= _LONGEST_LINE:
        return _find_line
    number = lengths.index(longest) + 1
    return lambda node: number


def _find_line(node: SgNode) -> int:
    return node.range().start.line + 1

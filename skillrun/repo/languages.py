"""Which languages a repository is written in, by the size of its own source files."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from skillrun.repo.places import is_shown, is_vendored

if TYPE_CHECKING:
    from skillrun.repo.tree import Tree

LANGUAGE_OF = {
    "py": "python",
    **dict.fromkeys(("js", "jsx", "mjs", "cjs", "vue", "svelte"), "javascript"),
    **dict.fromkeys(("ts", "tsx", "mts", "cts"), "typescript"),
    **dict.fromkeys(("rb", "rake"), "ruby"),
    "go": "go",
    "rs": "rust",
    "php": "php",
    **dict.fromkeys(("ex", "exs"), "elixir"),
    "java": "java",
    **dict.fromkeys(("kt", "kts"), "kotlin"),
    "cs": "csharp",
}
JAVASCRIPT = frozenset({"javascript", "typescript"})
# Where JavaScript is output, or somebody else's.
_BUILT = frozenset({"public", "dist", "build", "static", "swagger"})
# Bytes; a larger source file is data or generated, and counts no further.
_LARGEST = 256 * 1024
# A language below this share is not worth naming.
_SHARE = 0.08


def find_languages(tree: Tree) -> tuple[str, ...]:
    """Names such as "python" or "typescript", the largest first; a language under 8 % of the code
    is left out.
    """
    sizes: Counter[str] = Counter()
    for path in tree.files:
        language = LANGUAGE_OF.get(path.rpartition(".")[2])
        if language and not (is_vendored(path) or is_shown(path) or _is_built(path, language)):
            sizes[language] += min(tree.size(path), _LARGEST)
    least = sizes.total() * _SHARE
    return tuple(language for language, size in sizes.most_common() if size and size >= least)


def _is_built(path: str, language: str) -> bool:
    return language == "javascript" and not _BUILT.isdisjoint(path.split("/")[:-1])

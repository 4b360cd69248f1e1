"""Every job library that is only recognised: a new one is an entry in its language's module,
or in that of a service that all languages have."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skillrun.frameworks.known.azure import AZURE
from skillrun.frameworks.known.dotnet import DOTNET
from skillrun.frameworks.known.elixir import ELIXIR
from skillrun.frameworks.known.go import GO
from skillrun.frameworks.known.jvm import JVM
from skillrun.frameworks.known.node import NODE
from skillrun.frameworks.known.php import PHP
from skillrun.frameworks.known.python import PYTHON
from skillrun.frameworks.known.recognise import KnownRecogniser
from skillrun.frameworks.known.ruby import RUBY
from skillrun.frameworks.known.rust import RUST

if TYPE_CHECKING:
    from skillrun.frameworks.known.entry import Known

ENTRIES: tuple[Known, ...] = (
    *PYTHON,
    *NODE,
    *RUBY,
    *GO,
    *JVM,
    *PHP,
    *ELIXIR,
    *DOTNET,
    *RUST,
    *AZURE,
)
TITLES: dict[str, str] = {entry.id: entry.title for entry in ENTRIES}


def known_recognisers() -> list[KnownRecogniser]:
    """A fresh recogniser for each entry, for one pass over the files."""
    return [KnownRecogniser(entry) for entry in ENTRIES]

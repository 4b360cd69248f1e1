"""A museum's ticket: a row in SQLite remembers that it was sent, and SAQ's retries leave room for deaths."""

from run import Mutant, Variant

DRIVER = "saq"
MUTANTS: list[Mutant] = []
VARIANTS: list[Variant] = []

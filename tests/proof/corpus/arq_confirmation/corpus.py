"""A booking's confirmation: a row in SQLite remembers that it was sent, and arq's tries leave room for deaths."""

from run import Mutant, Variant

DRIVER = "arq"
MUTANTS: list[Mutant] = []
VARIANTS: list[Variant] = []

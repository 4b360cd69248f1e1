"""A nightly digest whose only key is the day on which it runs."""

from run import Mutant, Variant

DRIVER = None
MUTANTS: list[Mutant] = []
VARIANTS: list[Variant] = []

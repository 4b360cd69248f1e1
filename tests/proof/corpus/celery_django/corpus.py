from run import Mutant, Variant

DRIVER = "celery"
MUTANTS: list[Mutant] = []
VARIANTS: list[Variant] = []

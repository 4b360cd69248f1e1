from run import Mutant, Variant
DRIVER = "dramatiq"
MUTANTS = []
VARIANTS = []

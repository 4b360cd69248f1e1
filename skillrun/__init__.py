"""skillrun makes a SKILL.md executable: stages that block, evidence that is graded, a ledger that
remembers.
"""

__version__ = "0.1.0"

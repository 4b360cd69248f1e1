"""skillrun makes a SKILL.md executable: stages that block, evidence that is graded, a ledger that
remembers.
"""

try:
    # A build writes it, from the tag of the release: hatch_build.py.
    import skillrun._version as built

    __version__: str = built.__version__
except ImportError:
    __version__ = "0.1.0"

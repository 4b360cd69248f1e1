"""Branches whose code asks whether it is being watched, by what they look at, and branches that only
look as if they did.

The expectations were written before the look was; cases are added, never bent.
"""

from __future__ import annotations

from watched_modules import MODULES
from watched_neighbours import NEIGHBOURS
from watched_on_the_way import ON_THE_WAY
from watched_process import PROCESS
from watched_variables import VARIABLES

CASES = (*MODULES, *ON_THE_WAY, *VARIABLES, *PROCESS, *NEIGHBOURS)

"""The last verdict of each job that was proved without a spec. No run and no ledger knows of it, so
that it is kept in the user's own folder.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from skillrun.core.canonical import digest
from skillrun.core.state import read_own, state_dir, write_own
from skillrun.proof.judgement import Verdict
from skillrun.skills.job_worker.overview.past_verdicts import PastVerdict

if TYPE_CHECKING:
    from pathlib import Path

    from skillrun.repo.tree import Tree

_FOLDER = "draft-verdicts"
_KNOWN = frozenset({Verdict.PROVED, Verdict.REFUTED, Verdict.INCOMPLETE})


def keep_draft_verdict(root: Path, handler: str, verdict: str, content: str) -> None:
    """Remembers what a proof without a spec came to. `content`: the digest of everything in the
    repository when it was drafted. A folder that cannot be written forgets it.
    """
    kept = {"verdict": verdict, "content": content}
    try:
        write_own(_find_file(root, handler), json.dumps(kept).encode())
    except OSError:
        return


def read_draft_verdict(tree: Tree, handler: str) -> PastVerdict | None:
    """What the last proof of a job without a spec came to; None where there was none."""
    text = read_own(_find_file(tree.root, handler))
    if text is None:
        return None
    try:
        kept = json.loads(text)
        verdict, content = kept["verdict"], kept["content"]
    except (ValueError, KeyError, TypeError):
        return None
    if verdict not in _KNOWN:
        return None
    return PastVerdict(verdict, None, content != tree.hash_everything(), is_believed=True)


def _find_file(root: Path, handler: str) -> Path:
    return state_dir() / _FOLDER / f"{digest([str(root), handler])[:24]}.json"

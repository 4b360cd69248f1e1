"""Somebody else commits to the rows of the job while a delivery stands still."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from skillrun.proof.exploring.run import Run, Waiting
from skillrun.proof.exploring.stand import Stand
from skillrun.proof.history import Delivery
from skillrun.proof.rivals import (
    Contents,
    Rivalry,
    commit_rival,
    read_contents,
    read_final,
)


class RivalsRoom(Stand):
    """Rivals, and what becomes of what they wrote."""

    def _run_beside_rival(
        self, run: Run, waiting: Waiting, plan: dict[str, Any], text: str
    ) -> Delivery:
        """A rival that nobody knows, or whose boundary is not reached, does nothing."""
        process = self._fork_process(run, "deliver", [waiting.message], job=waiting.job, plan=plan)
        paused = self.processes.follow([process], process) == "paused"
        rival = self.rivals.get(text)
        if paused and rival is not None:
            written = commit_rival(self.store, rival)
            heard = int(process.running.events[-1].get("heard", 0))
            run.rivalries.append(Rivalry(rival, heard if written else None, written, {}))
        if process.running.paused:
            process.running.resume()
        self._finish_process(run, [process], process)
        return self._read_delivery(run, process)

    def _conclude_rivalries(self, run: Run) -> tuple[Rivalry, ...]:
        """With what stands in the rows at the end."""
        if not run.rivalries:
            return ()
        more = _has_more(read_contents(self.store), self.contents_after)
        concluded: list[Rivalry] = []
        for rivalry in run.rivalries:
            final = read_final(self.store, rivalry.rival)
            concluded.append(replace(rivalry, final=final, left_more=more))
        return tuple(concluded)


def _has_more(now: Contents, once: Contents) -> bool:
    """Whether a table has more rows than after a single run."""
    return any(len(rows) > len(once.get(name, {})) for name, rows in now.items())

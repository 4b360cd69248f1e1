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
    """Lets rivals write, and reads at the end what became of their writes."""

    def _run_beside_rival(
        self, run: Run, waiting: Waiting, plan: dict[str, Any], text: str
    ) -> Delivery:
        """Runs a delivery in which the rival of this text commits while the delivery stands still.
        A rival that nobody knows, or whose boundary is not reached, does nothing.
        """
        process = self._fork_process(run, "deliver", [waiting.message], job=waiting.job, plan=plan)
        paused = self.processes.follow([process], process) == "paused"
        rival = self.learned.rivals.get(text)
        if paused and rival is not None:
            written = commit_rival(self.store, rival)
            heard = None
            if written:
                heard = int(process.running.events[-1].get("heard", 0))
            run.rivalries.append(Rivalry(rival, heard, written, {}))
        process.go_on()
        self._finish_process(run, [process], process)
        return self._read_delivery(run, process)

    def _conclude_rivalries(self, run: Run) -> tuple[Rivalry, ...]:
        """The run's rivalries, with what stands in the rivals' rows at the end."""
        if not run.rivalries:
            return ()
        has_more = _has_more_rows(read_contents(self.store), self.learned.contents_after)
        concluded: list[Rivalry] = []
        for rivalry in run.rivalries:
            final = read_final(self.store, rivalry.rival)
            concluded.append(replace(rivalry, final=final, left_more=has_more))
        return tuple(concluded)


def _has_more_rows(now: Contents, after_single_run: Contents) -> bool:
    """Whether a table has more rows than after a single run."""
    return any(len(rows) > len(after_single_run.get(table, {})) for table, rows in now.items())

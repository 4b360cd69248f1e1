"""What to do about a proof that cannot judge: a sentence for each rule whose judgement does not say
it by itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from skillrun.proof.judgement import Judgement

NEXT_STEPS = {
    "clock.server": (
        "hand the handler's own time to the statement as a parameter, in place of now()"
    ),
    "confirm.differs": (
        "the proof's picture of the library is wrong here: report it, and trust the real worker"
    ),
    "effect.key-not-named": "name the adapter's argument that carries the key: key_arg",
    "effect.no-guarantee": (
        "say its guarantee: keyed with key_arg, transactional, convergent, or at_least_once or"
        " at_most_once with a reason"
    ),
    "effect.not-seen": (
        "declare mode: stand_in, or the adapter that writes, so that its doings are seen"
    ),
    "effect.hollow": (
        "write a test that replaces what leaves the process within it, or name that in a spec: effects"
    ),
    "effect.undeclared": (
        "put it behind an adapter and declare that in effects, or take it out of the handler"
    ),
    "enqueue.other-job": "let enqueue.args say what the first of payload.examples says",
    "failures.unlisted": (
        "add it to failures.transient or failures.permanent, or handle it in the handler"
    ),
    "failures.unmade": "give its args or kwargs in failures, as the adapter makes it",
    "handler.ends-its-process": (
        "return, or raise an exception: who ends the process takes the worker with it"
    ),
    "confirm.not-tried": "leave --confirm out where that is no matter: the proof itself stands",
    "handler.hangs": (
        "find what waits there; a client of the network wants a timeout, or to be a declared effect"
    ),
    "not-published": "let enqueue.call publish this job, or take it out of the spec",
    "proof.driver": (
        "the library did what the proof does not know: report it with the library's version"
    ),
    "proof.empty": "nothing came to the handler: check handler, enqueue and trigger in the spec",
    "proof.judge": "this is a fault of skillrun: report it with the spec",
    "rival.not-there": "name a column of a row that the job changes in proof.rivals",
    "proof.setup": (
        "let proof.setup end what it starts; a server that the job needs is named in proof.services"
    ),
    "proof.note": "run it again; where it stays, report it with the spec",
    "publish.not-called": (
        "let enqueue.args hold the payload's fields by their names, so that another job can be asked for"
    ),
    "schedule.unreached": "take a boundary that the job comes to: skillrun prove --list shows them",
    "single-run": (
        "one delivery without any fault must succeed first: see proof.env, proof.setup,"
        " payload.examples"
    ),
    "source.elsewhere": "install the checkout (pip install -e .), or remove the installed copy",
    "state.no-database": "name it: proof.database",
    "state.idle": (
        "give it something to do: rows (a test's, proof.setup) and a message for which it works"
    ),
    "state.nothing": "declare the effects, or ask in proof.state for what the job leaves behind",
    "state.other-database": "let proof.env point the handler to proof.database",
    "state.unread": "add a query of it to proof.state, without times and random values",
    "state.unreadable": "correct the query; the tables are those after proof.setup",
    "state.volatile": "leave times and random values out of the query",
    "store.one-writer": "let the proof have the application's own database: proof.services: [postgresql]",
    "sweep.untried": "name it in a spec: recovers: [{call: module:function, every: 15m}]",
    "witness.unstable": (
        "run it again on a machine with less to do; a handler that draws lots needs a seed"
    ),
}


def next_step(judgement: Judgement) -> str | None:
    """The judgement's own words, else those of its rule; None where there are none."""
    return judgement.expected or NEXT_STEPS.get(judgement.rule)

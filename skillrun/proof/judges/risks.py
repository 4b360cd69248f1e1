"""Every rule by which a judge names a risk: what no promise of the spec covers.

What breaks a declared guarantee, or is not idempotent, not bounded, not ended after a permanent
error or not observable, is refuted and never a risk.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from skillrun.core.verdict import RiskGrade
from skillrun.proof.judgement import Judgement, Verdict
from skillrun.proof.reference import Reference


@dataclass(frozen=True)
class RiskRule:
    """One kind of risk. `name` is what a person accepts it by, and what `quality_bar.risks` makes
    contract by.
    """

    name: str
    part: str  # of the spec, and so the stage, that it stands beside
    grades: tuple[RiskGrade, ...]  # that it may have, the worst first
    cause: str  # one sentence, without a full stop
    closes: str  # what to do so that it is gone, in the imperative
    root: str = ""  # what mends it mends the others of this root, too


_RULES = (
    RiskRule(
        name="secret-logged",
        part="observability",
        grades=(RiskGrade.LEAK,),
        cause="the record is made of more than what tells the job",
        closes="log the job's key fields, and no payload or row as a whole",
    ),
    RiskRule(
        name="address-logged",
        part="observability",
        grades=(RiskGrade.MINOR,),
        cause="the record tells more of a person than which job it is about",
        closes="log the job's key fields; who needs the address looks it up by them",
    ),
    RiskRule(
        name="secret-echoed",
        part="observability",
        grades=(RiskGrade.LEAK,),
        cause="the text of somebody else's error is kept as it came",
        closes=(
            "log and record an error's class and code; where its text is needed, mask what the call"
            " was given"
        ),
    ),
    RiskRule(
        name="secret-recorded",
        part="dead-letter",
        grades=(RiskGrade.LEAK,),
        cause="the record of a job that was given up is made of more than what tells the job",
        closes=(
            "record the job's key fields and its payload, and no row as a whole; who takes it up"
            " reads the row"
        ),
    ),
    RiskRule(
        name="rival-overwritten",
        part="idempotency",
        grades=(RiskGrade.MONEY, RiskGrade.LOST, RiskGrade.MINOR),
        cause="the job writes what it has read before, and does not ask whether that still holds",
        closes=(
            "write only the columns that the job changes, and only where the row is still as it was"
            " read: a condition in the UPDATE, a version column, or SELECT ... FOR UPDATE"
        ),
        root="the row is not looked at again",
    ),
    RiskRule(
        name="rival-ignored",
        part="idempotency",
        grades=(RiskGrade.MONEY, RiskGrade.MINOR),
        cause="the job does not look at the row again once it has begun",
        closes=(
            "take the job in the row before its effect (a claim that others respect, or a lock), and"
            " record what was done to a row that is no longer due"
        ),
        root="the row is not looked at again",
    ),
    RiskRule(
        name="key-reused",
        part="idempotency",
        grades=(RiskGrade.MONEY, RiskGrade.MINOR),
        cause="each attempt reads anew what an effect is called with, and the key stays the same",
        closes=(
            "keep what the first attempt was about to do in the job's own row, and let later"
            " attempts go by that"
        ),
    ),
    RiskRule(
        name="store-emptied",
        part="idempotency",
        grades=(RiskGrade.MONEY, RiskGrade.STUCK),
        cause="nothing but Redis remembers that the job was done, and Redis may come back empty",
        closes=(
            "keep the mark in the database, in the transaction of the job's own write, or give the"
            " effect a key that its receiver knows, made of the job's own fields"
        ),
    ),
    RiskRule(
        name="store-restored",
        part="idempotency",
        grades=(RiskGrade.MONEY,),
        cause="a key is made of what else the database holds, and a backup brings that back",
        closes=(
            "make the key of the job's own fields, or of random bits that are written down before"
            " the effect"
        ),
    ),
    RiskRule(
        name="superseded",
        part="idempotency",
        grades=(RiskGrade.LOST, RiskGrade.MINOR),
        cause="the job goes by what another job has left, and takes itself for done",
        closes=(
            "let the guard name the job by all of its key fields; where a newer job is meant to"
            " stand for an older one, let it leave what the older one would have left"
        ),
    ),
    RiskRule(
        name="broker-lost",
        part="dead-letter",
        grades=(RiskGrade.LOST, RiskGrade.STUCK),
        cause="nothing but the message knows that the job is still to be done",
        closes=(
            "have a sweep publish again what the database shows as not done, and name it in the"
            " spec: recovers"
        ),
        root="no sweep",
    ),
    RiskRule(
        name="early",
        part="dead-letter",
        grades=(RiskGrade.STUCK,),
        cause="what a message leaves that came too early stands in the way of the job",
        closes=(
            "let a delivery that finds nothing to do yet leave nothing behind, or let the"
            " application's call take over what is there"
        ),
    ),
    RiskRule(
        name="success-dropped",
        part="dead-letter",
        grades=(RiskGrade.MONEY, RiskGrade.LOST, RiskGrade.MINOR),
        cause="an answer is written only where its attempt still holds the row",
        closes=(
            "write down that an effect took place whoever holds the row by then, and take back that"
            " the job was given up; or log it as an error that names the job"
        ),
    ),
    RiskRule(
        name="late-skipped",
        part="dead-letter",
        grades=(RiskGrade.LOST, RiskGrade.MINOR),
        cause="how old something is decides that the job is done",
        closes=(
            "do it however late it is, or leave a row, a dead letter or an error where it is of no"
            " use any more"
        ),
    ),
    RiskRule(
        name="effect-hangs",
        part="retry",
        grades=(RiskGrade.STUCK,),
        cause="nothing ends a wait for a receiver that does not answer",
        closes=(
            "give the call a time-out, or the task a time limit, and let what it raises count as"
            " transient"
        ),
    ),
    RiskRule(
        name="publish-uncommitted",
        part="idempotency",
        grades=(RiskGrade.LOST, RiskGrade.MINOR),
        cause="a worker may be faster than the commit, and a rollback does not take the message back",
        closes=(
            "publish once the transaction is committed (transaction.on_commit, after the session's"
            " block, an outbox); or let proof.setup leave the row as it is before the call"
        ),
    ),
    RiskRule(
        name="unkeyed-repeated",
        part="idempotency",
        grades=(RiskGrade.MONEY, RiskGrade.MINOR),
        cause="the effect takes no key, and nobody has said that it may take place twice",
        closes=(
            "give it a key that its receiver knows, made of the job's own fields; or say in a spec"
            " that it may come twice (at_least_once), or may be lost (at_most_once), and why"
        ),
    ),
    RiskRule(
        name="repeated-without-fault",
        part="idempotency",
        grades=(RiskGrade.MINOR,),
        cause="another delivery repeats an effect that may take place twice, and nothing had failed",
        closes=(
            "take the job in its row before the effect (a condition in the UPDATE, a lock), and"
            " settle the message of one that is taken or done"
        ),
    ),
    RiskRule(
        name="queue-unconsumed",
        part="idempotency",
        grades=(RiskGrade.LOST,),
        cause="no worker that the repository starts takes jobs from that queue",
        closes=(
            "name the queue in a worker's command line, or publish to one that is taken from; where"
            " its worker is started from another place, accept this by name"
        ),
    ),
    RiskRule(
        name="never-due",
        part="retry",
        grades=(RiskGrade.LOST,),
        cause="no process that the repository starts brings what is due later",
        closes=(
            "start it beside the workers (rq worker --with-scheduler, celery beat); where it is"
            " started from another place, accept this by name"
        ),
    ),
    RiskRule(
        name="sweep-uncalled",
        part="dead-letter",
        grades=(RiskGrade.LOST,),
        cause="the proof calls the sweep by hand, and in production nobody does",
        closes=(
            "have a schedule, a command or the worker call it; where something outside of the"
            " repository does, accept this by name"
        ),
    ),
    RiskRule(
        name="receiver-away",
        part="retry",
        grades=(RiskGrade.LOST, RiskGrade.STUCK),
        cause="the adapter does not make an error that passes of what its client raises or answers",
        closes=(
            "let the adapter raise one of failures.transient for every error of the connection and"
            " for the answers 429 and 5xx, and look at the status of each answer"
        ),
    ),
    RiskRule(
        name="retry-lost",
        part="retry",
        grades=(RiskGrade.LOST, RiskGrade.STUCK),
        cause="the retry cannot be published, and the library lets go of the message all the same",
        closes=(
            "where publishing the retry fails, give the message back or write the record of a job"
            " that was given up; or have a sweep find what is not done, and name it: recovers"
        ),
        root="no sweep",
    ),
    RiskRule(
        name="letter-lost",
        part="dead-letter",
        grades=(RiskGrade.LOST, RiskGrade.STUCK),
        cause="the job is let go of although the record that it was given up could not be written",
        closes=(
            "try to write the record again, or do not acknowledge the message before it is written;"
            " or have a sweep find what is not done, and name it: recovers"
        ),
        root="no sweep",
    ),
    RiskRule(
        name="poison-unrecorded",
        part="dead-letter",
        grades=(RiskGrade.BLIND, RiskGrade.MINOR),
        cause="what cannot be read as the job's message is let go of before anything records it",
        closes=(
            "record such a message where the other jobs are that were given up, for instance by the"
            " library's hook for failures"
        ),
    ),
    RiskRule(
        name="store-failed",
        part="retry",
        grades=(RiskGrade.LOST, RiskGrade.STUCK),
        cause="an error of the store ends the job: it does not count as one that may pass",
        closes=(
            "let an error of the store count as a transient one, or write the record of a job that"
            " was given up for every error"
        ),
    ),
    RiskRule(
        name="connection-kept",
        part="retry",
        grades=(RiskGrade.LOST, RiskGrade.STUCK),
        cause="a connection that broke is used again by every later job of that worker",
        closes=(
            "open it anew once it is broken: a pool that looks at it before it gives it out"
            " (pool_pre_ping, check), one connection a job, or close_old_connections around each"
        ),
    ),
    RiskRule(
        name="crash-loop",
        part="retry",
        grades=(RiskGrade.LOST, RiskGrade.STUCK),
        cause="nothing counts the deliveries that end with a death, or records the last one",
        closes=(
            "count each delivery in the database before the work begins, and give the job up with a"
            " record after a stated number"
        ),
        root="attempts are not in the database",
    ),
    RiskRule(
        name="death-loses",
        part="retry",
        grades=(RiskGrade.LOST,),
        cause="the library acknowledges the message before the job is done, and a death ends both",
        closes=(
            "acknowledge the message once the job is done (acks_late and its like), or have a sweep"
            " publish again what the database shows as not done"
        ),
        root="attempts are not in the database",
    ),
    RiskRule(
        name="claim-outlives",
        part="idempotency",
        grades=(RiskGrade.LOST,),
        cause=(
            "the claim of a delivery that failed turns the next one away, and no other one was seen"
            " to come once it has run out"
        ),
        closes=(
            "have the job tried again while somebody else holds its claim, or have a sweep publish"
            " again what has stood claimed for too long, and name it in the spec: recovers"
        ),
    ),
    RiskRule(
        name="attempts-doubled",
        part="retry",
        grades=(RiskGrade.MINOR,),
        cause=(
            "a death after the retry was published leaves two messages of the job, and each counts"
            " its own attempts"
        ),
        closes="count the attempts in the database, by the job's key, and not in the message",
        root="attempts are not in the database",
    ),
    RiskRule(
        name="back-late",
        part="retry",
        grades=(RiskGrade.MINOR,),
        cause="the broker takes longer than the acceptable delay to give a dead worker's message back",
        closes=(
            "make the broker's visibility timeout shorter than failures.acceptable_delay, or have a"
            " sweep publish the job again before that, and name it: recovers"
        ),
        root="no sweep",
    ),
    RiskRule(
        name="window-passed",
        part="idempotency",
        grades=(RiskGrade.MONEY, RiskGrade.MINOR),
        cause=(
            "nothing but the receiver remembers the effect, and it remembers a key for a while only"
        ),
        closes=(
            "commit that the effect is about to happen, and when, before it does; what finds such a"
            " mark older than the receiver's window gives the job to a person"
        ),
    ),
    RiskRule(
        name="effect-swallowed",
        part="retry",
        grades=(RiskGrade.LOST,),
        cause="the handler goes on after the error, and tells neither the library nor a row of it",
        closes="raise the error again, or try again, or record what was not done",
    ),
    RiskRule(
        name="not-as-read",
        part="retry",
        grades=(RiskGrade.BLIND, RiskGrade.MINOR),
        cause="the job ends, or is tried again, otherwise than its code and settings were read",
        closes="say in a spec what is meant: failures, retry and dead_letter",
    ),
    RiskRule(
        name="logs-silent",
        part="observability",
        grades=(RiskGrade.BLIND,),
        cause="no record that the job writes tells both which job it was and how it ended",
        closes=(
            "log the job's key fields where it is done, where it fails, and where it will be tried"
            " again"
        ),
    ),
    RiskRule(
        name="copies-burn-attempts",
        part="retry",
        grades=(RiskGrade.STUCK,),
        cause="each copy of the message counts as an attempt, however soon it follows another one",
        closes=(
            "let a delivery that comes before the next attempt is due leave the job alone: keep"
            " when that is in the database"
        ),
        root="attempts are not in the database",
    ),
)

RISKS = {rule.name: rule for rule in _RULES}
"""Name -> rule."""


def name_risk(
    name: str,
    grade: RiskGrade,
    message: str,
    *,
    effect: str | None = None,
    events: tuple[int, ...] = (),
    expected: str = "",
    seen: str = "",
) -> Judgement:
    """The judgement by which a judge says that there is a risk. KeyError, ValueError: the registry
    knows no such rule, or not with this grade.
    """
    if grade not in RISKS[name].grades:
        raise ValueError(f"{name} is never {grade}")
    return Judgement(Verdict.RISK, name, message, effect, events, expected, seen, grade)


def hold_to_contract(found: Iterable[Judgement], reference: Reference) -> list[Judgement]:
    """The risks that the repository has made contract are refutations."""
    held = []
    for judgement in found:
        if judgement.verdict == Verdict.RISK and judgement.rule in reference.contract:
            judgement = replace(judgement, verdict=Verdict.REFUTED)
        held.append(judgement)
    return held


def set_aside(judgement: Judgement, why: str) -> Judgement:
    """A risk that this history cannot show: said, so that nobody takes silence for safety."""
    return Judgement(
        Verdict.HINT, judgement.rule, f"the risk {judgement.rule} was not judged: {why}"
    )

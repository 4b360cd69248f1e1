"""A schedule: which faults a job meets, and in what order its deliveries run. It has a text that
replays it.

once                                   one delivery
redeliver                              afterwards: the same message again
re-enqueue                             afterwards: another message for the same job
sweep                                  afterwards: the sweeps of `recovers`, until they find nothing
forget redeliver                       Redis has lost what the job has written there, before that
restore job=1                          the database is put back as it was, and another job comes
wait=90000                             afterwards: so many seconds pass, before what follows
kill@after:email#1                     the process dies there; the library has the message
kill-worker@after:email#1              its worker dies too
kill@after:email#1 lose wait=94500 redeliver   its message comes back that late
kill@before:commit#1/2                 in the second delivery; /* in every one
raise=…@before:email#1 raise=…@before:publish#1   its retry cannot be published
lose                                   a killed message does not come back by itself
raise=shop.mailer:Unavailable@before:email#1
fail@before:commit#1                   the store fails there, with its driver's own error
drop@before:commit#1 same-process job=1   so, and the connection is closed for good
hang@before:email#1                    its receiver is never reached: the real call waits
silent@before:email#1                  it takes the real call, and never answers
cut=lib:TimeLimit@before:email#1       the task's time limit is over while it waits
refuse@before:email#1                  its receiver is not there: the real call is made to nobody
hang-up@before:email#1                 its receiver takes the call, and hangs up without an answer
answer=503@before:email#1              its receiver says that it is out of service
raise=…@before:charge#1 echo           the error's text names a secret that the call was given
answer=cut-body@before:email#1         it says what `probe/replies.py` has under that name
answer=503@before:email#1 listen       what the effect's real call sends is kept
early                                  delivered before the application's own call, then after it
draft caller-pause@after:publish#1     the call begins with rows that it sets: see before_call.py
rival=orders.status:void@before:email#1   somebody else commits this meanwhile
rival=orders.*@before:email#1          all columns that the job leaves alone
raise=…@before:email#2!/*              each time that it is about what the second call is about
raise=…@before:email#1 kill@before:email#1/2 lose sweep   the last attempt dies, and its message
                                       is lost
stall@before:email#1                   it stands still there; what follows runs, then it goes on
stall@before:email#1 raise=…@before:email#1   it goes on with an error, when its wait is over
raise=…@before:email#1 stall@after:email#1/2 wait=3600 redeliver   the last attempt stands still
                                       with its answer, and what follows runs meanwhile
jitter=low                             random waits at their shortest (else: at their longest)
waiting=3                              so many copies of the message wait, then come in turn
late=61                                delivered so many seconds after it was published
late=691200                            the message waited for so long
same-process                           all deliveries in one process, as in a worker that lives on
midnight                               delivered just before the day changes
day=2028-02-29                         delivered on that day
copies=2 switch@before:email#1         twice at once; the first runs to there, then the second
job=1                                  a distinct job is delivered as well
first=1                                that distinct job is delivered before
beside=1 switch@before:email#1         at once with that distinct job
called=0,1                             the application publishes both before one is delivered
called=0,1 caller-pause@before:commit#1 caller-pause@after:commit#1/2   both at once
varied=1-50                            payloads that are varied in a key field, in turn
varied=3,17                            these two of them
poison=0                               the first poison payload instead of the message
fresh                                  later deliveries run in another interpreter
broker-empty=0                         the broker loses all before the first delivery; 1: after it
redis-empty=1                          Redis loses what the job wrote there, after delivery 1
kill@after:refund#1 example=1           of payload.examples[1], instead of the first example
caller-kill@after:publish#1            in the publisher; also caller-raise, caller-pause
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import date
from typing import TYPE_CHECKING, Any

from skillrun.core.errors import Misuse
from skillrun.probe.replies import REPLIES

if TYPE_CHECKING:
    from skillrun.proof.worlds import World

EVERY = 0
SWEEP = "sweep"  # a move
FORGET = "forget"  # as well
RESTORE = "restore"  # as well
# Each sweep once, when everything is old to it: for two commits that are compared with each other,
# so that no text is read as this.
LATE_SWEEP = "sweep-a-day-later"
_KILLS = ("kill", "kill-worker")
AWAY = frozenset(("refuse", "hang-up", "answer"))
"""What a receiver does that is no use, and that tells."""

_FAULT = re.compile(
    r"(?P<do>kill|kill-worker|raise|fail|drop|hang|silent|cut|refuse|hang-up|answer|stall|switch|rival|caller-kill|caller-raise|caller-pause)"
    r"(?:=(?P<error>[\w.:%*-]+)(?:~(?P<index>\d+))?)?@(?P<at>(?:before|after):[\w.:/-]+#(?:\d+!?|\*))(?:/(?P<delivery>\d+|\*))?"
)


# The second of the two single runs: whatever is made of the time differs from the first.
SECOND_RUN_S = 61
_NUMBERED = ("copies", "poison", "late", "beside", "first", "waiting", "example")
_NUMBERS = {name: name for name in _NUMBERED} | {
    "broker-empty": "emptied",
    "redis-empty": "redis_emptied",
}
"""Word with a number -> the field that it sets."""


_MOVES = ("redeliver", "re-enqueue", SWEEP, FORGET, RESTORE)
_MEASURED_MOVE = re.compile(r"(?:wait|job|tick)=[\d.]+")
_VARIED_MOVE = re.compile(r"varied=(?:\d{1,3}-\d{1,3}|\d{1,3}(?:,\d{1,3})*)")

_DAY = re.compile(r"day=\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])")

_FLAGS = {name: name for name in ("lose", "fresh", "echo", "listen", "early", "midnight")} | {
    "same-process": "same",
    "jitter=low": "low_jitter",
    # The word is in reports that are kept.
    "draft": "undone",
}
"""Word -> the field that it sets."""


@dataclass(frozen=True)
class Fault:
    """What happens at a boundary. `delivery`: 1-based, EVERY for each of them."""

    # kill | kill-worker | raise | fail | drop | stall | switch | rival;
    # of a receiver: hang | silent | refuse | hang-up | answer;
    # in the publisher: caller-kill | caller-raise | caller-pause
    do: str
    at: str  # "before:email#1"
    delivery: int = 1
    error: str | None = None  # of a rival: its text
    # Which entry, transient ones first, where a class is named twice with other arguments.
    index: int = 0

    def __str__(self) -> str:
        error = ""
        if self.error:
            error = f"={self.error}"
            if self.index:
                error += f"~{self.index}"
        if self.delivery == 1:
            where = ""
        elif self.delivery == EVERY:
            where = "/*"
        else:
            where = f"/{self.delivery}"
        return f"{self.do}{error}@{self.at}{where}"


@dataclass(frozen=True)
class Schedule:
    """Faults, and the moves that follow once nothing is waiting any more."""

    family: str
    faults: tuple[Fault, ...] = ()
    # Redeliver | re-enqueue | sweep | forget | restore | wait=S | job=N | tick=EPOCH |
    # varied=FROM-TO | varied=N,M.
    moves: tuple[str, ...] = ()
    copies: int = 1
    lose: bool = False
    poison: int | None = None
    fresh: bool = False
    late: int = 0
    midnight: bool = False
    low_jitter: bool = False
    same: bool = False  # all deliveries in one process
    beside: int | None = None  # the distinct job that is delivered at the same time
    first: int | None = None  # the distinct job that is delivered before
    waiting: int = 1  # so many copies of the message wait at the beginning
    echo: bool = False  # an injected error tells a secret that the call was given
    listen: bool = False  # what a real call sends is kept
    early: bool = False  # delivered once before the application's own call
    undone: bool = False  # the application's call finds what it has to do still undone
    emptied: int | None = None  # after so many deliveries the broker loses its messages
    redis_emptied: int | None = None  # after so many, Redis loses what the job wrote there
    # Jobs that the application publishes one after the other, before any of them is delivered.
    called: tuple[int, ...] = ()
    day: str = ""  # the first delivery comes on this one, as YYYY-MM-DD
    # So many deliveries are the base's, and those that follow HEAD's; None: there is one side. A
    # replay has one side, and so no text is read as this.
    deploy: int | None = None
    # Other rows than the example's setup makes, for two commits that are compared with each other;
    # no text is read as this, since a proof compares with the single run. See `changed_rows`.
    world: World | None = None
    example: int = 0  # the one of payload.examples that is the proof's own job, see examples.py

    def __str__(self) -> str:
        # The order is part of the text: a replay and a witness are compared by it.
        words = (
            (f"example={self.example}", self.example > 0),
            (f"copies={self.copies}", self.copies > 1),
            (f"beside={self.beside}", self.beside is not None),
            (f"first={self.first}", self.first is not None),
            (f"waiting={self.waiting}", self.waiting > 1),
            (f"called={','.join(map(str, self.called))}", bool(self.called)),
            ("lose", self.lose),
            (f"poison={self.poison}", self.poison is not None),
            ("fresh", self.fresh),
            ("echo", self.echo),
            ("listen", self.listen),
            ("early", self.early),
            ("draft", self.undone),
            ("same-process", self.same),
            (f"broker-empty={self.emptied}", self.emptied is not None),
            (f"redis-empty={self.redis_emptied}", self.redis_emptied is not None),
            (f"late={self.late}", bool(self.late)),
            ("midnight", self.midnight),
            (f"day={self.day}", bool(self.day)),
            ("jitter=low", self.low_jitter),
            (f"deploy={self.deploy}", self.deploy is not None),
            (f"rows={self.world}", self.world is not None),
        )
        faults = [str(fault) for fault in self.faults]
        told = [word for word, holds in words if holds]
        return " ".join([*faults, *told, *self.moves]) or "once"

    @property
    def apart(self) -> Schedule:
        """The same with a process of its own for each delivery."""
        return replace(self, same=False)

    @property
    def jobs(self) -> tuple[int, ...]:
        """The distinct jobs that it delivers as well."""
        moved = tuple(int(float(move[4:])) for move in self.moves if move.startswith("job="))
        others = (job for job in (self.first, self.beside, *self.called) if job)
        return (*others, *moved)

    @property
    def varied(self) -> tuple[int, ...]:
        """Which of the varied payloads it delivers, counted from 1."""
        found: list[int] = []
        for move in self.moves:
            if not move.startswith("varied="):
                continue
            text = move.removeprefix("varied=")
            first, dash, last = text.partition("-")
            if dash:
                found += range(int(first), int(last) + 1)
            else:
                found += map(int, text.split(","))
        return tuple(found)

    @property
    def does(self) -> frozenset[str]:
        """What its faults do, e.g. "kill"."""
        return frozenset(fault.do for fault in self.faults)

    @property
    def crowded(self) -> bool:
        """More than one process is there at a time."""
        stands_still = not self.does.isdisjoint(("stall", "caller-pause"))
        return self.copies > 1 or self.beside is not None or stands_still

    @property
    def outlasting(self) -> int | None:
        """The delivery that stands still after others have failed, counted from 1; None where
        there is none.
        """
        failed = [fault.delivery for fault in self.faults if fault.do == "raise"]
        for fault in self.faults:
            if fault.do == "stall" and any(0 < number < fault.delivery for number in failed):
                return fault.delivery
        return None

    @property
    def fails_in_turn(self) -> bool:
        """Errors of several deliveries, each with its number."""
        failed = {fault.delivery for fault in self.faults if fault.do == "raise"}
        return len(failed - {EVERY}) > 1

    @property
    def in_time(self) -> Schedule:
        """The same, and nothing stands still."""
        faults = tuple(fault for fault in self.faults if fault.do != "stall")
        return replace(self, family="error", faults=faults, moves=())

    @property
    def unanswered(self) -> Schedule:
        """The same, and what stands still dies there: its answer is never heard."""
        faults = []
        for fault in self.faults:
            faults.append(replace(fault, do="kill") if fault.do == "stall" else fault)
        return replace(self, family="kill", faults=tuple(faults))

    @property
    def waits(self) -> bool:
        """Time passes between its deliveries."""
        return SWEEP in self.moves or self.has_move("wait")

    def has_move(self, name: str) -> bool:
        """Whether a move of that name follows, whatever its number is."""
        return any(move.partition("=")[0] == name for move in self.moves)

    @property
    def kills(self) -> int:
        """How many processes die."""
        return sum(fault.do in ("kill", "kill-worker", "caller-kill") for fault in self.faults)

    @property
    def has_crash(self) -> bool:
        """A process dies in it."""
        return self.kills > 0

    @property
    def dies_each_time(self) -> bool:
        """Each delivery kills its worker."""
        return any(fault.do in _KILLS and fault.delivery == EVERY for fault in self.faults)

    @property
    def kills_handler(self) -> bool:
        """A delivery dies in it, and not only the publisher."""
        return not self.does.isdisjoint(_KILLS)


ONCE = Schedule("once")


def parse_schedule(text: str) -> Schedule:
    """The schedule of a text. Raises Misuse."""
    made = Schedule("given")
    for word in text.split():
        made = _add_word(made, word)
    return replace(made, family=family_of(made))


def _add_word(made: Schedule, word: str) -> Schedule:
    fault = _FAULT.fullmatch(word)
    if fault and _can_be_said(fault):
        return replace(made, faults=(*made.faults, _make_fault(fault)))
    if word == "once":
        return made
    if word in _FLAGS:
        flags: dict[str, Any] = {_FLAGS[word]: True}
        return replace(made, **flags)
    name, _, value = word.partition("=")
    if name in _NUMBERS and value.isdigit():
        numbers: dict[str, Any] = {_NUMBERS[name]: int(value)}
        return replace(made, **numbers)
    if re.fullmatch(r"called=\d{1,3}(,\d{1,3})*", word):
        return replace(made, called=tuple(map(int, value.split(","))))
    if _DAY.fullmatch(word):
        return replace(made, day=_read_day(value))
    if word in _MOVES or _MEASURED_MOVE.fullmatch(word) or _VARIED_MOVE.fullmatch(word):
        return replace(made, moves=(*made.moves, word))
    raise Misuse(
        f"--schedule: cannot read {word!r}",
        hint="e.g. 'kill@before:email#1', 'copies=2 switch@after:email#1'",
    )


def _can_be_said(fault: re.Match[str]) -> bool:
    """Whether an answer is a status, or one that has a name. Of other faults it is true."""
    said = str(fault["error"] or "0")
    return fault["do"] != "answer" or said.isdigit() or said in REPLIES


def _read_day(text: str) -> str:
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        raise Misuse(f"--schedule: there is no day {text}", hint="e.g. day=2028-02-29") from None


def _make_fault(match: re.Match[str]) -> Fault:
    delivery = 1
    if match["delivery"] == "*":
        delivery = EVERY
    elif match["delivery"] is not None:
        delivery = int(match["delivery"])
    return Fault(match["do"], match["at"], delivery, match["error"], int(match["index"] or 0))


def family_of(schedule: Schedule) -> str:
    """The family that a schedule belongs to, from what it does."""
    # The order decides: a later question is asked only of what no earlier one has named.
    for name_family in (
        _name_by_word,
        _name_at_publisher,
        _name_crowd,
        _name_outage,
        _name_failure,
    ):
        family = name_family(schedule)
        if family is not None:
            return family
    return _name_by_moves(schedule)


def _name_at_publisher(schedule: Schedule) -> str | None:
    """The family of what happens while a call waits, or before the job is delivered at all."""
    does = schedule.does
    if does & {"hang", "silent", "cut"}:
        return "effect-hangs"
    if does & AWAY:
        return "receiver-away"
    if does & {"caller-kill", "caller-raise"}:
        return "publish-fault"
    if "caller-pause" in does or schedule.undone:
        return "before-commit"
    if schedule.fresh:
        return "fresh-interpreter"
    return None


def _name_crowd(schedule: Schedule) -> str | None:
    """The family of deliveries that meet each other, or somebody else at the same rows."""
    does = schedule.does
    if schedule.outlasting is not None:
        return "late-success"
    if "stall" in does:
        if "raise" in does:
            return "late-error"
        return "stall"
    if schedule.beside is not None:
        return "distinct-at-once"
    if schedule.copies > 1:
        return "at-once"
    if "rival" in does:
        return "rival"
    return None


def _name_failure(schedule: Schedule) -> str | None:
    """The family of an error, of a store that fails, or of deaths."""
    if "raise" in schedule.does:
        every = any(fault.delivery == EVERY for fault in schedule.faults)
        if schedule.has_move("job"):
            if every:
                return "distinct"
            return "after-failure"
        if every:
            return "exhaustion"
        return "error"
    if "fail" in schedule.does:
        return "store-error"
    if schedule.kills > 1:
        return "double-kill"
    if schedule.has_crash:
        if schedule.lose:
            return "kill-lose"
        return "kill"
    return None


def _name_by_moves(schedule: Schedule) -> str:
    """The family of what follows where no fault tells it."""
    if schedule.has_move("tick"):
        return "dst"
    if schedule.has_move("job") or schedule.first is not None:
        return "distinct"
    if schedule.has_move("wait"):
        is_swept = SWEEP in schedule.moves and schedule.moves[-1] == "redeliver"
        if is_swept:
            return "window-swept"
        return "window"
    for move in ("redeliver", "re-enqueue", SWEEP):
        if move in schedule.moves:
            return move
    return "once"


def _name_by_word(schedule: Schedule) -> str | None:
    """The family of which one word of the text is enough."""
    words = {
        "varied": schedule.has_move("varied"),
        "secret-echoed": schedule.echo,
        "early": schedule.early,
        "store-restored": RESTORE in schedule.moves,
        "store-emptied": FORGET in schedule.moves or schedule.redis_emptied is not None,
        "calendar": bool(schedule.day),
        "store-dropped": "drop" in schedule.does,
        "same-process": schedule.same,
        "broker-lost": schedule.emptied is not None,
        "late": schedule.late > SECOND_RUN_S,
        "poison": schedule.poison is not None,
        "queued-together": bool(schedule.called),
    }
    for family, holds in words.items():
        if holds:
            return family
    return None


def _name_outage(schedule: Schedule) -> str | None:
    """The family of what fails besides the job: the broker, a store, each worker."""
    if schedule.waiting > 1:
        return "copies"
    if schedule.dies_each_time:
        return "crash-loop"
    is_killed_for_long = schedule.kills_handler and schedule.lose and schedule.has_move("wait")
    if is_killed_for_long and not schedule.midnight:
        return "late-back"
    if "raise" not in schedule.does:
        return None
    if schedule.kills_handler and schedule.lose and SWEEP in schedule.moves:
        return "last-attempt-lost"
    if "fail" in schedule.does:
        return "letter-lost"
    return _name_lost_publish([fault for fault in schedule.faults if fault.do == "raise"])


def _name_lost_publish(failing: list[Fault]) -> str | None:
    """The family of an error after which the retry, or the dead letter, cannot be published."""
    last = failing[-1]
    # An effect may be called "publish": then it is its own error that comes again.
    if last.error == failing[0].error or not is_publish(last.at):
        return None
    if last.at.startswith("before:publish-"):
        return "letter-lost"
    return "retry-lost"


def is_publish(at: str) -> bool:
    """Whether a boundary stands before a publish of the delivery itself."""
    return at.startswith(("before:publish#", "before:publish-"))

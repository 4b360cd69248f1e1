"""Every driver keeps the promises of `probe/driver.py`: one suite over the correct handlers
of the corpus.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from skillrun.contract.job import JobSpec
from skillrun.contract.spec import load_spec
from skillrun.probe.facts import BootFacts
from skillrun.proof.explorer import Explorer
from skillrun.proof.families.registry import plan_schedules
from skillrun.proof.families.situation import Situation
from skillrun.proof.history import Delivery, History
from skillrun.proof.jobs import DIRECT
from skillrun.proof.judges.met_errors import count_attempts
from skillrun.proof.judges.waits import measure_delays
from skillrun.proof.schedule import ONCE, Schedule, parse_schedule
from skillrun.proof.services.errors import ServiceMissing
from skillrun.proof.workplace import Workplace

# An interpreter for each library, some of them beside a Redis or PostgreSQL of their own.
pytestmark = pytest.mark.real

CORPUS = Path(__file__).parent / "corpus"
sys.path.insert(0, str(CORPUS))
import run as corpus  # type: ignore[import-not-found,unused-ignore]  # noqa: E402

NAMES = sorted(path.parent.name for path in CORPUS.glob("*/corpus.py"))
# The first folder of each.
OF_DRIVERS = {corpus.load(name).DRIVER: name for name in reversed(NAMES)}
# No payload: work in a table, or the clock alone.
CHOSEN = sorted({*OF_DRIVERS.values(), "plain_poller", "plain_cron"})


@dataclass
class Job:
    """A correct handler in its workplace, and its single run."""

    spec: JobSpec
    explorer: Explorer
    once: History

    @property
    def facts(self) -> BootFacts:
        return self.explorer.facts

    def first(self, family: str) -> Schedule:
        """The first schedule of a family that applies to the job."""
        plan = plan_schedules(Situation(self.spec, self.once, self.facts, jobs=(1,)))
        found = next((schedule for schedule in plan.schedules if schedule.family == family), None)
        return found or pytest.skip(plan.skipped.get(family, f"no {family}"))

    def under(self, family: str) -> History:
        return self.explorer.run(self.first(family))


@pytest.fixture(scope="module", params=CHOSEN)
def job(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Job]:
    """Booted once for all tests of a handler. At the end nothing runs any more, and no file is
    left.
    """
    module = corpus.load(request.param)
    root = corpus.build(
        request.param, None, tmp_path_factory.mktemp("corpus").resolve() / request.param
    )
    spec = load_spec(next((root / ".skillrun" / "jobs").glob("*.yaml")), root=root)
    with Workplace(spec, root, module.DRIVER, ()) as workplace:
        yield _booted(spec, workplace)
        zygotes = list(workplace.zygotes.values())
    assert all(zygote.process.poll() is not None for zygote in zygotes)
    assert not workplace.folders.folder.exists()


def _booted(spec: JobSpec, workplace: Workplace) -> Job:
    try:
        workplace.start_servers()
    except ServiceMissing as missing:
        pytest.skip(str(missing))
    workplace.set_up()
    explorer = Explorer(workplace)
    poison = spec.proof.poison if spec.proof else ()
    examples = dict(enumerate(spec.examples or ({},)))
    explorer.begin(
        {
            **examples,
            DIRECT: examples[0],
            **{-1 - number: payload for number, payload in enumerate(poison)},
        }
    )
    return Job(spec, explorer, explorer.run(ONCE))


def test_facts_name_library_and_death(job: Job) -> None:
    assert job.facts.library and job.facts.on_kill
    assert job.facts.redelivery_s > 0
    assert Path(job.facts.file).is_relative_to(job.explorer.workplace.root)


def test_what_is_published_is_what_the_application_publishes(job: Job) -> None:
    messages = job.explorer.origin.messages
    assert messages[0].get("arguments") == messages[DIRECT].get("arguments")
    assert not job.explorer.unpublished


def test_messages_are_plain_json(job: Job) -> None:
    for message in job.explorer.origin.messages.values():
        assert json.loads(json.dumps(message)) == message


def test_a_delivery_succeeds_and_settles(job: Job) -> None:
    assert [delivery.outcome for delivery in job.once.runs][:1] == ["succeeded"]
    assert _settled(job.once.runs[0]) == "acked"
    assert {event["effect"] for event in job.once.performed()} == {
        effect.name for effect in job.spec.effects or ()
    }
    _check_sound(job.once)


def test_another_interpreter_delivers_the_message(job: Job) -> None:
    history = job.explorer.run(parse_schedule("fresh redeliver"))
    assert len(history.runs) >= 2
    assert all(delivery.outcome == "succeeded" for delivery in history.runs)
    _check_sound(history)


def test_a_transient_error_is_tried_again(job: Job) -> None:
    history = job.under("error")
    _check_sound(history)
    if len(_declared(job)) == 0:
        assert [delivery.outcome for delivery in history.runs] == ["failed"]
        return
    assert history.runs[-1].outcome == "succeeded"
    assert {event["key"] for event in history.performed()} == {
        event["key"] for event in job.once.performed()
    }
    if not job.facts.ticks and len(history.runs) > 1:
        assert history.runs[0].outcome == "retried"


def test_a_permanent_error_is_not_tried_again(job: Job) -> None:
    history = job.under("permanent")
    _check_sound(history)
    assert count_attempts(history, _reference(job)) == 1
    assert not any(delivery.will_retry for delivery in history.runs)


def test_another_job_runs_to_its_end_in_the_same_process(job: Job) -> None:
    if not job.facts.shared:
        pytest.skip("its worker runs one job at a time in a process")
    called = job.once.performed()[0]
    text = f"switch@before:{called['name']} beside=1 same-process"
    together = job.explorer.run(parse_schedule(text))
    assert [(run.job, run.outcome) for run in together.runs] == [(1, "succeeded"), (0, "succeeded")]
    assert [_settled(run) for run in together.runs] == ["acked", "acked"]
    apart = job.explorer.run(parse_schedule(text).apart)
    assert together.state == apart.state
    assert _list_done(together) == _list_done(apart)
    _check_sound(together)


def _list_done(history: History) -> list[tuple[int, str]]:
    calls = history.performed()
    return sorted((history.delivery_of(call).job, str(call["subject"])) for call in calls)


def test_exhaustion_uses_up_the_attempts_at_the_declared_delays(job: Job) -> None:
    begun = time.monotonic()
    history = job.under("exhaustion")
    spent = time.monotonic() - begun
    declared = _declared(job)
    # By the library's jitter.
    longest = job.spec.retry.delays(job.facts.spread) if job.spec.retry else ()
    _check_sound(history)
    assert count_attempts(history, _reference(job)) == len(declared) + 1
    if job.facts.ticks:
        return  # the ticks wait, and not the job
    waited = measure_delays(history)
    assert len(waited) == len(declared)
    bounds = zip(waited, declared, longest, strict=True)
    assert all(least * 0.45 - 1.5 <= seen <= most * 1.05 + 1.5 for seen, least, most in bounds)
    assert spent < max(sum(declared), 10.0), "something slept"


@pytest.mark.parametrize("do", ["kill", "kill-worker"])
def test_a_death_does_what_the_facts_say(job: Job, do: str) -> None:
    at = str(job.first("kill").faults[0].at)
    history = job.explorer.run(parse_schedule(f"{do}@{at}"))
    _check_sound(history)
    assert history.runs[0].died
    if job.facts.lossy:
        assert (history.lost, len(history.runs)) == (1, 1)
        assert "lost" in job.facts.on_kill
    else:
        assert history.lost == 0
        assert history.state == job.once.state


def test_poison_ends_without_an_effect(job: Job) -> None:
    history = job.under("poison")
    _check_sound(history)
    assert not history.performed()


def test_other_jobs_are_other_messages(job: Job) -> None:
    if 1 not in job.explorer.origin.messages:
        pytest.skip("one example only")
    history = job.under("distinct")
    _check_sound(history)
    assert len({event["args"] for event in history.performed()}) > len(
        {event["args"] for event in job.once.performed()}
    )


def _declared(job: Job) -> tuple[float, ...]:
    return job.spec.retry.delays() if job.spec.retry and job.spec.retry.kind is None else ()


def _settled(delivery: Delivery) -> str | None:
    return delivery.settled["how"] if delivery.settled else None


def _check_sound(history: History) -> None:
    """It ended by itself, nothing waits, no driver failed, and each delivery was settled once."""
    broken = [event["text"] for event in history.events if event.kind == "probe-error"]
    assert (history.hung, history.pending, history.notes, broken) == (None, 0, (), [])
    assert all(
        len(list(delivery.all("settled"))) == (not delivery.died) for delivery in history.runs
    )


def _reference(job: Job) -> Any:
    from skillrun.proof.reference import Reference

    return Reference(job.spec, job.once, facts=job.facts)

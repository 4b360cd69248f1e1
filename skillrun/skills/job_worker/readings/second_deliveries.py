"""A job in another language: a test of its own as the witness that a second delivery does no harm.
It counts once it was seen to fail, with the handler broken.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from skillrun.core.verdict import Action, Evidence, Finding, Grade, StageResult, Status, status_of
from skillrun.proof.second_delivery.broken_grammar import GRAMMARS
from skillrun.proof.second_delivery.key_origins import CONSTANT, OF_MESSAGE
from skillrun.proof.second_delivery.rewriting import (
    CONDITION,
    KEY,
    MEMORY,
    Counted,
    Decision,
    Rewriting,
    Rewritten,
    rewrite_file,
)
from skillrun.repo.places import is_test
from skillrun.runner.case import wait_for_consent
from skillrun.runner.findings import blocker, note
from skillrun.skills.job_worker.readings.named import find_last_word, find_named, list_words
from skillrun.skills.job_worker.stages.validate import telling_lines
from skillrun.validations.consent import CommandPlan

if TYPE_CHECKING:
    from collections.abc import Mapping

    from skillrun.contract.job import JobSpec
    from skillrun.contract.languages import Language
    from skillrun.proof.second_delivery.trial import (
        BrokenRun,
        Ended,
        SecondDelivery,
        TestedJob,
        TestRun,
    )
    from skillrun.skills.job_worker.job_case import JobCase

STAGE = "idempotency"
# A run of the test may take so long where the profile says nothing.
_LIMIT_S = 600.0
# Files beyond the handler's in which an effect's calls are looked for.
_MOST_FILES = 20
_KEPT_CHARACTERS = 4000
_SHOWN_PLACES = 3
# A test or handler that knows of skillrun may ask which break is on.
_NAMES_SKILLRUN = re.compile("skillrun", re.IGNORECASE)
_CODE = (".js", ".mjs", ".cjs", ".jsx", ".ts", ".mts", ".cts", ".tsx", ".rb")
# By these guarantees an effect may take place again: nothing would be broken.
_REPEATABLE = ("at_least_once", "convergent")
# `from "./mailer.js"`, `require("../sent")`, `require_relative "sent"`
_IMPORTS = re.compile(r"""(?:from|require|import|require_relative)\s*\(?\s*["']([\w./-]+)["']""")
_ATTEST = "mend the test, or leave idempotency.test out, and let a person attest it"


class _NotBreakable(Exception):
    """Why the handler cannot be broken while the test runs; the argument is a clause."""


def can_be_witnessed(language: Language) -> bool:
    """Whether skillrun can break handlers of a language while their tests run."""
    return language.id in GRAMMARS


def plan_test(command: str) -> CommandPlan:
    """What a person agrees to: the test that the spec names."""
    purpose = (
        "run the test of a second delivery in a scratch copy, as it is and with a broken handler"
    )
    return CommandPlan(purpose, (command,))


def witness_stage(
    case: JobCase, language: Language, command: str, found: Iterable[Finding]
) -> StageResult:
    """The stage by the test that the spec names: passed where it fails once the handler is
    broken, blocked where it does not. `found` is what the spec itself lacks.
    """
    findings = list(found)
    if status_of(findings) != Status.PASSED:
        return _conclude(findings, None, "the spec is not complete")
    if not case.clean:
        summary = "its test meets a broken handler once the stages before are clean"
        return StageResult(Status.PENDING, None, tuple(findings), summary=summary)
    try:
        job = _make_job(case, language, command)
    except _NotBreakable as why:
        findings.append(_place_at_spec(case, _tell_unbreakable(str(why))))
        return _conclude(findings, None, "no witness")
    plan = plan_test(command)
    if not case.consent(plan):
        return wait_for_consent(STAGE, plan, "run the test of a second delivery")
    shown = _try(case, job)
    # The test may read any file.
    case.tree.hash_everything()
    for finding in judge_second_delivery(shown, _list_counted(case.spec), command):
        findings.append(_place_at_spec(case, finding))
    summary = "no witness: its test does not fail where it must"
    if status_of(findings) == Status.PASSED:
        summary = "witnessed by a test that fails once the handler is broken"
    return _conclude(findings, shown, summary)


def _place_at_spec(case: JobCase, finding: Finding) -> Finding:
    """The finding at the line of the spec that names the test, where it has no place of its own."""
    if finding.path is not None or case.spec is None:
        return finding
    return replace(finding, path=case.spec.shown_path, line=case.spec.line(STAGE, "test"))


def _conclude(findings: list[Finding], shown: SecondDelivery | None, summary: str) -> StageResult:
    """The result of the stage, with the runs as evidence."""
    status = status_of(findings)
    grade = None
    evidence: tuple[Evidence, ...] = ()
    if shown is not None:
        grade = Grade.EXECUTED
        evidence = tuple(_list_evidence(shown))
    steps = []
    for finding in findings:
        if finding.severity in ("blocker", "error"):
            steps.append(Action(STAGE, "edit-code", f"{finding.message}: {finding.hint}"))
    return StageResult(status, grade, tuple(findings), evidence, tuple(steps), summary)


# -- what the runs say


def judge_second_delivery(
    shown: SecondDelivery, effects: Iterable[Counted], command: str
) -> list[Finding]:
    """A note for each break that the test notices; a blocker where it is no witness. Needs no
    repository.
    """
    if not shown.plain.is_green:
        return [_tell_not_green(shown.plain, command)]
    if shown.counted is None or not shown.counted.is_green:
        message = "with counters in the handler's file the test does not pass, so it shows nothing"
        return [blocker("idempotency.test-unbreakable", message, hint=_ATTEST)]
    if shown.counted.unreadable is not None:
        return [_tell_unreadable(shown.counted.unreadable)]
    for one in shown.broken:
        if one.run.unreadable is not None:
            return [_tell_unreadable(one.run.unreadable)]
    effects = list(effects)
    for effect in effects:
        if not shown.counted.made.get(effect.name):
            message = f"the test passes, and the effect {effect.name} never took place in it"
            hint = "let it run the handler itself, with a stand-in below the effect's call"
            return [blocker("idempotency.test-not-reached", message, hint=hint)]
    return list(_judge_breaks(shown, shown.counted, effects))


def _tell_unreadable(why: str) -> Finding:
    message = f"what took place in the test cannot be read ({why}), so it shows nothing"
    hint = (
        "let the test deliver fewer jobs, with smaller payloads, and leave its temporary files be"
    )
    return blocker("idempotency.test-unreadable", message, hint=hint)


def _tell_not_green(plain: TestRun, command: str) -> Finding:
    """A blocker: the test fails as the code is, or it is not one test."""
    tests = plain.tests
    if not plain.ended.ok:
        lines = telling_lines(plain.ended.tail)
        message = f"the test does not pass as the code is ({plain.ended.words}): {lines}"
        return blocker("idempotency.test-fails", message, hint=f"run it yourself: {command}")
    said = "no count of tests that skillrun can read"
    if tests is not None:
        said = f"{tests.passed} tests that passed"
    message = f"the command of idempotency.test runs one test alone, and it ended with {said}"
    hint = "name one test, e.g. node --test --test-name-pattern='second delivery' test/mail.test.js"
    return blocker("idempotency.test-not-one", message, hint=hint)


def _judge_breaks(
    shown: SecondDelivery, counted: TestRun, effects: Sequence[Counted]
) -> Iterator[Finding]:
    """What each break came to. One that repeats no effect, and changes no key, breaks nothing."""
    from skillrun.proof.second_delivery.trial import list_repeated

    for effect in effects:
        if effect.key_arg is None and counted.repeated.get(effect.name):
            yield _tell_repeated(effect)
            return
    if not shown.broken:
        message = (
            "the test does not deliver one job again after its effect, or nothing was decided then"
        )
        hint = "deliver the same job twice in one test, and assert that its effect took place once"
        yield blocker("idempotency.test-one-delivery", message, hint=hint)
        return
    noticed: list[BrokenRun] = []
    for one in shown.broken:
        breaks = one.decision.kind == KEY or list_repeated(one.run, counted)
        if not breaks:
            continue
        if one.run.is_red:
            noticed.append(one)
            yield _tell_noticed(one)
        else:
            yield _tell_blind(one)
            return
    if shown.untried:
        yield _tell_untried(shown.untried)
        return
    if not noticed:
        message = "no change of what the handler decides made its effect take place again"
        yield blocker("idempotency.test-unbreakable", message, hint=_ATTEST)
        return
    for effect in effects:
        yield from _judge_effect(effect, noticed, shown, counted)


def _judge_effect(
    effect: Counted, noticed: Sequence[BrokenRun], shown: SecondDelivery, counted: TestRun
) -> Iterator[Finding]:
    """A blocker where no break that was noticed is this effect's own: its key, or its guard
    together with what is remembered for that.
    """
    from skillrun.proof.second_delivery.trial import list_kinds_repeating

    keys = [one.decision for one in noticed if one.decision.effect == effect.name]
    if keys:
        yield from _judge_keys(keys, effect)
        return
    kinds = list_kinds_repeating(effect.name, noticed, counted)
    if counted.repeated.get(effect.name) or CONDITION not in kinds:
        message = f"the test is a witness of other effects, and not of {effect.name}"
        hint = "assert in it that each effect took place once, or name a test that does"
        yield blocker("idempotency.test-not-of-effect", message, hint=hint)
    elif MEMORY not in kinds:
        yield _tell_unremembered(effect, shown)


def _judge_keys(keys: Iterable[Decision], effect: Counted) -> Iterator[Finding]:
    for key in keys:
        if key.origin != OF_MESSAGE:
            yield _tell_fixed_key(key, effect)


def _tell_repeated(effect: Counted) -> Finding:
    """A blocker: the handler itself does no harm once, and then does."""
    message = (
        f"with nothing broken the effect {effect.name} takes place again when the job is delivered"
        " again, and it has no key"
    )
    hint = "guard it by what an earlier delivery wrote down, or give it a key that stays the same"
    return blocker("idempotency.test-repeated", message, hint=hint)


def _tell_unremembered(effect: Counted, shown: SecondDelivery) -> Finding:
    """A blocker: nothing that the first delivery writes down decides about the second one."""
    tried = [one.decision for one in shown.broken if one.decision.kind == MEMORY]
    message = (
        f"the test is no witness of what is remembered: {effect.name} does not take place again"
        " where a first delivery leaves out all that it does beside its effect"
    )
    hint = "let the second delivery meet what the first one wrote, and no answer of a stand-in"
    if not tried:
        return blocker("idempotency.test-blind", message, hint=hint)
    at = {"path": tried[-1].path, "line": tried[-1].line}
    return blocker("idempotency.test-blind", message, hint=hint, **at)


def _tell_fixed_key(key: Decision, effect: Counted) -> Finding:
    """A blocker: another job would get this key as well, as far as can be read."""
    message = f"the key of {effect.name}, {key.text}, is not seen to come of the message"
    if key.origin == CONSTANT:
        message = f"the key of {effect.name}, {key.text}, is the same for all jobs"
    hint = "make it of the message, in the function that gives it"
    return blocker("idempotency.test-fixed-key", message, hint=hint, path=key.path, line=key.line)


def _tell_untried(untried: Sequence[Decision]) -> Finding:
    """A blocker with the first places that no run was made for."""
    places = ", ".join(f"{one.path}:{one.line}" for one in untried[:_SHOWN_PLACES])
    message = (
        f"a second delivery meets {len(untried)} more decisions than are turned round"
        f" ({places}): what they come to is not known"
    )
    hint = "let the handler return before them, or leave idempotency.test out, and attest it"
    return blocker("idempotency.test-untried", message, hint=hint)


def _describe_break(one: BrokenRun) -> str:
    if one.decision.kind == KEY:
        return f"another key is given each time in the place of {one.decision.text}"
    if one.decision.kind == MEMORY:
        return f"{one.decision.text} is left out"
    return f"{one.decision.text} is turned round for a job that had its effect before"


def _tell_noticed(one: BrokenRun) -> Finding:
    lines = telling_lines(one.run.ended.tail)
    message = f"the test fails, as it must, where {_describe_break(one)}: {lines}"
    return note("idempotency.witnessed", message, path=one.decision.path, line=one.decision.line)


def _tell_blind(one: BrokenRun) -> Finding:
    """A blocker: the test is no witness."""
    how = "passes"
    if not one.run.ended.ok:
        how = f"ends without a failed test ({one.run.ended.words})"
    again = ""
    if one.decision.kind != KEY:
        again = ", and its effect takes place again"
    message = f"the test is no witness: it {how} where {_describe_break(one)}{again}"
    hint = "deliver the job twice in it, and assert that the effect took place once"
    at = {"path": one.decision.path, "line": one.decision.line}
    return blocker("idempotency.test-blind", message, hint=hint, **at)


def _tell_unbreakable(why: str) -> Finding:
    hint = "leave idempotency.test out, and let a person attest it"
    message = f"skillrun cannot break the handler while its test runs: {why}"
    return blocker("idempotency.test-unbreakable", message, hint=hint)


def _list_evidence(shown: SecondDelivery) -> Iterator[Evidence]:
    """How each run ended, what was broken in it, and the end of what it printed."""
    yield _show_run(shown.plain, "as it is")
    if shown.counted is not None:
        yield _show_run(shown.counted, "with counters")
    for one in shown.broken:
        place = f"{one.decision.path}:{one.decision.line}"
        yield _show_run(one.run, f"broken at {place}: {_describe_break(one)}")


def _show_run(run: TestRun, how: str) -> Evidence:
    detail = {
        "kind": "second delivery",
        "handler": how,
        "ended": run.ended.words,
        "effects": dict(run.made),
        "duration_ms": run.ended.duration_ms,
        "tail": run.ended.tail[-_KEPT_CHARACTERS:],
    }
    ended = run.ended
    return Evidence("command", ended.command, ended.output_sha256, ended.output_size, None, detail)


# -- the runs


def _try(case: JobCase, job: TestedJob) -> SecondDelivery:
    from skillrun.proof.second_delivery.trial import try_second_delivery
    from skillrun.validations.run import run_command

    say = case.on_output
    if say:
        say("test of a second delivery, as it is and with the handler broken")

    def run(command: str, folder: Path, env: Mapping[str, str], limit_s: float) -> Ended:
        return run_command(command, cwd=folder, env=env, timeout_s=limit_s, on_line=say)

    return try_second_delivery(job, run)


def _make_job(case: JobCase, language: Language, command: str) -> TestedJob:
    """What is run and where it is broken. Raises _NotBreakable."""
    from skillrun.proof.breaking.scratch import LARGEST, size_of
    from skillrun.proof.second_delivery.trial import TestedJob
    from skillrun.validations.environment import command_env

    if not can_be_witnessed(language):
        raise _NotBreakable(f"it does not rewrite {language.title}")
    naming = _find_naming(case, command)
    if naming is not None:
        raise _NotBreakable(f"{naming} names skillrun, and could ask what is broken")
    if size_of(case.root, case.tree.files) > LARGEST:
        raise _NotBreakable(f"the repository is larger than {LARGEST // 1024**3} GB")
    limit_s = None
    if case.profile:
        limit_s = case.profile.validation_timeout
    return TestedJob(
        root=case.root,
        files=case.tree.files,
        command=command,
        language=language.id,
        rewritten=_rewrite_files(case, language),
        env=command_env(case.root),
        limit_s=limit_s or _LIMIT_S,
    )


def _read_text(case: JobCase, path: str) -> str:
    return (case.tree.read(path) or b"").decode("utf-8", "replace")


def _find_naming(case: JobCase, command: str) -> str | None:
    """The command, or a file of code, that has skillrun's name in it; None where none has."""
    if _NAMES_SKILLRUN.search(command):
        return "the command"
    for path in case.tree.files:
        if path.endswith(_CODE) and _NAMES_SKILLRUN.search(_read_text(case, path)):
            return path
    return None


def _list_counted(spec: JobSpec | None) -> list[Counted]:
    """The effects that must not take place again."""
    counted: list[Counted] = []
    if spec is None:
        return counted
    for effect in spec.effects or ():
        if effect.guarantee in _REPEATABLE:
            continue
        key_arg = None
        if effect.guarantee == "keyed":
            key_arg = effect.key_arg
        counted.append(Counted(effect.name, find_last_word(effect.call), key_arg))
    return counted


def _rewrite_files(case: JobCase, language: Language) -> dict[str, Rewritten]:
    """Path -> text of the handler's file, of those that it imports, and of those that call an
    effect. Raises _NotBreakable where no call of an effect was found.
    """
    effects = _list_counted(case.spec)
    if not effects:
        raise _NotBreakable("the spec names no effect that must take place once")
    if case.spec is None or case.spec.handler is None:
        raise _NotBreakable("the spec names no handler")
    handler = find_named(case.tree, language, case.spec.handler)
    if handler is None:
        raise _NotBreakable("the handler was not found")
    rewritten: dict[str, Rewritten] = {}
    entry = Rewriting(language.id, effects, tuple(reversed(list_words(case.spec.handler))))
    if not _rewrite(case, handler.path, entry, rewritten):
        raise _NotBreakable(f"{handler.path} has no function of that name that it can rewrite")
    for path in _list_near_files(case, language, handler.path):
        _rewrite(case, path, Rewriting(language.id, effects), rewritten)
    missing = _find_uncalled(effects, rewritten)
    for path in _list_calling_files(case, language, missing):
        _rewrite(case, path, Rewriting(language.id, missing), rewritten)
    missing = _find_uncalled(effects, rewritten)
    if missing:
        raise _NotBreakable(
            f"no call of {missing[0].word}, its effect {missing[0].name}, was found"
        )
    return rewritten


def _rewrite(case: JobCase, path: str, wanted: Rewriting, rewritten: dict[str, Rewritten]) -> bool:
    """Adds a file to those that are rewritten; False where it cannot be."""
    first_number = 1
    for one in rewritten.values():
        first_number += len(one.decisions)
    text = _read_text(case, path)
    done = rewrite_file(path, text, wanted, first_number)
    if done is None:
        return False
    if path not in rewritten and (done.decisions or done.effects or wanted.entry):
        rewritten[path] = done
    return True


def _find_uncalled(effects: Iterable[Counted], rewritten: Mapping[str, Rewritten]) -> list[Counted]:
    """The effects that no rewritten file calls."""
    called: set[str] = set()
    for one in rewritten.values():
        called |= one.effects
    return [effect for effect in effects if effect.name not in called]


def _list_near_files(case: JobCase, language: Language, path: str) -> list[str]:
    """The files of the repository that the handler's file imports by their place."""
    near: list[str] = []
    text = _read_text(case, path)
    folder = posixpath.dirname(path)
    known = set(case.tree.files)
    for name in _IMPORTS.findall(text):
        target = posixpath.normpath(posixpath.join(folder, name))
        # TypeScript imports `./mailer.js` for the file `mailer.ts`.
        stem = posixpath.splitext(target)[0]
        for candidate in (
            target,
            *_with_suffixes(target, language),
            *_with_suffixes(stem, language),
        ):
            if (
                candidate in known
                and candidate not in near
                and candidate.endswith(language.suffixes)
            ):
                near.append(candidate)
                break
    return near


def _with_suffixes(stem: str, language: Language) -> list[str]:
    return [f"{stem}{suffix}" for suffix in language.suffixes]


def _list_calling_files(case: JobCase, language: Language, effects: Iterable[Counted]) -> list[str]:
    """Further files of the language, outside of the tests, that have an effect's word."""
    found: list[str] = []
    for effect in effects:
        for suffix in language.suffixes:
            for path in case.tree.search(effect.word, suffix):
                if not is_test(path) and path not in found:
                    found.append(path)
    return sorted(found)[:_MOST_FILES]

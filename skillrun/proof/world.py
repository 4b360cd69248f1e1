"""What the proof as a whole must have seen: sources, stores that are written, queries that can be
trusted.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skillrun.proof.history import (
    TEMPORARY_TABLE,
    Event,
    History,
    ends_with_connection,
    name_scratch_file,
)
from skillrun.proof.judgement import Judgement, Verdict
from skillrun.proof.reference import Reference
from skillrun.proof.state import StateError, Store, words
from skillrun.proof.store_watch import Change, may_publish, unshown
from skillrun.proof.unread_tables import find_like_state, write_query

if TYPE_CHECKING:
    from skillrun.proof.explorer import Explorer
    from skillrun.proof.result import Target

# The last part of a name: of `public."Orders"` it is Orders.
_SOURCE = re.compile(r'\b(?:from|join)\s+[\w."]*?(\w+)"?(?![\w."])', re.IGNORECASE)


def world_judgements(
    target: Target, reference: Reference, histories: Iterable[History], explorer: Explorer
) -> list[Judgement]:
    """Whatever makes the verdict incomplete as a whole."""
    # Whatever the sources looked like, the handler itself said whose it is.
    driver = explorer.workplace.driver
    return [
        *_judge_source(target.root, reference),
        *_judge_volatile_state(reference),
        *_judge_unread_tables(target.spec, driver, list(histories), explorer, reference),
        *_judge_redis_commands(target.spec, driver, list(histories)),
        *_judge_emptiness(reference),
        *_judge_idleness(reference),
        *_judge_stand_ins(target, reference),
        *_judge_effects(reference),
        *_judge_uncounted_letters(target.spec, list(histories)),
        *_judge_distinct_jobs(target.spec, reference),
        *_judge_what_setup_left(explorer),
    ]


def _judge_emptiness(reference: Reference) -> Iterator[Judgement]:
    """Without effects and without state every history looks the same."""
    if not reference.effects and not reference.once.state:
        said = (
            "the spec declares no effect and proof.state asks nothing: there is nothing to judge by"
        )
        yield Judgement(Verdict.INCOMPLETE, "state.nothing", said)


def _judge_idleness(reference: Reference) -> Iterator[Judgement]:
    """A job that finds nothing to do shows nothing of itself, whatever befalls it."""
    singles = (reference.once, *reference.jobs.values())
    if not reference.once.state or any(map(_has_performed, singles)):
        return
    if all(_leaves_state(one, reference) for one in singles):
        said = (
            "the single run changes no row that proof.state asks for: with these rows there is"
            " nothing to do"
        )
        yield Judgement(Verdict.INCOMPLETE, "state.idle", said)


def _has_performed(history: History) -> bool:
    return bool(history.performed())


def _leaves_state(history: History, reference: Reference) -> bool:
    """Whether every query of `proof.state` answers as it did before anything was delivered."""
    before = reference.before
    return all(rows == before.get(name) for name, rows in history.state.items())


def _judge_stand_ins(target: Target, reference: Reference) -> Iterator[Judgement]:
    """A stand-in for what the job is for shows the stand-in, and nothing of the job."""
    for effect in target.doubtful:
        if effect.is_work:
            said = f"a stand-in takes the place of {effect.call}, which {effect.why}"
            yield Judgement(Verdict.INCOMPLETE, "effect.hollow", said, effect=effect.name)
    performed = {str(event["effect"]) for event in reference.once.performed()}
    doubtful = [effect for effect in target.doubtful if effect.name in performed]
    is_all = bool(doubtful) and len(doubtful) == len(performed)
    if is_all and _leaves_state(reference.once, reference):
        names = ", ".join(effect.call for effect in doubtful)
        said = f"all that the job does is done by a stand-in for {names}, which {doubtful[0].why}"
        yield Judgement(Verdict.INCOMPLETE, "effect.hollow", said, effect=doubtful[0].name)


def _judge_effects(reference: Reference) -> Iterator[Judgement]:
    """An effect needs a guarantee, and a keyed one the name of its key; one that is passed through
    must do something that is seen.
    """
    for effect in reference.effects:
        if effect.promise is None:
            said = (
                f"effect {effect.name} has no guarantee: nothing says how often it may take place"
            )
            yield Judgement(Verdict.INCOMPLETE, "effect.no-guarantee", said, effect=effect.name)
        if effect.guarantee == "keyed" and effect.key_arg is None:
            said = f"effect {effect.name} is declared keyed, but key_arg names no argument"
            yield Judgement(Verdict.INCOMPLETE, "effect.key-not-named", said)
        is_called = effect.mode == "pass_through" and bool(reference.calls(effect.name))
        if is_called and not _does_something(reference, effect):
            said = f"effect {effect.name} is passed through, but nothing that it does was seen"
            yield Judgement(Verdict.INCOMPLETE, "effect.not-seen", said)


def _does_something(reference: Reference, effect: Any) -> bool:
    """A write, a command, a publish or a file of the scratch between the call and its end."""
    is_inside = False
    for event in reference.once.events:
        if is_inside and name_scratch_file(event) is not None:
            return True
        if event.kind != "at":
            continue
        if event["effect"] == effect.name:
            is_inside = event["when"] == "before"
        elif is_inside:
            is_write = event["kind"] == "sql" and event["verb"] != "select"
            if is_write or event["kind"] in ("redis", "publish"):
                return True
    return False


def _judge_uncounted_letters(spec: Any, histories: list[History]) -> Iterator[Judgement]:
    """A dead letter that nobody counts may be missing, or there twice."""
    letter = spec.dead_letter
    if letter is None or letter.kind == "none":
        return
    if all(history.dead_letters is None for history in histories):
        said = f"dead letters go to a {letter.kind}, but nothing counts them: proof.dead_letters"
        yield Judgement(
            Verdict.INCOMPLETE,
            "dead-letter.uncounted",
            said,
            expected="e.g. select count(*) from dead_jobs",
        )


def _judge_what_setup_left(explorer: Explorer) -> Iterator[Judgement]:
    """A process that acts on the job's state by itself would be part of the job."""
    left = explorer.workplace.left_by_setup
    if left is not None:
        yield Judgement(Verdict.INCOMPLETE, "proof.setup", f"proof.setup: {left}")


def _judge_distinct_jobs(spec: Any, reference: Reference) -> Iterator[Judgement]:
    """That two jobs are told apart was not seen: with one key for all of them nothing would look
    different.
    """
    is_keyed = spec.idempotency is not None and spec.idempotency.strategy == "keyed"
    if not is_keyed or reference.jobs:
        return
    absent = _find_absent_field(spec)
    said, want = "no second, distinct job could be run", "another one in payload.examples"
    if absent is not None:
        said = (
            f"the key field {absent} is not in the first of payload.examples: no two jobs"
            " differ in it"
        )
    elif reference.left_out:
        said = f"{said}: {reference.left_out}"
        want = (
            "idempotency.key as the handler goes by it, or args of enqueue.call with which it makes"
            " a job that is done beside the first"
        )
    elif reference.unfit:
        job, why = next(iter(reference.unfit.items()))
        said = f"{said}: {_show_payload(spec, job)}: {why}"
        want = (
            "let proof.setup write what that job works on, or give another one in payload.examples"
        )
    yield Judgement(Verdict.INCOMPLETE, "distinct.none", said, expected=want)


def _find_absent_field(spec: Any) -> str | None:
    """The first key field that the first example does not have."""
    given = spec.examples[0] if spec.examples else None
    if not given or not isinstance(given, dict):
        return None
    for field in spec.idempotency.key:
        if field.partition(".")[0] not in given:
            return str(field)
    return None


def _show_payload(spec: Any, job: int) -> str:
    from skillrun.proof.jobs import payloads_of

    return repr(payloads_of(spec).get(job))


def _judge_source(root: Path, reference: Reference) -> Iterator[Judgement]:
    """The handler that ran must be the one in this checkout, and no installed copy of it."""
    file = reference.facts.file
    if not file:
        return
    path = Path(file).resolve()
    inside = path.is_relative_to(root.resolve()) and "site-packages" not in path.parts
    if not inside:
        said = f"the handler was imported from {path.name} outside of this checkout"
        yield Judgement(
            Verdict.INCOMPLETE,
            "source.elsewhere",
            f"{said}: an installed copy comes first on its path",
        )


def _judge_volatile_state(reference: Reference) -> Iterator[Judgement]:
    for name in sorted(reference.volatile):
        said = (
            f"proof.state.{name} differs between two single runs: leave out times and random values"
        )
        yield Judgement(Verdict.INCOMPLETE, "state.volatile", said)


def _judge_unread_tables(
    spec: Any,
    driver: str | None,
    histories: list[History],
    explorer: Explorer,
    reference: Reference,
) -> Iterator[Judgement]:
    """A table that is written and that no query reads may hide a repetition, unless it ends each
    time as after a single run.
    """
    written = _find_writes(histories)
    changes = [change for change in find_changed(histories) if change.store != "redis"]
    if not written and not changes:
        return
    if explorer.store is None:
        tables = {table for _, table in written} | {change.name for change in changes}
        said = f"{', '.join(sorted(tables))} written, but proof.database names no database"
        yield Judgement(Verdict.INCOMPLETE, "state.no-database", said)
        return
    read = _find_tables_read(explorer.store, _list_queries(spec)) | list_coordinating(spec)
    like_state = find_like_state(histories, reference)
    temporary = _find_temporary(histories)
    for store, table in sorted(written):
        if table in temporary and not _has_table(explorer.store, table):
            continue  # it ends with its connection
        if _is_other_file(explorer, store):
            said = f"the handler writes to {Path(store[7:]).name}, which is not proof.database"
            yield Judgement(Verdict.INCOMPLETE, "state.other-database", said)
        elif table and table not in read and table not in like_state:
            said = f"the table {table} is written but no query of proof.state reads it"
            yield Judgement(Verdict.INCOMPLETE, "state.unread", said)
    yield from _unshown(changes, read | like_state, driver, explorer)


def _is_other_file(explorer: Explorer, store: str) -> bool:
    """Whether a store ("sqlite:PATH") is another SQLite file than the one of `proof.database`."""
    mine = getattr(explorer.store, "path", None)
    if mine is None or not store.startswith("sqlite:"):
        return False
    name = str(mine).replace(str(explorer.workplace.folders.scratch), "{scratch}")
    return store[7:] not in (name, str(Path(mine).resolve()))


def find_unread_tables(explorer: Explorer, singles: Iterable[History]) -> dict[str, str]:
    """Table that the single runs write and that no query reads -> a query of all of it."""
    store = explorer.store
    if store is None:
        return {}
    spec = explorer.workplace.spec
    read = _find_tables_read(store, _list_queries(spec)) | list_coordinating(spec)
    found: dict[str, str] = {}
    for _, table in sorted(_find_writes(singles)):
        if table and table not in read and _has_table(store, table):
            found[table] = write_query(table)
    return found


def _judge_redis_commands(
    spec: Any, driver: str | None, histories: list[History]
) -> Iterator[Judgement]:
    """Commands that reach beyond the server, by whatever way they came to it."""
    passed = any(effect.mode == "pass_through" for effect in spec.effects or ())
    publishes = passed or may_publish(driver)
    said = set()
    for history in histories:
        said |= {str(event["detail"]) for event in history.all("undeclared")}
    for change in find_changed(histories):
        detail = f"{change.name} of Redis"
        if publishes and change.name in ("PUBLISH", "SPUBLISH"):
            # These were perhaps not the handler's: the client's hook knows its own.
            continue
        if change.kind == "command" and detail not in said:
            yield Judgement(Verdict.INCOMPLETE, "effect.undeclared", f"undeclared store: {detail}")


def find_changed(histories: Iterable[History]) -> list[Change]:
    """What the stores told of all schedules that were looked into."""
    found = set[Change]().union(*(history.changes for history in histories))
    return sorted(found, key=lambda change: (change.store, change.kind, change.name, change.what))


def _unshown(
    changes: list[Change], read: set[str], driver: str | None, explorer: Explorer
) -> Iterator[Judgement]:
    """What the stores themselves say that changed in them, and the statements perhaps do not."""
    asked = explorer.store.name if explorer.store else ""
    for change in unshown(changes, read, driver):
        if change.store == asked:
            yield Judgement(Verdict.INCOMPLETE, "state.unread", change.words)
        else:
            said = f"the handler writes to {change.store}, which is not proof.database"
            yield Judgement(Verdict.INCOMPLETE, "state.other-database", said)


def _list_queries(spec: Any) -> list[str]:
    """Every query that says what the job has left."""
    if not spec.proof:
        return []
    queries = list(spec.proof.state.values())
    if spec.proof.dead_letters:
        queries.append(spec.proof.dead_letters)
    return queries


def list_coordinating(spec: Any) -> set[str]:
    """The tables of which the spec says that they only coordinate."""
    if not spec.proof:
        return set()
    # As the statements have it: public.leases is written as leases, too.
    return {table.lower().rpartition(".")[2] for table in spec.proof.not_state}


def _find_temporary(histories: Iterable[History]) -> set[str]:
    """The tables that are made as temporary ones, and never otherwise."""
    temporary, others = set[str](), set[str]()
    for history in histories:
        for delivery in history.deliveries:
            for event in delivery.all("at"):
                if event["kind"] != "sql" or event["verb"] != "create" or event["when"] != "before":
                    continue
                if TEMPORARY_TABLE.match(str(event["sql"])):
                    temporary.add(event["table"])
                else:
                    others.add(event["table"])
    return temporary - others


def _has_table(store: Store, table: str) -> bool:
    """Whether the database has a table of that name, which a temporary one only hides. True where
    it cannot tell.
    """
    question = "select table_name from information_schema.tables where table_name = '{}'"
    if getattr(store, "path", None) is not None:
        question = "select name from sqlite_master where lower(name) = '{}'"
    try:
        return bool(store.query(question.format(table.replace("'", "''"))))
    except StateError:
        return True


def _find_writes(histories: Iterable[History]) -> set[tuple[str, str]]:
    """(store, table) of every write in a delivery to the handler."""
    found: set[tuple[str, str]] = set()
    for history in histories:
        for delivery in history.deliveries:
            if delivery.op not in ("deliver", "callback", "died"):
                continue
            for event in filter(_is_kept_write, delivery.all("at")):
                found.add((event["store"], event["table"]))
    return found


def _is_kept_write(event: Event) -> bool:
    """A database in memory ends with its process: nothing of it is kept."""
    if event["kind"] != "sql" or event["when"] != "after":
        return False
    if ends_with_connection(str(event["store"])):
        return False
    return event["verb"] in ("insert", "update", "delete")


def letter_queries(spec: Any) -> frozenset[str]:
    """The state queries that read a table in which dead letters are counted."""
    proof = spec.proof
    if proof is None or not proof.dead_letters:
        return frozenset()
    kept = _find_sources(proof.dead_letters)
    return frozenset(name for name, sql in proof.state.items() if kept & _find_sources(sql))


def _find_sources(sql: str) -> set[str]:
    """The names behind `from` and `join`."""
    return {name.lower() for name in _SOURCE.findall(sql)}


def _find_tables_read(store: Store, queries: list[str]) -> set[str]:
    """As the database says; where it cannot, every word of a query may be one."""
    read: set[str] = set()
    for query in queries:
        try:
            read |= store.tables_read(query)
        except (StateError, AttributeError):
            read |= words(query)
    return read

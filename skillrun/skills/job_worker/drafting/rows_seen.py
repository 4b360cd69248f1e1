"""The state of a job from the rows that its tests saw: which tables it changes, and how they are
asked for.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

from skillrun.skills.job_worker.drafting.counters import is_of_the_job
from skillrun.skills.job_worker.overview.memories import is_dead_letter

if TYPE_CHECKING:
    from skillrun.proof.fixtures.seen import DeliverySeen, SeenInTests, StoreSeen, Table

# No two runs write the same: whether something is there is all that can be compared.
_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d")
_RANDOM = re.compile(r"[0-9a-f]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_OF_TIME = re.compile(r"date|time", re.IGNORECASE)
_SECONDS = (1.5e9, 2.5e9)  # since 1970: a time as a number
# What counts tries, or says who is at it and until when: it may end otherwise after a retry.
_COORDINATES = re.compile(
    r"n|attempts?|tries|retries|(?:try|retry|attempt)_?counte?r?|version|due|due_at|lease\w*|locked\w*"
    r"|claimed\w*|heartbeat\w*|updated\w*|worker\w*",
    re.IGNORECASE,
)
# Where a library's own middleware keeps what its worker does: no state of the job.
_OF_QUEUES = re.compile(
    r"django_(?:celery_\w+|dramatiq|q|tasks|apscheduler)_|huey_monitor_|procrastinate_|kombu_"
    r"|celery_task|background_task"
)
# What its migrations fill, and no job changes.
_OF_DJANGO = re.compile(r"django_(?:migrations|content_type|site)$|auth_permission$|sqlite_")
_MOST_NAMED = 50  # rows that one query can name and a person still read
# What happened, told line by line: another delivery has its own lines to add.
_TELLS = re.compile(r"(?:^|_)(?:logs?|log_?entry|history|audit|audit_?log|journal)$", re.IGNORECASE)


def is_told(table: str) -> bool:
    """Whether a table only tells what went on, so that it is neither a job's state nor its end."""
    return bool(_OF_QUEUES.match(table) or _TELLS.search(table))


def list_told(
    deliveries: Iterable[DeliverySeen], store: str, state: Collection[str] = ()
) -> list[str]:
    """The tables that deliveries have written and that only tell what went on. `state`: those whose
    rows are the job's work all the same.
    """
    found = dict[str, None]()
    for delivery in deliveries:
        for after, table in delivery.list_changed():
            if after.name == store and is_told(table) and table not in state:
                found[table] = None
    return list(found)


def find_store(deliveries: Iterable[DeliverySeen]) -> str | None:
    """The name of the database that the job writes; else of the only one that is there."""
    names: dict[str, None] = {}
    for delivery in deliveries:
        for store, _ in delivery.list_changed():
            return store.name
        names |= dict.fromkeys(store.name for store in delivery.before)
    if len(names) == 1:
        return next(iter(names))
    return None


def write_state(
    deliveries: Iterable[DeliverySeen],
    store: str,
    fields: Collection[str] = (),
    counters: Collection[str] = (),
) -> dict[str, str]:
    """Name -> query, of each table whose rows a delivery has changed. `fields`: of the message;
    `counters`: columns that count tries, where the row is the job's own.
    """
    found: dict[str, str] = {}
    for delivery in deliveries:
        known = {one.name: one for one in delivery.before}
        for after, table in delivery.list_changed():
            if after.name != store or is_dead_letter(table):
                continue
            was = known[store].tables.get(table) if store in known else None
            if not is_told(table):
                is_own = was is not None and is_of_the_job(was, delivery.arguments)
                left_out = counters if is_own else ()
                query = _write_query(table, after.tables[table], was, fields, left_out)
                found.setdefault(table, query)
            elif was is not None and _count_removed(was, after.tables[table]):
                found.setdefault(table, _ask_for_rows_before(table, was))
    return {table: query for table, query in found.items() if query}


def ask_for_all(
    deliveries: Iterable[DeliverySeen],
    store: str,
    fields: Collection[str] = (),
    *,
    with_empty: bool = False,
) -> dict[str, str]:
    """Name -> query, of each table that has rows: nobody has seen which of them the job changes.
    `with_empty`: of those as well that it may fill.
    """
    found: dict[str, str] = {}
    for delivery in deliveries:
        for one in delivery.before:
            for name, table in one.tables.items():
                is_named = name in delivery.works_on
                is_aside = is_told(name) or is_dead_letter(name) or _OF_DJANGO.match(name)
                is_there = one.name == store and (with_empty or len(table.rows) > 0)
                if is_there and (is_named or not is_aside):
                    # The key of a row that is added later is the database's own.
                    was = table if table.rows else None
                    found[name] = _write_query(name, table, was, fields, ())
    return found


def _find_key(table: Table) -> int | None:
    """Which column is the primary key by itself."""
    keys = [number for number, (_, _, is_key) in enumerate(table.columns) if is_key]
    return keys[0] if len(keys) == 1 else None


def _count_removed(was: Table, table: Table) -> int:
    """Rows that a delivery has deleted."""
    key = _find_key(was)
    if key is None:
        return 0
    left = {row[key] for row in table.rows}
    return sum(row[key] not in left for row in was.rows)


def _ask_for_rows_before(name: str, was: Table) -> str:
    """A job that tidies up what others have told: which of their rows are left. Those that its own
    library, or the job itself, adds meanwhile are no part of that.
    """
    key = _find_key(was)
    if key is None or len(was.rows) > _MOST_NAMED:
        return ""
    column = was.columns[key][0]
    values = []
    for row in was.rows:
        text = str(row[key]).replace("'", "''")
        values.append(text if isinstance(row[key], int) else f"'{text}'")
    return f"select {column} from {name} where {column} in ({', '.join(values)}) order by 1"


def _write_query(
    name: str,
    table: Table,
    was: Table | None,
    fields: Collection[str],
    left_out: Collection[str],
) -> str:
    gained = was is None or len(table.rows) > len(was.rows)
    counts = sum(is_key for _, _, is_key in table.columns) == 1 and len(table.columns) > 1
    asked = []
    for number, (column, kind, is_key) in enumerate(table.columns):
        values = [row[number] for row in table.rows]
        # A number that the database gives counts tries that were rolled back, too.
        if is_key and counts and gained and kind.upper() == "INTEGER":
            continue
        # What the message says is of the job, and no matter of how often it was tried.
        is_count = column in left_out or _COORDINATES.fullmatch(column)
        if not is_key and column not in fields and is_count:
            continue
        word = column
        if not column.isidentifier():
            word = f'"{column}"'
        if _is_volatile(kind, values):
            word = f"{word} is not null"
        asked.append(word)
    order = ", ".join(map(str, range(1, len(asked) + 1)))
    return f"select {', '.join(asked)} from {name} order by {order}"


def _is_volatile(kind: str, values: list[object]) -> bool:
    if _OF_TIME.search(kind):
        return True
    return any(map(_is_drawn_anew, values))


def _is_drawn_anew(value: object) -> bool:
    if isinstance(value, str):
        return bool(_TIME.match(value) or _RANDOM.fullmatch(value))
    return isinstance(value, float) and _SECONDS[0] < value < _SECONDS[1]


def find_dead_letters(
    seen: SeenInTests, changed_by_job: tuple[str, ...] = ()
) -> tuple[str | None, bool]:
    """(the table of given up jobs, whether some test has filled it); else it is the one that is
    called so, or so after a table of the job.
    """
    filled = _find_filled(seen) or _find_filled_by_failures(seen, changed_by_job)
    if filled is not None:
        return filled, True
    return _find_named(seen, changed_by_job), False


def _find_filled(seen: SeenInTests) -> str | None:
    """By its name. Each test may have a database of its own."""
    from skillrun.proof.fixtures.seen import find_changed

    for delivery in seen.deliveries:
        changed: list[tuple[StoreSeen, str]] = list(delivery.list_changed())
        test = seen.tests.get(delivery.test)
        if test is not None:
            changed += find_changed(delivery.before, test.stores)
        before = {store.name: store for store in delivery.before}
        for store, table in changed:
            # One that a test has made meanwhile, and left empty, holds nothing.
            known = _count_rows(before.get(store.name), table)
            if _count_rows(store, table) > known and is_dead_letter(table):
                return table
    return None


def _count_rows(store: StoreSeen | None, table: str) -> int:
    if store is None or table not in store.tables:
        return 0
    return len(store.tables[table].rows)


def _find_filled_by_failures(seen: SeenInTests, changed_by_job: tuple[str, ...]) -> str | None:
    """The only table, whatever its name, that has more rows after something failed, and that a job
    which is done does not change.
    """
    gained = set[str]()
    for delivery in seen.deliveries:
        failed = delivery.raised is not None
        failed = failed or any(call.raised is not None for call in delivery.calls)
        known = {store.name: store for store in delivery.before}
        for store, table in delivery.list_changed() if failed else ():
            was = known[store.name].tables.get(table) if store.name in known else None
            if was is None or is_told(table):
                continue
            if len(store.tables[table].rows) > len(was.rows):
                gained.add(table)
    gained -= set(changed_by_job)
    if len(gained) == 1:
        return gained.pop()
    return None


def _find_named(seen: SeenInTests, changed_by_job: tuple[str, ...]) -> str | None:
    names = set[str]()
    for delivery in seen.deliveries:
        for store in delivery.before:
            # What the job itself works on may be called so as well.
            names |= set(filter(is_dead_letter, store.tables)) - set(delivery.works_on)
    for table in changed_by_job:
        alike = [name for name in names if name.endswith(table)]
        if alike:
            return alike[0]
    if len(names) == 1:
        return names.pop()
    return None

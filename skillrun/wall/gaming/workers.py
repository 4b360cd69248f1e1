"""How the workers are started: a command line or a setting that throws messages away, or no longer
takes them.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping

from skillrun.core.verdict import Finding
from skillrun.frameworks.known.launchers import Start
from skillrun.repo.places import is_taken_for_tests
from skillrun.repo.python import Project, is_known
from skillrun.repo.source import FunctionNode, Module, last_word
from skillrun.wall.diff import Diff, File
from skillrun.wall.gaming.asked import read_asked
from skillrun.wall.gaming.clocks import find_stopped_clocks
from skillrun.wall.gaming.making import doubtful, quoted, taken
from skillrun.wall.gaming.periods import find_rarer_sweeps
from skillrun.wall.gaming.settings_named import list_changed_modules, list_named
from skillrun.wall.gaming.starts import list_starts, read_options, read_queue_names
from skillrun.wall.gaming.time_limits import find_time_limits
from skillrun.wall.gaming.untaken_queues import find_untaken_queues
from skillrun.wall.sources import CommitSources

ID = "weaker-worker"
HELP = (
    "What a proof shows of a job holds where a worker runs it as the base's does. Found: a command "
    "line or a call that throws messages away, a variable that is taken from a worker's "
    "environment, a queue that nobody consumes any more, a job that is published to one that no "
    "worker names, acknowledgements and a visibility timeout "
    "that are less (errors); prefetch, another application, a worker that is gone (warnings)."
)
_HINT = "put it back; how a worker is started is changed by a person, in a change of its own"
# "celery -A shop purge", "redis-cli flushall", "rabbitmqadmin delete_queue",
# "php artisan queue:clear".
_PURGE = re.compile(
    r"(?<![\w-])--(purge|discard|flush|empty)(?![\w-])|\bcelery\b.*\bpurge\b|\bflush(all|db)\b"
    r"|\brq\b.*\bempty\b|\b(purge|delete)_queue\b|\bqueue[ _.-]purge\b|\brabbitmqctl\b.*\breset\b"
    # A broker that may throw away what it holds.
    r"|\bmaxmemory[-_]policy\b\W*(allkeys|volatile)-"
    r"|\boverflow\b\W*(drop-head|reject-publish)\b"
    r"|\bdiscard_all\b|\bpurge-queue\b|\bqueue:(clear|flush)\b",
    re.IGNORECASE,
)
_PURGING_CALLS = {
    *("purge", "discard_all", "flush_all", "flushdb", "flushall", "queue_purge", "purge_queue"),
    *("delete_queue", "queue_delete"),
}
# "unset BROKER_URL", "env -u BROKER_URL celery ...", "env -i ...", "UnsetEnvironment=BROKER_URL".
_UNSET = re.compile(
    r"\bunset\s+(?:-v\s+)?([A-Z]\w+)|\benv\b[^|;&]*?\s(?:-u\s*|--unset[= ])([A-Z]\w+)"
    r"|\benv\s+(-i|-|--ignore-environment)\s|\bUnsetEnvironment=(\w+)"
)
# "BROKER_URL=redis://queue", 'BROKER_URL: "redis://queue"'.
_VARIABLE = re.compile(
    r"(?<![\w$%{.-])([A-Z][A-Z0-9_]{2,})(?:=|:[ \t]+)(\"[^\"]*\"|'[^']*'|[^\s,;]*)"
)
Variables = Mapping[str, tuple[int, str]]
"""Name -> (line, value)."""
# Options that decide when a message is given back, such as "--no-ack" and "visibility_timeout".
_GIVING_BACK = re.compile(r"ack|visibility|reject|no-?retry", re.IGNORECASE)
# With threads or greenlets no parent sees a worker that died, and a time limit may not end a job.
_POOL_OPTIONS = ("-P", "--pool", "--worker-class", "-k", "--worker-pool")
# Each machine, or each start, has another one of these, and a restart may take it away.
_OWN_PLACE = re.compile(
    r"\$\(?\{?(hostname|HOSTNAME|HOST|DYNO|POD_NAME|RANDOM|\$)\b|\$\$|`hostname|uname -n|mktemp"
    r"|:memory:"
    r"|(^|[=:/])/?(var/tmp|tmp|dev/shm)/"
)
# Who reaches it, and with which words, may change; an API is no place where records lie.
_STORE = re.compile(
    r"(?:rediss?|valkeys?|amqps?|postgres(?:ql)?|mysql|mariadb|mongodb|sqlite|sqs|nats|memcached)"
    r"(?:\+\w+)?://(?:[^@/]*@)?(?P<place>[^?#]+)"
)
_PREFETCH = re.compile(r"prefetch|^-O|optimization", re.IGNORECASE)
_APP_OPTIONS = ("-A", "--app")
_DEFAULT_QUEUES = ("celery", "default")
_COMMENT_MARKS = ("#", "//", ";")
# Settings of code whose loss lets a message be lost, or come twice. True is what keeps it.
_KEEPING = re.compile(
    r"(^|_)(acks_late|reject_on_worker_lost|retry_on_worker_lost|durable|delivery_mode"
    r"|publish_retry|confirm_publish|with_scheduler)$",
    re.IGNORECASE,
)
# Of these the libraries' own value keeps messages; these do not.
_LOSSY: dict[str, tuple[object, ...]] = {
    "delivery_mode": ("transient", 1, "1"),
    "durable": (False,),
    "publish_retry": (False,),
    "confirm_publish": (False,),
}
# A cookie and a cache have such words, too: these are the calls that make or send a job.
_MESSAGE_ENDS = {"expires", "ttl", "max_age", "_expires", "expires_in", "message_ttl"}
_SENDING = {
    *(
        "apply_async",
        "send_task",
        "signature",
        "subtask",
        "s",
        "si",
        "task",
        "shared_task",
        "actor",
    ),
    *("send_with_options", "message_with_options", "enqueue", "enqueue_call", "enqueue_at"),
    *("enqueue_in", "enqueue_job", "job", "db_task", "periodic_task", "defer", "configure"),
}
_QUEUE_ENDS = {"x-message-ttl", "x-expires", "x-max-length", "x-max-length-bytes"}
_VISIBILITY = re.compile(r"(^|_)visibility_timeout$", re.IGNORECASE)
_PREFETCH_SETTING = re.compile(r"(^|_)prefetch(_multiplier|_count)?$", re.IGNORECASE)
_MESSAGE_SETTINGS = (_KEEPING, _VISIBILITY, _PREFETCH_SETTING)


def find(diff: Diff) -> Iterator[Finding]:
    """Yields the findings of all files that start a worker, and of the settings in code."""
    starting = [file for file in diff.deployment if not is_taken_for_tests(file.path)]
    for file in starting:
        yield from _find_purges(file)
        yield from _find_unset(file, diff)
        yield from _find_options(file)
    yield from _find_lost_queues(starting, diff)
    yield from find_untaken_queues(ID, diff)
    yield from find_stopped_clocks(ID, starting)
    yield from find_rarer_sweeps(ID, diff)
    for file in diff.python_files():
        if not is_taken_for_tests(file.path):
            yield from _find_purging_calls(file)
    yield from _find_ending_messages(diff)
    yield from _find_settings(diff)
    yield from find_time_limits(ID, diff)


# -- command lines


def _find_purges(file: File) -> Iterator[Finding]:
    """Yields an error for each added line that throws messages away."""
    known_lines = _list_old_lines(file)
    for number, line in file.added_lines():
        if line.lstrip().startswith(_COMMENT_MARKS) or line.strip() in known_lines:
            continue
        # A worker whose command purged in the base, too, may have other options now.
        purged_before = _PURGE.search(_find_old_entry(file, line))
        if _PURGE.search(line) and not purged_before:
            message = f"messages are thrown away: {quoted(line)}"
            yield taken(ID, file, number, message, hint=_HINT)


def _list_old_lines(file: File) -> set[str]:
    """The lines of the base's file, without their indentation."""
    return set(map(str.strip, (file.old or "").splitlines()))


def _find_old_entry(file: File, line: str) -> str:
    """The base's line with the name that this one begins with, `worker:` say; "" for none."""
    name = line.partition(":")[0]
    for old in (file.old or "").splitlines():
        if name and old.startswith(f"{name}:"):
            return old
    return ""


def _find_options(file: File) -> Iterator[Finding]:
    """Yields a finding for each option of a worker that the base's worker had otherwise: an error
    where it decides when messages are given back, or how a dead worker is noticed.
    """
    old_starts = list_starts(file.old_path, file.old)
    new_starts = list_starts(file.path, file.new)
    if old_starts and not new_starts:
        gone = quoted(old_starts[0].command)
        message = f"{file.path} starts no worker any more: {gone} is gone"
        yield doubtful(ID, file, 1, message, hint=_HINT)
    for start in new_starts:
        old_start = _find_old_start(start, old_starts, new_starts)
        if old_start is None or old_start.words == start.words:
            continue
        line = start.place.line or 1
        before, after = read_options(old_start), read_options(start)
        for name in sorted(before.keys() | after.keys()):
            if before.get(name) == after.get(name):
                continue
            message = f"the worker's {name} is another one: {quoted(start.command, 300)}"
            if _GIVING_BACK.search(name) or name in _POOL_OPTIONS:
                yield taken(ID, file, line, message, hint=_HINT)
            elif _PREFETCH.search(name) or name in _APP_OPTIONS:
                yield doubtful(ID, file, line, message, hint=_HINT)


def _find_old_start(start: Start, old: list[Start], new: list[Start]) -> Start | None:
    """The base's start that became this one: of the starts of the same program, the one with the
    same position in its file. None where the base had fewer of them.
    """
    program = start.words[0]
    old_of_program = [other for other in old if other.words[0] == program]
    new_of_program = [other for other in new if other.words[0] == program]
    position = new_of_program.index(start)
    if position < len(old_of_program):
        return old_of_program[position]
    return None


def _find_lost_queues(files: list[File], diff: Diff) -> Iterator[Finding]:
    """Yields an error for each queue that a worker of a changed file consumed, and that none does
    any more.
    """
    before: dict[str, tuple[File, Start]] = {}
    after: set[str] = set()
    for file in files:
        for start in list_starts(file.old_path, file.old):
            for queue in _list_queues(start, diff.before):
                before.setdefault(queue, (file, start))
        for start in list_starts(file.path, file.new):
            after.update(_list_queues(start, diff.after))
    # Where no file starts a worker any more, `_find_options` says so.
    if not after:
        return
    for queue, (file, start) in before.items():
        if queue not in after:
            line = _find_new_line(file, start)
            message = f"no worker consumes {queue} any more: {quoted(file.new_line(line))}"
            yield taken(ID, file, line, message, hint=_HINT)


def _find_new_line(file: File, old_start: Start) -> int:
    """The line on which a start of the base stands now: that of the first start of the same
    program, or of what is in its place.
    """
    for new in list_starts(file.path, file.new):
        if new.words[0] == old_start.words[0]:
            return new.place.line or 1
    return file.line_of(old_start.place.line or 1)


def _list_queues(start: Start, sources: CommitSources) -> Iterator[str]:
    """Yields the queues that a worker consumes, in words. One that is given no queue consumes the
    default one.
    """
    queues = read_queue_names(start)
    for queue in queues:
        if _is_default(queue, sources):
            yield "the default queue"
        else:
            yield f"the queue {queue}"
    # `celery beat` sends on a schedule, and consumes nothing.
    if not queues and "beat" not in start.words:
        yield "the default queue"


def _is_default(queue: str, sources: CommitSources) -> bool:
    """Whether a queue is the default one, by its usual name or by a setting of the commit, such as
    `task_default_queue = "mail"`.
    """
    if queue in _DEFAULT_QUEUES:
        return True
    for path in sources.search("default_queue"):
        for line in sources.texts[path].splitlines():
            if "default_queue" in line and queue in line:
                return True
    return False


# -- the environment of a worker


def _find_unset(file: File, diff: Diff) -> Iterator[Finding]:
    """Yields the findings about a worker's variables: those that it no longer gets, and those that
    name another place than the base's.
    """
    yield from _find_unsetting_lines(file)
    old, new = dict(list_variables(file.old)), dict(list_variables(file.new))
    yield from _find_moved_places(file, diff, old, new)
    starts = list_starts(file.path, file.new) or list_starts(file.old_path, file.old)
    if not starts:
        return
    yield from _find_own_places(file, diff, old, new)
    yield from _find_lost_variables(file, diff, old, new)


def _find_unsetting_lines(file: File) -> Iterator[Finding]:
    """Yields an error for each added line that takes a variable from the environment."""
    known_lines = _list_old_lines(file)
    for number, line in file.added_lines():
        if line.strip() in known_lines or line.lstrip().startswith(_COMMENT_MARKS):
            continue
        if _UNSET.search(line):
            message = f"a variable is taken from the environment: {quoted(line)}"
            yield taken(ID, file, number, message, hint=_HINT)


def _find_lost_variables(
    file: File, diff: Diff, old: Variables, new: Variables
) -> Iterator[Finding]:
    """Yields a finding for each variable that the base set, and that is gone or empty now: an error
    where the application reads it.
    """
    for name, (old_line, value) in old.items():
        became_empty = name in new and not new[name][1] and bool(value)
        if name in new and not became_empty:
            continue
        if not became_empty and _is_set_elsewhere(name, file, diff):
            continue
        line = file.line_of(old_line)
        if name in new:
            line, _ = new[name]
        message = f"the worker no longer gets {name}: {quoted(file.old_line(old_line))}"
        make_finding = doubtful
        if any(not is_taken_for_tests(path) for path in diff.before.search(name)):
            make_finding = taken
        yield make_finding(ID, file, line, message, hint=_HINT)


def _find_own_places(file: File, diff: Diff, old: Variables, new: Variables) -> Iterator[Finding]:
    """Yields an error for each variable that names a place of one machine or one start now."""
    for name, (line, value) in new.items():
        is_changed = name not in old or old[name][1] != value
        if is_changed and _OWN_PLACE.search(value) and diff.after.search(name):
            new_line = quoted(file.new_line(line))
            message = f"each machine has another {name} now, or loses it: {new_line}"
            yield taken(ID, file, line, message, hint=_HINT)


def _find_moved_places(file: File, diff: Diff, old: Variables, new: Variables) -> Iterator[Finding]:
    """Yields an error for each variable that names another store, queue or path than in the base:
    what the jobs have recorded, or have to do, lies in the old one.
    """
    for name, (line, value) in new.items():
        if name not in old or not diff.after.search(name):
            continue
        _, old_value = old[name]
        before, after = _read_place(old_value), _read_place(value)
        if before and after and before != after:
            message = f"{name} is another place now, where nothing of the base's lies"
            yield taken(ID, file, line, f"{message}: {quoted(file.new_line(line))}", hint=_HINT)


def _read_place(value: str) -> str:
    """Host and path of a store or a queue, or an absolute path; "" for anything else.

    "redis://:secret@queue:6379/0" gives "queue:6379/0".
    """
    found = _STORE.match(value)
    if found is not None:
        return found["place"]
    if value.startswith("/") and "$" not in value:
        return value
    return ""


def list_variables(text: str | None) -> Iterator[tuple[str, tuple[int, str]]]:
    """Yields (name, (line, value)) of what looks like a variable in a file that starts workers."""
    for number, line in enumerate((text or "").splitlines(), 1):
        if line.lstrip().startswith(_COMMENT_MARKS):
            continue
        for found in _VARIABLE.finditer(line):
            yield found[1], (number, found[2].strip("\"'"))


def _is_set_elsewhere(name: str, file: File, diff: Diff) -> bool:
    """Whether another file of the deployment sets a variable."""
    for other in diff.deployment:
        if other.path == file.path:
            continue
        if name in dict(list_variables(other.new)):
            return True
    return False


# -- messages that end before they are delivered


def _find_ending_messages(diff: Diff) -> Iterator[Finding]:
    """Yields an error for each new option by which a message ends before it is delivered: a worker
    throws away what is older, and no error, record or retry tells of it.
    """
    handlers = set(read_asked(diff, diff.after).handlers)
    # "shop.tasks:send" is "shop.tasks.send" where code names it.
    jobs = {handler.replace(":", ".") for handler in handlers}
    old, new = diff.before.project, diff.after.project
    for file in diff.python_files():
        if is_taken_for_tests(file.path):
            continue
        known = []
        for name, value, _ in _list_ends(old, old.module(file.old_path), jobs):
            known.append((name, value))
        for name, value, line in _list_ends(new, new.module(file.path), jobs):
            if (name, value) in known:
                # One of the base's answers for one of the commit's.
                known.remove((name, value))
                continue
            message = (
                f"a job that waits longer than {quoted(value)} is thrown away, and nothing tells"
            )
            yield taken(ID, file, line, f"{message}: {quoted(file.new_line(line))}", hint=_HINT)


def _list_ends(
    project: Project, module: Module | None, jobs: set[str]
) -> Iterator[tuple[str, str, int]]:
    """Yields (option, value, line) of each option by which a queue's messages or those of a job
    end.
    """
    if module is None:
        return
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                if isinstance(key, ast.Constant) and key.value in _QUEUE_ENDS:
                    yield str(key.value), ast.unparse(value), value.lineno
        elif isinstance(node, ast.Call) and _is_of_job(project, module, node, jobs):
            for keyword in node.keywords:
                if keyword.arg in _MESSAGE_ENDS and not _is_none(keyword.value):
                    yield str(keyword.arg), ast.unparse(keyword.value), keyword.value.lineno


def _is_of_job(project: Project, module: Module, call: ast.Call, jobs: set[str]) -> bool:
    """Whether a call sends a job of the specs, or decorates one."""
    if last_word(call.func) not in _SENDING:
        return False
    # The job is the first argument, as in `queue.enqueue(send)`, or what the method is called on,
    # as in `send.apply_async()`.
    may_name_job = [*call.args[:1]]
    if isinstance(call.func, ast.Attribute):
        may_name_job.append(call.func.value)
    for node in may_name_job:
        name = module.resolve(node)
        if name is not None and project.origin(name) in jobs:
            return True
    above = next(module.parents(call), None)
    if not isinstance(above, FunctionNode) or call not in above.decorator_list:
        return False
    return f"{module.name}.{module.qualname(above)}" in jobs


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


# -- code


def _find_purging_calls(file: File) -> Iterator[Finding]:
    """Yields an error for each place that throws messages away, beyond those of the base."""
    known = [name for name, _ in _list_purging(file.old_tree)]
    for name, line in _list_purging(file.new_tree):
        if name in known:
            # One of the base's answers for one of the commit's.
            known.remove(name)
            continue
        message = f"messages are thrown away: {quoted(file.new_line(line))}"
        yield taken(ID, file, line, message, hint=_HINT)


def _list_purging(tree: ast.Module | None) -> Iterator[tuple[str, int]]:
    """Yields (name, line) of each method that throws messages away, and of each text that is such a
    command line.
    """
    if tree is None:
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            if node.func.attr in _PURGING_CALLS:
                yield node.func.attr, node.lineno
        elif isinstance(node, ast.Constant) and _is_purging_line(node.value):
            yield str(node.value), node.lineno


def _is_purging_line(value: object) -> bool:
    """Whether a value is a command line that throws messages away, and no text of several lines
    that speaks of one.
    """
    if not isinstance(value, str) or "\n" in value:
        return False
    return bool(_PURGE.search(value))


def _find_settings(diff: Diff) -> Iterator[Finding]:
    """Yields a finding for each setting that a message's life depends on and that changed. All
    changed files are looked at together, since a setting may have moved.
    """
    old = dict(_list_settings(diff, diff.before, is_new=False))
    new = dict(_list_settings(diff, diff.after, is_new=True))
    for name, (old_file, old_line, old_value) in old.items():
        file, line, value = old_file, old_file.line_of(old_line), None
        becomes = "gone"
        if name in new:
            file, line, value = new[name]
            if value == old_value:
                continue
            becomes = quoted(value)
        was = quoted(old_file.old_line(old_line))
        message = f"{name} was {quoted(old_value)} and is {becomes}: {was}"
        make_finding = doubtful
        if _is_less(name, old_value, value):
            make_finding = taken
        yield make_finding(ID, file, line, message, hint=_HINT)
    for name, (file, line, value) in new.items():
        if name not in old and _is_lossy(name, value):
            message = f"{name} is {quoted(value)} now: {quoted(file.new_line(line))}"
            yield taken(ID, file, line, message, hint=_HINT)


def _is_lossy(name: str, value: object) -> bool:
    """Whether a setting that the base did not have lets a restarted broker lose messages."""
    for ending, values in _LOSSY.items():
        if name.endswith(ending):
            return value in values
    return False


def _is_less(name: str, old: object, new: object) -> bool:
    """Whether a setting keeps less of a message than it did; `new` is None where it is gone."""
    # How many messages a worker holds makes it slower or faster, and loses none.
    if _PREFETCH_SETTING.search(name):
        return False
    if old is True:
        # What cannot be told is not what kept the messages.
        return new is not True
    if isinstance(old, bool) or isinstance(new, bool):
        return bool(old) and not new
    if isinstance(old, int | float) and isinstance(new, int | float):
        return new < old
    return new is None


def _list_settings(
    diff: Diff, sources: CommitSources, *, is_new: bool
) -> Iterator[tuple[str, tuple[File, int, object]]]:
    """Yields (name, (file, line, value)) of the settings of one side that decide about messages. A
    value that cannot be known stands there as it is written.
    """
    project = sources.project
    for file, module in list_changed_modules(diff, project, is_new=is_new):
        for name, node in list_named(module.tree):
            if not any(setting.search(name) for setting in _MESSAGE_SETTINGS):
                continue
            value: object = project.literal(node, module)
            if not is_known(value):
                value = ast.unparse(node)
            yield name.lower(), (file, node.lineno, value)

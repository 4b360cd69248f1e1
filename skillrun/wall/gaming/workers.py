"""How the workers are started: a command line or a setting that throws messages away, or no longer
takes them.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping

from skillrun.core.verdict import Finding
from skillrun.frameworks.known.launchers import Start
from skillrun.repo.python import Project, is_known
from skillrun.repo.source import FunctionNode, Module, last_word
from skillrun.skills.job_worker.stages.testcases import is_test_file
from skillrun.wall.diff import Diff, File
from skillrun.wall.gaming.asked import read_asked
from skillrun.wall.gaming.clocks import find_stopped_clocks
from skillrun.wall.gaming.making import doubtful, quoted, taken
from skillrun.wall.gaming.periods import find_rarer_sweeps
from skillrun.wall.gaming.settings_named import list_changed_modules, list_named
from skillrun.wall.gaming.starts import list_starts
from skillrun.wall.gaming.time_limits import find_time_limits
from skillrun.wall.sources import CommitSources

ID = "weaker-worker"
HELP = (
    "What a proof shows of a job holds where a worker runs it as the base's does. Found: a command "
    "line or a call that throws messages away, a variable that is taken from a worker's "
    "environment, a queue that nobody consumes any more, acknowledgements and a visibility timeout "
    "that are less (errors); prefetch, another application, a worker that is gone (warnings)."
)
_HINT = "put it back; how a worker is started is changed by a person, in a change of its own"
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
_UNSET = re.compile(
    r"\bunset\s+(?:-v\s+)?([A-Z]\w+)|\benv\b[^|;&]*?\s(?:-u\s*|--unset[= ])([A-Z]\w+)"
    r"|\benv\s+(-i|-|--ignore-environment)\s|\bUnsetEnvironment=(\w+)"
)
_VARIABLE = re.compile(
    r"(?<![\w$%{.-])([A-Z][A-Z0-9_]{2,})(?:=|:[ \t]+)(\"[^\"]*\"|'[^']*'|[^\s,;]*)"
)
Variables = Mapping[str, tuple[int, str]]
"""Name -> (line, value)."""
_ACKS = re.compile(r"ack|visibility|reject|no-?retry", re.IGNORECASE)
# With threads or greenlets no parent sees a worker that died, and a time limit may not end a job.
_POOL = ("-P", "--pool", "--worker-class", "-k", "--worker-pool")
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
_APP = ("-A", "--app")
_QUEUES = ("-Q", "--queues", "-q", "--queue")
_DEFAULT = ("celery", "default")
_COMMENT = ("#", "//", ";")
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
_WAITS = re.compile(r"(^|_)visibility_timeout$", re.IGNORECASE)
_HELD = re.compile(r"(^|_)prefetch(_multiplier|_count)?$", re.IGNORECASE)


def find(diff: Diff) -> Iterator[Finding]:
    """The findings of all files that start a worker, and of the settings in code."""
    starting = [file for file in diff.deployment if not is_test_file(file.path)]
    for file in starting:
        yield from _find_purges(file)
        yield from _find_unset(file, diff)
        yield from _find_options(file)
    yield from _find_lost_queues(starting, diff)
    yield from find_stopped_clocks(ID, starting)
    yield from find_rarer_sweeps(ID, diff)
    for file in diff.python_files():
        if not is_test_file(file.path):
            yield from _find_purging_calls(file)
    yield from _find_ending_messages(diff)
    yield from _find_settings(diff)
    yield from find_time_limits(ID, diff)


# -- command lines


def _find_purges(file: File) -> Iterator[Finding]:
    known = set(map(str.strip, (file.old or "").splitlines()))
    for number, line in file.added_lines():
        is_said = line.lstrip().startswith(_COMMENT) or line.strip() in known
        if not is_said and _PURGE.search(line) and not _PURGE.search(_old_start(file, line)):
            said = f"messages are thrown away: {quoted(line)}"
            yield taken(ID, file, number, said, hint=_HINT)


def _old_start(file: File, line: str) -> str:
    """The base's line of the same name, `worker:` say."""
    name = line.partition(":")[0]
    for old in (file.old or "").splitlines():
        if name and old.startswith(f"{name}:"):
            return old
    return ""


def _find_options(file: File) -> Iterator[Finding]:
    """What the options of a worker say otherwise than those of the base's."""
    old = list_starts(file.old_path, file.old)
    new = list_starts(file.path, file.new)
    if old and not new:
        said = f"{file.path} starts no worker any more: {quoted(old[0].command)} is gone"
        yield doubtful(ID, file, 1, said, hint=_HINT)
    for start in new:
        was = _find_partner(start, old, new)
        if was is None or was.words == start.words:
            continue
        line = start.place.line or 1
        before, after = _read_options(was), _read_options(start)
        for name in sorted(before.keys() | after.keys()):
            if before.get(name) == after.get(name):
                continue
            said = f"the worker's {name} is another one: {quoted(start.command, 300)}"
            if _ACKS.search(name) or name in _POOL:
                yield taken(ID, file, line, said, hint=_HINT)
            elif _PREFETCH.search(name) or name in _APP:
                yield doubtful(ID, file, line, said, hint=_HINT)


def _find_partner(start: Start, old: list[Start], new: list[Start]) -> Start | None:
    """The base's start that it was: the one in the same place of its file."""
    same = [one for one in old if one.words[0] == start.words[0]]
    place = [one for one in new if one.words[0] == start.words[0]].index(start)
    return same[place] if place < len(same) else None


def _read_options(start: Start) -> dict[str, tuple[str, ...]]:
    """Option, or word of a setting, -> what follows it."""
    found: dict[str, tuple[str, ...]] = {}
    name = ""
    for word in start.words[1:]:
        if word.startswith("-") or "." in word:
            name = word
            found[name] = ()
        elif name:
            found[name] = (*found[name], word)
    return found


def _find_lost_queues(files: list[File], diff: Diff) -> Iterator[Finding]:
    """A queue that a worker of a changed file consumed, and that none does any more."""
    before: dict[str, tuple[File, Start]] = {}
    after: set[str] = set()
    for file in files:
        for start in list_starts(file.old_path, file.old):
            for queue in _list_queues(start, diff.before):
                before.setdefault(queue, (file, start))
        for start in list_starts(file.path, file.new):
            after.update(_list_queues(start, diff.after))
    for queue, (file, start) in before.items():
        if queue in after or not after:
            continue
        line = _find_line(file, start)
        said = f"no worker consumes {queue} any more: {quoted(file.new_line(line))}"
        yield taken(ID, file, line, said, hint=_HINT)


def _find_line(file: File, start: Start) -> int:
    for new in list_starts(file.path, file.new):
        if new.words[0] == start.words[0]:
            return new.place.line or 1
    return file.line_of(start.place.line or 1)


def _list_queues(start: Start, sources: CommitSources) -> Iterator[str]:
    options = _read_options(start)
    named: list[str] = []
    for name in _QUEUES:
        named += options.get(name, ())
    if start.words[0].endswith(("rq", "rqworker")):
        named += [word for word in start.words[1:] if not word.startswith(("-", "worker"))]
    queues = [queue for word in named for queue in re.split(r"[,\s]", word) if queue]
    for queue in queues:
        if _is_default(queue, sources):
            yield "the default queue"
        else:
            yield f"the queue {queue}"
    if not queues and "beat" not in start.words:
        yield "the default queue"


def _is_default(queue: str, sources: CommitSources) -> bool:
    if queue in _DEFAULT:
        return True
    for path in sources.search("default_queue"):
        for line in sources.texts[path].splitlines():
            if "default_queue" in line and queue in line:
                return True
    return False


# -- the environment of a worker


def _find_unset(file: File, diff: Diff) -> Iterator[Finding]:
    starts = list_starts(file.path, file.new) or list_starts(file.old_path, file.old)
    known = set(map(str.strip, (file.old or "").splitlines()))
    for number, line in file.added_lines():
        found = _UNSET.search(line)
        if found and line.strip() not in known and not line.lstrip().startswith(_COMMENT):
            said = f"a variable is taken from the environment: {quoted(line)}"
            yield taken(ID, file, number, said, hint=_HINT)
    old, new = dict(list_variables(file.old)), dict(list_variables(file.new))
    yield from _find_moved_places(file, diff, old, new)
    if not starts:
        return
    yield from _find_own_places(file, diff, old, new)
    for name, (at_line, value) in old.items():
        is_read = any(not is_test_file(path) for path in diff.before.search(name))
        is_empty = name in new and not new[name][1] and bool(value)
        if name in new and not is_empty:
            continue
        if not is_empty and _is_set_elsewhere(name, file, diff):
            continue
        place = file.line_of(at_line)
        if name in new:
            place = new[name][0]
        said = f"the worker no longer gets {name}: {quoted(file.old_line(at_line))}"
        make = taken if is_read else doubtful
        yield make(ID, file, place, said, hint=_HINT)


def _find_own_places(file: File, diff: Diff, old: Variables, new: Variables) -> Iterator[Finding]:
    for name, (line, value) in new.items():
        is_changed = name not in old or old[name][1] != value
        if is_changed and _OWN_PLACE.search(value) and diff.after.search(name):
            said = (
                f"each machine has another {name} now, or loses it: {quoted(file.new_line(line))}"
            )
            yield taken(ID, file, line, said, hint=_HINT)


def _find_moved_places(file: File, diff: Diff, old: Variables, new: Variables) -> Iterator[Finding]:
    """What the jobs have recorded, or have to do, lies in the old place."""
    for name, (line, value) in new.items():
        if name not in old or not diff.after.search(name):
            continue
        before, after = _read_place(old[name][1]), _read_place(value)
        if before and after and before != after:
            said = f"{name} is another place now, where nothing of the base's lies"
            yield taken(ID, file, line, f"{said}: {quoted(file.new_line(line))}", hint=_HINT)


def _read_place(value: str) -> str:
    """Host and path of a store or a queue, or an absolute path; "" for anything else."""
    found = _STORE.match(value)
    if found is not None:
        return found["place"]
    if value.startswith("/") and "$" not in value:
        return value
    return ""


def list_variables(text: str | None) -> Iterator[tuple[str, tuple[int, str]]]:
    """(name, (line, value)) of what looks like a variable in a file that starts workers."""
    for number, line in enumerate((text or "").splitlines(), 1):
        if line.lstrip().startswith(_COMMENT):
            continue
        for found in _VARIABLE.finditer(line):
            yield found[1], (number, found[2].strip("\"'"))


def _is_set_elsewhere(name: str, file: File, diff: Diff) -> bool:
    set_in = set()
    for other in diff.deployment:
        if name in dict(list_variables(other.new)):
            set_in.add(other.path)
    return bool(set_in - {file.path})


# -- messages that end before they are delivered


def _find_ending_messages(diff: Diff) -> Iterator[Finding]:
    """A worker throws away what is older, and no error, record or retry tells of it."""
    handlers = set(read_asked(diff, diff.after).handlers)
    jobs = {handler.replace(":", ".") for handler in handlers}
    old, new = Project(diff.before), Project(diff.after)
    for file in diff.python_files():
        if is_test_file(file.path):
            continue
        known = [end[:2] for end in _list_ends(old, old.module(file.old_path), jobs)]
        for name, value, line in _list_ends(new, new.module(file.path), jobs):
            if (name, value) in known:
                known.remove((name, value))
                continue
            said = f"a job that waits longer than {quoted(value)} is thrown away, and nothing tells"
            yield taken(ID, file, line, f"{said}: {quoted(file.new_line(line))}", hint=_HINT)


def _list_ends(
    project: Project, module: Module | None, jobs: set[str]
) -> Iterator[tuple[str, str, int]]:
    """(option, value, line) of each option by which a queue's messages or those of a job end."""
    for node in ast.walk(module.tree if module is not None else ast.Module([], [])):
        if isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                if isinstance(key, ast.Constant) and key.value in _QUEUE_ENDS:
                    yield str(key.value), ast.unparse(value), value.lineno
        elif (
            module is not None
            and isinstance(node, ast.Call)
            and _is_of_job(project, module, node, jobs)
        ):
            for keyword in node.keywords:
                if keyword.arg in _MESSAGE_ENDS and not _is_none(keyword.value):
                    yield str(keyword.arg), ast.unparse(keyword.value), keyword.value.lineno


def _is_of_job(project: Project, module: Module, call: ast.Call, jobs: set[str]) -> bool:
    """Whether a call sends a job of the specs, or decorates one."""
    if last_word(call.func) not in _SENDING:
        return False
    named = [*call.args[:1]]
    if isinstance(call.func, ast.Attribute):
        named.append(call.func.value)
    for node in named:
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
    known = [name for name, _ in _list_purging(file.old_tree)]
    for name, line in _list_purging(file.new_tree):
        if name in known:
            known.remove(name)
            continue
        said = f"messages are thrown away: {quoted(file.new_line(line))}"
        yield taken(ID, file, line, said, hint=_HINT)


def _list_purging(tree: ast.Module | None) -> Iterator[tuple[str, int]]:
    for node in ast.walk(tree or ast.Module([], [])):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            if node.func.attr in _PURGING_CALLS:
                yield node.func.attr, node.lineno
        elif isinstance(node, ast.Constant) and _is_purging_line(node.value):
            yield str(node.value), node.lineno


def _is_purging_line(value: object) -> bool:
    """A command line, and no text of several lines that speaks of one."""
    return isinstance(value, str) and "\n" not in value and bool(_PURGE.search(value))


def _find_settings(diff: Diff) -> Iterator[Finding]:
    """Settings that a message's life depends on, over all changed files: one may move."""
    old = dict(_list_settings(diff, diff.before, is_new=False))
    new = dict(_list_settings(diff, diff.after, is_new=True))
    for name, (file, line, value) in old.items():
        now = new.get(name)
        if now is not None and now[2] == value:
            continue
        was = quoted(file.old_line(line))
        place, after, words = (file, file.line_of(line)), None, "gone"
        if now is not None:
            place, after, words = (now[0], now[1]), now[2], quoted(now[2])
        said = f"{name} was {quoted(value)} and is {words}: {was}"
        if _is_less(name, value, after):
            yield taken(ID, *place, said, hint=_HINT)
        else:
            yield doubtful(ID, *place, said, hint=_HINT)

    for name, (file, line, value) in new.items():
        if name not in old and _is_lossy(name, value):
            said = f"{name} is {quoted(value)} now: {quoted(file.new_line(line))}"
            yield taken(ID, file, line, said, hint=_HINT)


def _is_lossy(name: str, value: object) -> bool:
    """Whether a setting, said for the first time, lets a restarted broker lose messages."""
    for ending, values in _LOSSY.items():
        if name.endswith(ending):
            return value in values
    return False


def _is_less(name: str, old: object, new: object) -> bool:
    if _HELD.search(name):
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
    project = Project(sources)
    for file, module in list_changed_modules(diff, project, is_new=is_new):
        for name, node in list_named(module.tree):
            if _KEEPING.search(name) or _WAITS.search(name) or _HELD.search(name):
                value = project.literal(node, module)
                shown = value if is_known(value) else ast.unparse(node)
                yield name.lower(), (file, node.lineno, shown)

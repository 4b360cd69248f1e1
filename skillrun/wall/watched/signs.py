"""What a process can see of being watched: by a proof, by a test, by whoever verifies.

A proof's child is forked from an interpreter that has imported the probe, in a clean environment,
below a folder of its own; `proof/workplace.py` and `probe/booting.py` make it so. Here is what
code can read of that, and why it tells.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """How a sign is read."""

    FLAG = "flag"  # nobody reads it for anything else
    PLACE = "place"  # a path or name with other uses: it tells where it is compared with something
    VARIABLE = "variable"  # an environment variable that production may have, and the proof has not
    CLOCK = (
        "clock"  # another value each time: it tells where it is compared with what is written out
    )
    CHANCE = "chance"
    FILE = "file"  # a file of one name, the same for all jobs
    MEMORY = "memory"  # what a process keeps from one job to the next
    WORDS = "words"  # what an error says: a proof raises it with few texts


# A proof and a test meet one value of these, production meets the others.
UNVARIED = frozenset((Kind.CLOCK, Kind.CHANCE, Kind.FILE, Kind.MEMORY, Kind.WORDS))


@dataclass(frozen=True)
class Sign:
    """One thing that was read. `name` is the same for the same thing on both sides of a branch."""

    kind: Kind
    name: str
    why: str


_PROCESS = "the process of a proof or test is another one than a worker's"
_MODULES = "a proof and a test have modules in it that production has not"
_TRACE = "debuggers, coverage and proofs leave their traces here"
_FLAGS = "the interpreter of a proof is started with other flags"
_SCRATCH = "a proof runs below a temporary folder"
_MACHINE = "who and where one is differs from production"
MAIN_WHY = "the module that a process was started with is another one in a proof and in a test"

# Dotted name -> (kind, why). The name alone is the sign, called or not.
READ: dict[str, tuple[Kind, str]] = {
    "sys.modules": (Kind.FLAG, _MODULES),
    "sys.argv": (Kind.FLAG, "it names the program that runs the tests"),
    "sys.orig_argv": (Kind.FLAG, "it names the program that runs the tests"),
    "sys.flags": (Kind.FLAG, _FLAGS),
    "sys._xoptions": (Kind.FLAG, _FLAGS),
    "sys.warnoptions": (Kind.FLAG, _FLAGS),
    "sys.dont_write_bytecode": (Kind.FLAG, _FLAGS),
    "sys.meta_path": (Kind.FLAG, _MODULES),
    "sys.path_hooks": (Kind.FLAG, _MODULES),
    "sys.path": (Kind.PLACE, _MODULES),
    "sys.executable": (Kind.PLACE, _PROCESS),
    "sys.prefix": (Kind.PLACE, _PROCESS),
    "sys.gettrace": (Kind.FLAG, _TRACE),
    "sys.getprofile": (Kind.FLAG, _TRACE),
    "sys.monitoring": (Kind.FLAG, _TRACE),
    "sys.gettotalrefcount": (Kind.FLAG, _FLAGS),
    "sys.excepthook": (Kind.FLAG, _TRACE),
    "sys.displayhook": (Kind.FLAG, _TRACE),
    "sys.breakpointhook": (Kind.FLAG, _TRACE),
    "sys.getrecursionlimit": (Kind.FLAG, _FLAGS),
    "sys.stdin": (Kind.PLACE, _PROCESS),
    "sys.stdout": (Kind.PLACE, _PROCESS),
    "sys.stderr": (Kind.PLACE, _PROCESS),
    "sys.__stdin__": (Kind.FLAG, _PROCESS),
    "sys.__stdout__": (Kind.FLAG, _PROCESS),
    "sys.__stderr__": (Kind.FLAG, _PROCESS),
    "sys.__excepthook__": (Kind.FLAG, _TRACE),
    "faulthandler.is_enabled": (Kind.FLAG, _TRACE),
    "tracemalloc.is_tracing": (Kind.FLAG, _TRACE),
    "atexit._ncallbacks": (Kind.FLAG, _TRACE),
    "gc.callbacks": (Kind.FLAG, _TRACE),
    "gc.get_threshold": (Kind.FLAG, _FLAGS),
    "gc.get_count": (Kind.FLAG, _FLAGS),
    "warnings.filters": (Kind.FLAG, _FLAGS),
    "logging.root.handlers": (Kind.FLAG, "a proof and a test listen to what is logged"),
    "logging.root.hasHandlers": (Kind.FLAG, "a proof and a test listen to what is logged"),
    "importlib.metadata.distributions": (Kind.PLACE, _MODULES),
    "site.getsitepackages": (Kind.PLACE, _PROCESS),
    "sysconfig.get_path": (Kind.PLACE, _PROCESS),
    "socket.getdefaulttimeout": (Kind.PLACE, _PROCESS),
    "signal.getitimer": (Kind.FLAG, _PROCESS),
    "os.umask": (Kind.FLAG, _PROCESS),
    "platform.release": (Kind.PLACE, _MACHINE),
    "platform.version": (Kind.PLACE, _MACHINE),
    "time.tzname": (Kind.PLACE, "a proof runs in time zones of its own"),
    "locale.getlocale": (Kind.PLACE, _PROCESS),
    "sys._getframe": (Kind.FLAG, _TRACE),
    "sys._current_frames": (Kind.FLAG, _TRACE),
    "sys.getrefcount": (Kind.FLAG, _TRACE),
    "sys.stdin.isatty": (Kind.FLAG, _PROCESS),
    "sys.stdout.isatty": (Kind.FLAG, _PROCESS),
    "sys.stderr.isatty": (Kind.FLAG, _PROCESS),
    "os.isatty": (Kind.FLAG, _PROCESS),
    "os.ttyname": (Kind.FLAG, _PROCESS),
    "os.ctermid": (Kind.FLAG, _PROCESS),
    "os.tcgetpgrp": (Kind.FLAG, _PROCESS),
    "os.get_terminal_size": (Kind.FLAG, _PROCESS),
    "inspect.stack": (Kind.FLAG, _TRACE),
    "inspect.currentframe": (Kind.FLAG, _TRACE),
    "traceback.extract_stack": (Kind.FLAG, _TRACE),
    "traceback.format_stack": (Kind.FLAG, _TRACE),
    "traceback.walk_stack": (Kind.FLAG, _TRACE),
    "gc.get_freeze_count": (Kind.FLAG, "the probe freezes what it has imported"),
    "gc.get_objects": (Kind.FLAG, _MODULES),
    "gc.get_referrers": (Kind.FLAG, _TRACE),
    "gc.isenabled": (Kind.FLAG, _FLAGS),
    "resource.getrlimit": (Kind.FLAG, "a delivery has limits of its own"),
    "signal.getsignal": (Kind.FLAG, _PROCESS),
    "threading.enumerate": (Kind.FLAG, _PROCESS),
    "threading.active_count": (Kind.FLAG, _PROCESS),
    "threading.current_thread": (Kind.FLAG, _PROCESS),
    "threading.main_thread": (Kind.FLAG, _PROCESS),
    "multiprocessing.current_process": (Kind.FLAG, _PROCESS),
    "multiprocessing.parent_process": (Kind.FLAG, _PROCESS),
    "os.getppid": (Kind.FLAG, _PROCESS),
    "os.getpgid": (Kind.FLAG, _PROCESS),
    "os.getpgrp": (Kind.FLAG, _PROCESS),
    "os.getsid": (Kind.FLAG, _PROCESS),
    "os.nice": (Kind.FLAG, _PROCESS),
    "os.getloadavg": (Kind.FLAG, _MACHINE),
    "os.getuid": (Kind.PLACE, _MACHINE),
    "os.geteuid": (Kind.PLACE, _MACHINE),
    "os.getgid": (Kind.PLACE, _MACHINE),
    "os.getegid": (Kind.PLACE, _MACHINE),
    "os.getgroups": (Kind.PLACE, _MACHINE),
    "os.getresuid": (Kind.PLACE, _MACHINE),
    "os.getresgid": (Kind.PLACE, _MACHINE),
    "os.getlogin": (Kind.PLACE, _MACHINE),
    "pwd.getpwuid": (Kind.PLACE, _MACHINE),
    "grp.getgrgid": (Kind.PLACE, _MACHINE),
    "getpass.getuser": (Kind.PLACE, _MACHINE),
    "os.uname": (Kind.PLACE, _MACHINE),
    "platform.node": (Kind.PLACE, _MACHINE),
    "socket.gethostname": (Kind.PLACE, _MACHINE),
    "socket.getfqdn": (Kind.PLACE, _MACHINE),
    "socket.if_nameindex": (Kind.FLAG, "a proof has no network"),
    "os.getcwd": (Kind.PLACE, _SCRATCH),
    "pathlib.Path.cwd": (Kind.PLACE, _SCRATCH),
    "pathlib.Path.home": (Kind.PLACE, _SCRATCH),
    "os.path.expanduser": (Kind.PLACE, _SCRATCH),
    "tempfile.gettempdir": (Kind.PLACE, _SCRATCH),
    "tempfile.tempdir": (Kind.PLACE, _SCRATCH),
    "builtins.__file__": (Kind.PLACE, _SCRATCH),
}

_CLOCK = "a proof runs within one day, and shows nothing of the others"
_CHANCE = "what happens rarely is not met by a proof"
MEMORY_WHY = "a process of a proof has done few jobs before"
WORDS_WHY = "a proof raises an error with few texts, and who raises it may change them"
FILE_WHY = "a proof does not have it, or always has"
_CLOCKS = {
    "time": (
        *("time", "time_ns", "localtime", "gmtime", "strftime", "ctime", "asctime", "monotonic"),
        *("monotonic_ns", "perf_counter", "process_time", "clock_gettime"),
    ),
    "datetime.datetime": ("now", "utcnow", "today"),
    "datetime.date": ("today",),
    "django.utils.timezone": ("now", "localtime", "localdate"),
    "pendulum": ("now", "today"),
    "arrow": ("now", "utcnow"),
    # They are compared for other reasons too: a lock with its owner, a process with its parent.
    "uuid": ("uuid1", "uuid4"),
    "os": ("getpid", "urandom"),
    "secrets": ("token_hex", "token_bytes", "token_urlsafe"),
}
_CHANCES = {
    "random": ("random", "randint", "randrange", "choice", "choices", "uniform", "getrandbits"),
    "secrets": ("randbelow", "choice", "randbits"),
}
for _owner, _names in _CLOCKS.items():
    for _name in _names:
        READ[f"{_owner}.{_name}"] = (Kind.CLOCK, _CLOCK)
for _owner, _names in _CHANCES.items():
    for _name in _names:
        READ[f"{_owner}.{_name}"] = (Kind.CHANCE, _CHANCE)

# What fails where one is watched, so that `except` runs: a terminal, a login, a user's entry.
FAILING = {
    *("os.ttyname", "os.tcgetpgrp", "os.get_terminal_size", "os.getlogin"),
    *("pwd.getpwuid", "grp.getgrgid", "getpass.getuser"),
}
# Names that are looked up in the network; one that a message brings along says nothing.
LOOKED_UP = {
    *("socket.gethostbyname", "socket.gethostbyname_ex", "socket.gethostbyaddr"),
    *("socket.getaddrinfo", "socket.getfqdn"),
}
LOOKED_UP_WHY = "a proof has no network"
# Descriptors that a process is started with.
STANDARD_FILES = (0, 1, 2)
STANDARD_FILES_WHY = "a proof starts its processes with other ones than a worker's"
ENVIRONMENT_WHY = "a proof has few variables, and a test has some of its own"
BUILTINS_WHY = "what is no builtin was put there, by a test or a proof"

# What asks for a file, called on a path or with one.
FILE_QUESTIONS = {
    *("exists", "lexists", "isfile", "isdir", "is_file", "is_dir", "access", "stat", "getmtime"),
    *("read_text", "read_bytes", "open", "ismount"),
}
FILE_MODULES = ("os.path.", "os.", "pathlib.", "builtins.open", "io.open")

# Methods by which psutil's processes and frames are asked, whatever they are called on.
ASKED_METHODS = {"cmdline": _PROCESS, "ppid": _PROCESS, "f_back": _TRACE, "f_globals": _TRACE}
# Attributes by which a library says that a job runs at once, in the process that sent it.
EAGER = ("is_eager", "called_directly")
# What they hang from.
ATTEMPTS = frozenset(("request", "current_task"))
EAGER_WHY = "it is so where tests run, and never in a worker"

VARIABLES: dict[str, tuple[Kind, str]] = {
    "HOME": (Kind.PLACE, "a proof has a home of its own"),
    "TMPDIR": (Kind.PLACE, _SCRATCH),
    "TEMP": (Kind.PLACE, _SCRATCH),
    "TMP": (Kind.PLACE, _SCRATCH),
    "PATH": (Kind.PLACE, _PROCESS),
    "PWD": (Kind.PLACE, "a proof does not have it"),
    "USER": (Kind.PLACE, "a proof does not have it"),
    "LOGNAME": (Kind.PLACE, "a proof does not have it"),
    "SHELL": (Kind.PLACE, "a proof does not have it"),
    "TERM": (Kind.PLACE, "a proof does not have it"),
    "HOSTNAME": (Kind.PLACE, "a proof does not have it"),
    "LANG": (Kind.PLACE, _PROCESS),
    "TZ": (Kind.PLACE, "a proof runs in time zones of its own"),
    "VIRTUAL_ENV": (Kind.PLACE, _PROCESS),
    "PYTHONHASHSEED": (Kind.FLAG, "a proof sets it"),
    "PYTHONDONTWRITEBYTECODE": (Kind.FLAG, "a proof sets it"),
    "PYTHONPATH": (Kind.FLAG, "a verification sets it"),
    "GITHUB_ACTIONS": (Kind.FLAG, "it is set where tests run"),
    "GITLAB_CI": (Kind.FLAG, "it is set where tests run"),
    "COVERAGE_RUN": (Kind.FLAG, _TRACE),
    "TOX_ENV_NAME": (Kind.FLAG, "it is set where tests run"),
    "CLAUDECODE": (Kind.FLAG, "an agent's shell has it"),
}

# `SHOP_TESTING`, `IS_TEST`, `CI`, `PYTEST_CURRENT_TEST`; not `LATEST`, not `STRIPE_TEST_KEY`.
TESTING = re.compile(
    r"(^|_)(TESTS?|TESTING|TEST_?(MODE|RUN|ENV)|(IN|IS|UNDER|RUNNING)_?TESTS?|UNITTESTS?|CI|PROOF|"
    r"PROVING|HARNESS|(BEING_)?WATCHED|ALWAYS_EAGER)$"
    r"|^(PYTEST|UNITTEST|SKILLRUN|TEST_?(MODE|RUN|ENV))",
    re.IGNORECASE,
)
TESTING_WHY = "its name says that it is set in tests"
# What settings hang from, so that `order.is_test` is not taken for one.
SETTINGS = re.compile(
    r"(^|[._])(settings?|config|conf|cfg|app|current_app|env|options|flags)(\(\))?$", re.I
)

WATCHING_MODULES = re.compile(
    r"^(_?pytest|unittest|nose2?|hypothesis|coverage|xdist|doctest|tox|pydevd|pdb|bdb|mock|freezegun|"
    r"_?skillrun\w*|conftest|tests?|__main__)(\.|$)"
)
# Texts with which a path, URL or name is compared by code that looks for its watcher.
SCRATCH = re.compile(
    r"(^|/)(tmp|var/tmp|private/tmp)(/|$)|scratch|skillrun|pytest|:memory:|127\.0\.0\.1|localhost|::1"
)
SCRATCH_WHY = (
    "the files and servers of a proof lie in a temporary folder, or on the loopback address"
)
LOOKED_INTO = re.compile(
    r"^(/proc(/|$)|/sys/(class/net|fs/cgroup)|/\.dockerenv|/run/\.containerenv)"
)
LOOKED_INTO_WHY = "it tells what kind of process or machine this is"
# In a text that is evaluated.
EVALUATED = re.compile(
    r"pytest|skillrun|sys\.(modules|argv|flags)|environ|gettrace|_getframe|/proc/"
)
_MADE_FACTS = ("__wrapped__", "__code__", "__module__", "__closure__", "__globals__", "__self__")
# What a mock has, and no function; an order may have been `called`.
MOCK_FACTS = (
    *("mock_calls", "call_count", "side_effect", "return_value", "assert_called", "called"),
)
FUNCTION_FACTS = (*_MADE_FACTS, *MOCK_FACTS)
# What tells how a module was loaded, and from where.
MODULE_FACTS = {
    "__loader__": (Kind.FLAG, "__loader__", _MODULES),
    "__spec__": (Kind.FLAG, "__spec__", _MODULES),
    "__cached__": (Kind.FLAG, "__cached__", _MODULES),
    "__file__": (Kind.PLACE, "__file__", _SCRATCH),
}
PATCHED_WHY = "a proof and a test replace functions"

"""Where one expression reads a sign of being watched: the table of `signs`, applied to syntax
trees.
"""

from __future__ import annotations

import ast
import builtins
import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from skillrun.repo.python import Project
from skillrun.repo.source import Module, last_word
from skillrun.wall.watched import signs
from skillrun.wall.watched.signs import Kind, Sign

# What reads the environment -> the position of the variable's name.
_READERS = (
    "os.environ.get",
    "os.environ.pop",
    "os.environ.setdefault",
    "os.environ.__getitem__",
    "os.environ.__contains__",
    "os.environb.get",
    "os.getenv",
    "os.getenvb",
    "posix.environ.get",
    "decouple.config",
    "starlette.config.Config()",
    "environ.Env()",
    "environ.Env().bool",
    "environ.Env().str",
    "environs.Env().bool",
    "environs.Env().str",
    "environs.Env()",
)
_MAPPINGS = ("os.environ", "os.environb", "posix.environ")
_FINDERS = (
    "importlib.util.find_spec",
    "importlib.import_module",
    "pkgutil.find_loader",
    "builtins.__import__",
    "importlib.metadata.version",
    "importlib.metadata.distribution",
    "pkg_resources.get_distribution",
    "pkg_resources.require",
)
_EVALUATORS = ("builtins.eval", "builtins.exec", "builtins.compile")
_TYPE_QUESTIONS = (
    "builtins.type",
    "builtins.isinstance",
    "inspect.isbuiltin",
    "inspect.isfunction",
    "inspect.getsource",
    "inspect.getsourcefile",
    "inspect.getfile",
    "inspect.getmodule",
    "inspect.unwrap",
)
# Methods of a mapping that ask for one key.
_LOOKUPS = ("get", "pop", "setdefault", "__contains__")
# What makes something of all the names of a mapping.
_COLLECTORS = {
    *("len", "list", "set", "sorted", "tuple", "frozenset", "str", "repr", "any", "all", "bool"),
    *("next", "iter", "join", "max", "min", "enumerate"),
}
_VIEWS = ("keys", "values", "items", "copy")
_COPIERS = ("dict", "list", "set", "sorted", "tuple", "frozenset", "OrderedDict")
_AMOUNTS = ("builtins.len", "builtins.sum", "builtins.max", "builtins.min")
_LOOPS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
# Methods of a mapping that fail for a key which it does not hold.
_FAILING_LOOKUPS = ("pop", "__getitem__", "__delitem__")
# A handler that does no more, and hands its error on, asks for nothing.
_LOGGING = {
    *("debug", "info", "warning", "error", "exception", "critical", "log", "print"),
    *("capture_exception",),
}
# How often a name may stand for another one.
_MOST_NAMES = 5
# What catches errors: `with suppress(KeyError)` does too.
Guard = ast.Try | ast.TryStar | ast.With | ast.AsyncWith
# Errors that a mapping raises for a key which it does not hold, and the system for what it lacks.
_CAUGHT = {
    *("KeyError", "LookupError", "OSError", "IOError", "EnvironmentError", "error", "gaierror"),
    *("Exception", "BaseException"),
}
# Put there by gettext and by profilers, or builtins of another Python or system.
_ELSEWHERE_BUILTINS = (
    *("_", "profile", "unicode", "basestring", "long", "xrange", "raw_input", "unichr", "reduce"),
    *("cmp", "file", "execfile", "reload", "WindowsError", "ExceptionGroup", "aiter", "anext"),
)
# Of the standard library: where a proof puts functions of its own.
_PATCHED_MODULES = ("time", "datetime", "socket", "sqlite3", "os", "random", "uuid", "open")
_ATTRIBUTE_READERS = ("builtins.getattr", "builtins.hasattr")
PREDICATES = {
    *(
        "startswith",
        "endswith",
        "find",
        "index",
        "count",
        "match",
        "search",
        "fullmatch",
        "findall",
    ),
    *("is_relative_to", "fnmatch", "__contains__", "__eq__"),
}


@dataclass
class Signs:
    """Reads the signs of one side. `set_variables`: those that the spec's proof sets, as production
    does.
    """

    project: Project
    set_variables: frozenset[str]

    def read_sign(self, module: Module, node: ast.AST) -> Sign | None:
        """The sign that a node itself is; what is inside of it is another question."""
        if isinstance(node, ast.Constant):
            return _read_text(node.value)
        if isinstance(node, ast.Compare):
            return self._read_comparison(module, node)
        if isinstance(node, ast.Subscript):
            return self._read_item(module, node)
        if isinstance(node, ast.Call):
            return self._read_call(module, node)
        if isinstance(node, ast.Name | ast.Attribute):
            return self._read_name(module, node)
        return None

    def dotted_name(self, module: Module, node: ast.expr) -> str | None:
        """What an expression names, `getattr(sys, "modules")` and `__import__("sys").modules` with
        it.
        """
        if isinstance(node, ast.Attribute):
            inner = self.dotted_name(module, node.value)
            if inner is not None and inner.endswith(".__dict__"):
                return None
            if not inner:
                return None
            return self._follow_origin(f"{inner}.{node.attr}")
        if isinstance(node, ast.Call):
            return self._dotted_call(module, node)
        if isinstance(node, ast.Subscript):
            return self._dotted_item(module, node)
        name = module.resolve(node)
        # `mode = os.environ["MODE"]` resolves to the mapping, and is one entry of it.
        if not name or (name in _MAPPINGS and self._is_entry(module, node)):
            return None
        return self._follow_origin(name)

    def _is_entry(self, module: Module, node: ast.expr) -> bool:
        return any(isinstance(value, ast.Subscript) for value in self._list_named(module, node))

    def _follow_origin(self, name: str) -> str:
        return self.project.origin(name)

    def _dotted_call(self, module: Module, node: ast.Call) -> str | None:
        called = module.resolve(node.func)
        if called in ("importlib.import_module", "builtins.__import__") and node.args:
            return self.text_of(node.args[0], module)
        if called == "builtins.getattr" and len(node.args) >= 2:
            owner, name = self.dotted_name(module, node.args[0]), self.text_of(node.args[1], module)
            if not owner or not name:
                return None
            return self._follow_origin(f"{owner}.{name}")
        if called == "builtins.vars" and node.args:
            owner = self.dotted_name(module, node.args[0])
            return f"{owner}.__dict__" if owner else None
        if not called:
            return None
        return self._follow_origin(f"{called}()")

    def _dotted_item(self, module: Module, node: ast.Subscript) -> str | None:
        """`vars(sys)["modules"]`."""
        inner = node.value
        owner = None
        if isinstance(inner, ast.Call):
            owner = self._dotted_call(module, inner)
        elif isinstance(inner, ast.Attribute) and inner.attr == "__dict__":
            owner = f"{self.dotted_name(module, inner.value)}.__dict__"
        name = self.text_of(node.slice, module)
        if owner is None or not owner.endswith(".__dict__") or name is None:
            return None
        return f"{owner.removesuffix('.__dict__')}.{name}"

    def text_of(self, node: ast.expr | None, module: Module) -> str | None:
        """The text that an expression is, where that can be told."""
        value: Any = self.project.literal(node, module)
        if isinstance(value, bytes):
            return value.decode("utf-8", "replace")
        return value if isinstance(value, str) else None

    # -- names

    def _read_name(self, module: Module, node: ast.Name | ast.Attribute) -> Sign | None:
        if isinstance(node, ast.Name) and node.id == "__file__":
            return Sign(Kind.PLACE, "__file__", signs.READ["builtins.__file__"][1])
        name = self.dotted_name(module, node)
        if name in signs.READ:
            if name == "sys.modules" and self._is_about_another_module(module, node):
                return None
            return Sign(signs.READ[name][0], name, signs.READ[name][1])
        if name in _MAPPINGS:
            return self._read_environment(module, node)
        if name is not None and name.startswith("__main__."):
            return Sign(Kind.FLAG, name, signs.MAIN_WHY)
        if not isinstance(node, ast.Attribute):
            return None
        if node.attr in signs.MODULE_FACTS and self._is_module(module, node.value):
            return Sign(*signs.MODULE_FACTS[node.attr])
        if node.attr in signs.ASKED_METHODS:
            return Sign(Kind.FLAG, node.attr, signs.ASKED_METHODS[node.attr])
        if node.attr in signs.EAGER and self._is_of_attempt(module, node.value):
            return Sign(Kind.FLAG, node.attr, signs.EAGER_WHY)
        if node.attr in signs.FUNCTION_FACTS and self._is_function(module, node.value):
            return Sign(Kind.FLAG, node.attr, signs.PATCHED_WHY)
        if signs.TESTING.search(node.attr) and self._hangs_from_settings(module, node.value):
            return Sign(Kind.FLAG, node.attr, signs.TESTING_WHY)
        return None

    def _is_of_attempt(self, module: Module, node: ast.expr) -> bool:
        """What Celery says of the attempt that runs: `self.request`, or a name for it; not a
        customer.
        """
        written = [node, *self._list_named(module, node)]
        return not signs.ATTEMPTS.isdisjoint(map(last_word, written))

    def _list_named(self, module: Module, node: ast.expr) -> list[ast.expr]:
        """The expressions that a name was given, those of names among them followed."""
        found: list[ast.expr] = []
        waiting = [node]
        while waiting and len(found) < _MOST_NAMES:
            name = waiting.pop()
            if isinstance(name, ast.Name):
                given = _list_values(module, name)
                found += given
                waiting += given
        return found

    def _is_about_another_module(self, module: Module, node: ast.AST) -> bool:
        """`"celery" in sys.modules` asks for a library, `sys.modules[__name__]` for nothing."""
        above = next(module.parents(node), None)
        asked: ast.expr | None = None
        if isinstance(above, ast.Compare) and node in above.comparators:
            asked = above.left
        elif isinstance(above, ast.Subscript) and above.value is node:
            asked = above.slice
        elif isinstance(above, ast.Attribute) and above.attr in _LOOKUPS:
            call = next(module.parents(above), None)
            if isinstance(call, ast.Call) and call.args:
                asked = call.args[0]
        if isinstance(asked, ast.Name) and asked.id == "__name__":
            return True
        if asked is None:
            return False
        name = self.text_of(asked, module)
        return name is not None and not signs.WATCHING_MODULES.search(name)

    def _read_environment(self, module: Module, node: ast.expr) -> Sign | None:
        """All variables at once: how many they are, or `for name in os.environ`. What asks for one
        of them is read where its name stands.
        """
        reader = _find_reader(module, _find_view(module, node))
        if reader is None:
            return None
        if reader == "len" or self._names_watcher(module, node):
            return Sign(Kind.FLAG, "os.environ", signs.ENVIRONMENT_WHY)
        return Sign(Kind.VARIABLE, "os.environ", "which variable it is cannot be told")

    def _names_watcher(self, module: Module, node: ast.expr) -> bool:
        """Whether the statement around an expression asks for the name of a variable of tests. What
        stands in its body is another statement's, but for what a loop asks of its own names.
        """
        statement = next(above for above in module.parents(node) if isinstance(above, ast.stmt))
        parts = _list_heads(statement)
        if isinstance(statement, ast.For | ast.AsyncFor):
            parts += _list_questions_of_loop(statement)
        return any(self._holds_name_of_tests(module, part) for part in parts)

    def _holds_name_of_tests(self, module: Module, node: ast.AST) -> bool:
        for inner in ast.walk(node):
            if isinstance(inner, ast.Constant):
                text = self.text_of(inner, module)
                if text is not None and signs.TESTING.search(text):
                    return True
        return False

    def _is_function(self, module: Module, node: ast.expr) -> bool:
        """A function of the repository, or one of the standard library: what a proof replaces."""
        name = self.dotted_name(module, node)
        if name is None or name.endswith("()"):
            return False
        definition = self.project.definition(name)
        if definition is not None:
            return not definition.is_class
        # What a call gave (`now().year`) and what holds a value (`os.environ`) is no function.
        return "()" not in name and _is_patched(name)

    def _is_module(self, module: Module, node: ast.expr) -> bool:
        """What is imported, of the repository or of a library; an order may have a `__file__`."""
        name = self.dotted_name(module, node)
        if name is None or name in ("self", "cls"):
            return False
        return "." not in name or self.project.locate(name) is not None

    def _hangs_from_settings(self, module: Module, node: ast.expr) -> bool:
        written = ast.unparse(node)
        name = self.dotted_name(module, node) or ""
        return bool(signs.SETTINGS.search(written) or signs.SETTINGS.search(name))

    def find_probes(self, module: Module, node: Guard) -> Iterator[tuple[ast.stmt, Sign]]:
        """Yields (statement, sign) of what fails in a `try` where one is watched, or where one is
        not. A `try` that hands the error on asks for nothing.
        """
        if not asks_by_failing(node):
            return
        may_catch = self._may_catch(module, node)
        for statement in node.body:
            for inner in _walk_what_runs(statement):
                sign = probed_import(inner)
                if sign is None and may_catch:
                    sign = self._read_failing(module, inner)
                if sign is not None:
                    yield statement, sign

    def _may_catch(self, module: Module, node: Guard) -> bool:
        """Whether a `try` catches what a mapping or the system raises."""
        caught = list_caught(node)
        return None in caught or any(self._is_of_missing(module, error) for error in caught)

    def _is_of_missing(self, module: Module, error: ast.expr | None) -> bool:
        """Whether an expression names an error that a mapping or the system raises, also under
        another name.
        """
        if isinstance(error, ast.Tuple):
            return any(self._is_of_missing(module, part) for part in error.elts)
        if error is None or last_word(error) in _CAUGHT:
            return True
        return not _CAUGHT.isdisjoint(map(last_word, self._list_named(module, error)))

    def _read_failing(self, module: Module, node: ast.AST) -> Sign | None:
        """What raises an error where it finds nothing: `os.environ["CI"]`, `sys.modules["pytest"]`,
        `os.ttyname(0)`.
        """
        if isinstance(node, ast.Subscript):
            return self._read_missed(module, node, node.value, node.slice)
        if not isinstance(node, ast.Call):
            return None
        is_lookup = last_word(node.func) in _FAILING_LOOKUPS and len(node.args) == 1
        if is_lookup and isinstance(node.func, ast.Attribute):
            return self._read_missed(module, node, node.func.value, node.args[0])
        return self._read_failing_call(module, node)

    def _read_missed(
        self, module: Module, node: ast.expr, mapping: ast.expr, key: ast.expr
    ) -> Sign | None:
        if self.text_of(key, module) is None:
            return None
        sign = self.read_sign(module, node) or self.read_sign(module, mapping)
        # A place or the time is there whoever watches.
        if sign is None or sign.kind not in (Kind.FLAG, Kind.VARIABLE):
            return None
        return sign

    def _read_failing_call(self, module: Module, node: ast.Call) -> Sign | None:
        called = self.dotted_name(module, node.func) or ""
        if called in signs.FAILING:
            return Sign(Kind.FLAG, called, signs.READ[called][1])
        looked_up = self._read_look_up(module, node, called)
        if looked_up is None:
            return None
        return Sign(Kind.FLAG, called, looked_up.why)

    def _read_look_up(self, module: Module, node: ast.Call, called: str) -> Sign | None:
        """`socket.gethostbyname("example.com")`, the same name whatever the job is."""
        is_named = node.args and self.text_of(node.args[0], module) is not None
        if called in signs.LOOKED_UP and is_named:
            return Sign(Kind.PLACE, called, signs.LOOKED_UP_WHY)
        return None

    # -- comparisons and calls

    def _read_comparison(self, module: Module, node: ast.Compare) -> Sign | None:
        sides = [node.left, *node.comparators]
        names = [self.dotted_name(module, side) for side in sides]
        if set(names) & set(_MAPPINGS):
            return self._read_variable(module, node.left)
        # `"CI" in dict(os.environ)`
        is_asked = isinstance(node.ops[0], ast.In | ast.NotIn)
        if is_asked and self._is_whole_environment(module, sides[1]):
            return self._read_variable(module, node.left)
        for side in sides:
            sign = self._read_scratch(module, side, [other for other in sides if other is not side])
            if sign is not None:
                return sign
        return None

    def _read_scratch(self, module: Module, side: ast.expr, others: list[ast.expr]) -> Sign | None:
        """A comparison of a setting with the place of a proof; what a message says is something
        else.
        """
        texts = [side]
        if isinstance(side, ast.Tuple | ast.List | ast.Set):
            texts = side.elts
        for text in texts:
            value = self.text_of(text, module)
            is_scratch = value is not None and signs.SCRATCH.search(value)
            if is_scratch and any(self.is_configured(module, other) for other in others):
                return Sign(Kind.FLAG, f"compared with {value}", signs.SCRATCH_WHY)
        return None

    def is_configured(self, module: Module, node: ast.expr) -> bool:
        """Whether a value comes from settings or the machine, and not from a function's own
        parameters.
        """
        function = module.function_of(node)
        parameters: set[str] = set()
        while function is not None:
            arguments = function.args
            every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
            parameters |= {argument.arg for argument in every}
            function = module.function_of(function)
        names = _list_used_names(node)
        return bool(names) and names.isdisjoint(parameters - {"self", "cls"})

    def _read_item(self, module: Module, node: ast.Subscript) -> Sign | None:
        name = self.dotted_name(module, node.value)
        if name in _MAPPINGS:
            return self._read_variable(module, node.slice)
        dotted = self._dotted_item(module, node)
        if dotted in signs.READ:
            return Sign(signs.READ[dotted][0], dotted, signs.READ[dotted][1])
        key = self.text_of(node.slice, module)
        is_testing = key is not None and signs.TESTING.search(key)
        if is_testing and self._hangs_from_settings(module, node.value):
            return Sign(Kind.FLAG, str(key), signs.TESTING_WHY)
        return None

    def _read_call(self, module: Module, node: ast.Call) -> Sign | None:
        named = self.dotted_name(module, node)
        if named in signs.READ:  # getattr(sys, "modules")
            return Sign(signs.READ[named][0], named, signs.READ[named][1])
        if not node.args:
            return None
        first = node.args[0]
        called = self.dotted_name(module, node.func) or ""
        is_get = last_word(node.func) == "get" and called.removesuffix(".get") in _MAPPINGS
        if called in _READERS or is_get:
            return self._read_variable(module, first)
        if called in _FINDERS:
            return self._read_module_name(module, first)
        if called in _EVALUATORS:
            text = self.text_of(first, module)
            if text is None or not signs.EVALUATED.search(text):
                return None
            return Sign(Kind.FLAG, f"text: {text}", "what it evaluates asks")
        if called == "builtins.hash" and self.text_of(first, module) is not None:
            return Sign(Kind.FLAG, "hash", "a proof fixes the hash seed")
        return (
            self._read_amount(module, node, called)
            or self._read_look_up(module, node, called)
            or self._read_standard_file(module, node, called)
            or self._read_question(module, node, called, first)
        )

    def _read_amount(self, module: Module, node: ast.Call, called: str) -> Sign | None:
        """How many variables there are, or the first of them."""
        first = node.args[0]
        if called not in _AMOUNTS or not self._is_whole_environment(module, first):
            return None
        if called in ("builtins.max", "builtins.min"):
            return Sign(Kind.VARIABLE, "os.environ", "which variable it is cannot be told")
        # `sum(len(value) for value in ...)` is another matter.
        counts = isinstance(first, ast.GeneratorExp) and isinstance(first.elt, ast.Constant)
        if called == "builtins.sum" and not counts:
            return None
        return Sign(Kind.FLAG, "os.environ", signs.ENVIRONMENT_WHY)

    def _is_whole_environment(self, module: Module, node: ast.expr) -> bool:
        """`os.environ`, `dict(os.environ)`, `[*os.environ]`: all variables, none left out."""
        inner = _find_whole(node)
        if inner is not None:
            return self._is_whole_environment(module, inner)
        return self.dotted_name(module, node) in _MAPPINGS

    def _read_standard_file(self, module: Module, node: ast.Call, called: str) -> Sign | None:
        """`os.fstat(0)`."""
        if called != "os.fstat":
            return None
        if self.project.literal(node.args[0], module) not in signs.STANDARD_FILES:
            return None
        return Sign(Kind.FLAG, ast.unparse(node), signs.STANDARD_FILES_WHY)

    def _read_question(
        self, module: Module, node: ast.Call, called: str, first: ast.expr
    ) -> Sign | None:
        if called in _TYPE_QUESTIONS and self._is_function(module, first):
            return Sign(Kind.FLAG, f"{called} of a function", signs.PATCHED_WHY)
        second = None
        if len(node.args) > 1:
            second = self.text_of(node.args[1], module)
        if called in _ATTRIBUTE_READERS and second is not None:
            is_mocks = second in signs.MOCK_FACTS
            if second in signs.FUNCTION_FACTS and (
                not is_mocks or self._is_function(module, first)
            ):
                return Sign(Kind.FLAG, second, signs.PATCHED_WHY)
            if self.dotted_name(module, first) == "builtins" and not _is_builtin(second):
                return Sign(Kind.FLAG, f"builtins.{second}", signs.BUILTINS_WHY)
            if signs.TESTING.search(second) and self._hangs_from_settings(module, first):
                return Sign(Kind.FLAG, second, signs.TESTING_WHY)
        if not isinstance(node.func, ast.Attribute):
            return None
        if node.func.attr == "get" and self._hangs_from_settings(module, node.func.value):
            key = self.text_of(first, module)
            if key is not None and signs.TESTING.search(key):
                return Sign(Kind.FLAG, key, signs.TESTING_WHY)
        if node.func.attr in PREDICATES:
            others = [node.func.value, *node.args[1:]]
            return self._read_scratch(module, first, others)
        return None

    def _read_variable(self, module: Module, node: ast.expr) -> Sign | None:
        name = self.text_of(node, module)
        if name is None:
            return Sign(Kind.VARIABLE, ast.unparse(node), "which variable it is cannot be told")
        if name in signs.VARIABLES:
            return Sign(signs.VARIABLES[name][0], name, signs.VARIABLES[name][1])
        if signs.TESTING.search(name):
            return Sign(Kind.FLAG, name, signs.TESTING_WHY)
        if name in self.set_variables:
            return None
        return Sign(Kind.VARIABLE, name, "proof.env does not set it")

    def _read_module_name(self, module: Module, node: ast.expr) -> Sign | None:
        name = self.text_of(node, module)
        if name is not None and signs.WATCHING_MODULES.search(name):
            return Sign(Kind.FLAG, name, "only a watched process has it")
        return None


def _read_text(value: object) -> Sign | None:
    if isinstance(value, str) and signs.LOOKED_INTO.search(value):
        return Sign(Kind.FLAG, value, signs.LOOKED_INTO_WHY)
    return None


def _find_view(module: Module, node: ast.expr) -> ast.expr:
    """The call around a mapping that gives all of it (`os.environ.items()`); else the mapping."""
    above = next(module.parents(node), None)
    if isinstance(above, ast.Attribute) and above.attr in _VIEWS:
        call = next(module.parents(above), None)
        if isinstance(call, ast.Call):
            return call
    return node


def _find_reader(module: Module, whole: ast.expr) -> str | None:
    """What goes over all of a mapping: a function such as `len`, or a loop (`for`)."""
    above = next(module.parents(whole), None)
    if isinstance(above, ast.For | ast.comprehension) and above.iter is whole:
        return "for"
    if isinstance(above, ast.FormattedValue):
        return "str"
    if isinstance(above, ast.BinOp):  # `os.environ.keys() & {"CI"}`
        return "set"
    if isinstance(above, ast.Starred):
        return _find_holder(module, above)
    if not isinstance(above, ast.Call) or whole not in above.args:
        return None
    word = last_word(above.func)
    if word in _COLLECTORS:
        return word
    return None


def _find_whole(node: ast.expr) -> ast.expr | None:
    """That of which an expression holds all: `names` of `[*names]`, `list(names)`,
    `names.items()`.
    """
    if isinstance(node, ast.Call):
        return _find_copied(node)
    if isinstance(node, ast.List | ast.Set | ast.Tuple):
        return _find_starred(node.elts)
    if isinstance(node, ast.Dict) and node.keys == [None]:
        return node.values[0]
    if isinstance(node, _LOOPS) and len(node.generators) == 1 and not node.generators[0].ifs:
        return node.generators[0].iter
    return None


def _find_starred(elements: list[ast.expr]) -> ast.expr | None:
    if len(elements) == 1 and isinstance(elements[0], ast.Starred):
        return elements[0].value
    return None


def _find_copied(call: ast.Call) -> ast.expr | None:
    if isinstance(call.func, ast.Attribute) and call.func.attr in _VIEWS:
        return call.func.value
    if last_word(call.func) in _COPIERS and call.args:
        return call.args[0]
    return None


def _list_values(module: Module, name: ast.Name) -> list[ast.expr]:
    """What a name was given in the scope that holds it."""
    for scope in module.scopes_around(name):
        bound = module.bindings(scope).get(name.id)
        if bound:
            values = [binding.value for binding in bound]
            return list(filter(None, values))
    return []


def list_caught(node: Guard) -> list[ast.expr | None]:
    """What a `try` or `with suppress(...)` catches; None is a bare `except`."""
    if not isinstance(node, ast.With | ast.AsyncWith):
        return [handler.type for handler in node.handlers]
    caught: list[ast.expr | None] = []
    for item in node.items:
        call = item.context_expr
        if isinstance(call, ast.Call) and last_word(call.func) == "suppress":
            caught += call.args
    return caught


def asks_by_failing(node: Guard) -> bool:
    """Whether a statement does something else where its body fails."""
    if isinstance(node, ast.With | ast.AsyncWith):
        return bool(list_caught(node))
    return not all(map(_hands_on, node.handlers))


def _hands_on(handler: ast.ExceptHandler) -> bool:
    """Whether a handler raises its error again, and does nothing before but to log it."""
    *before, last = handler.body
    if not isinstance(last, ast.Raise) or last.exc is not None:
        return False
    return all(map(_is_logged, before))


def _is_logged(statement: ast.stmt) -> bool:
    call = getattr(statement, "value", None)
    return isinstance(call, ast.Call) and last_word(call.func) in _LOGGING


def _walk_what_runs(statement: ast.stmt) -> Iterator[ast.AST]:
    """Yields what runs with a statement: of a function that is made there, its decorators and
    defaults.
    """
    waiting: list[ast.AST] = [statement]
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            waiting += [*node.decorator_list, node.args]
        elif isinstance(node, ast.Lambda):
            waiting.append(node.args)
        else:
            waiting += ast.iter_child_nodes(node)


def _list_heads(statement: ast.stmt) -> list[ast.AST]:
    """A statement without its body: the condition of an `if`, what a `for` goes over."""
    if not hasattr(statement, "body"):
        return [statement]
    heads: list[ast.AST] = []
    for child in ast.iter_child_nodes(statement):
        if isinstance(child, ast.expr | ast.withitem):
            heads.append(child)
    return heads


def _list_questions_of_loop(loop: ast.For | ast.AsyncFor) -> list[ast.AST]:
    """The comparisons and predicates of a loop's body in which one of its own names stands."""
    names = _list_used_names(loop.target)
    found: list[ast.AST] = []
    for inner in ast.walk(loop):
        is_predicate = isinstance(inner, ast.Call) and last_word(inner.func) in PREDICATES
        if not is_predicate and not isinstance(inner, ast.Compare):
            continue
        if names & _list_used_names(inner):
            found.append(inner)
    return found


def _list_used_names(node: ast.AST) -> set[str]:
    names = set()
    for inner in ast.walk(node):
        if isinstance(inner, ast.Name):
            names.add(inner.id)
    return names


def _find_holder(module: Module, starred: ast.Starred) -> str | None:
    """What `[*names]` makes; None of the arguments of a call."""
    if isinstance(next(module.parents(starred), None), ast.List | ast.Set | ast.Tuple):
        return "list"
    return None


def _is_patched(name: str) -> bool:
    """Whether a name of the standard library is a function, or a class that one replaces."""
    owner, *parts = name.split(".")
    if owner not in _PATCHED_MODULES or owner == "open":
        return owner == "open"
    value: Any = importlib.import_module(owner)
    for part in parts:
        value = getattr(value, part, None)
    return callable(value)


def _is_builtin(name: str) -> bool:
    return name in _ELSEWHERE_BUILTINS or hasattr(builtins, name)


def probed_import(node: ast.AST) -> Sign | None:
    """A statement that imports what only a watched process has; inside of `try` it is a
    question.
    """
    names: list[str] = []
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom):
        names = [node.module or ""]
    for name in names:
        if signs.WATCHING_MODULES.search(name):
            return Sign(Kind.FLAG, f"import {name}", "only a watched process has it")
    return None

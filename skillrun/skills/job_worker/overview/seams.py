"""What a job does outside its own process: the calls that leave it, and what they may cost."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from skillrun.proof.judges.money import MONEY_WORDS
from skillrun.repo.source import last_word
from skillrun.repo.syntax import find_nodes, is_constant
from skillrun.repo.uses import Place
from skillrun.skills.job_worker.readings.clients import reach

if TYPE_CHECKING:
    from skillrun.contract.job import Effect
    from skillrun.repo.calls import Call
    from skillrun.repo.python import Definition, Project
    from skillrun.repo.source import Bindings

# Where a receiver takes the key by which it tells a repetition: an argument or a header.
KEYED = re.compile(
    r"idempot|dedup|client_?token|request_?id|message_?id|order_?key|reference_?id"
    r"|end_?to_?end_?id|transmission_?(?:id|no|number)",
    re.IGNORECASE,
)
# Entries by which a sender names what it sends, for the receiver to tell a repetition by.
_OWN_NAME = re.compile(
    r"x-(?!api|auth|access|client|user|tenant|trace|correlation|session|device)[a-z-]+-id"
    r"|(?:customer|client|external|merchant|sender|payment)[_-]?reference|message_?control_?id",
    re.IGNORECASE,
)
# Names of a key and of nothing else: a request's id may be one for its traces alone.
_KEY_FOR_SURE = re.compile(r"idempot|dedup|client_?token|end_?to_?end_?id", re.IGNORECASE)
# What is another one for each attempt, or each message.
_OF_ATTEMPT = re.compile(
    r"retr(?:y|ies)|attempt|tries|request\.id|job_?id|task_?id|message_?id|time|now|uuid|random",
    re.IGNORECASE,
)
# Methods of an object whose library cannot be told, that are nothing else in practice.
_LIKELY = {
    **dict.fromkeys(("post", "put", "patch"), "http"),
    **dict.fromkeys(("sendmail", "send_message", "send_mail", "send_email"), "smtp"),
    **dict.fromkeys(("put_object", "upload_file", "upload_fileobj", "publish"), "network"),
}
# What an object does that the code was handed, such as `ctx["mail"].send(...)`.
_LIKELY_ELSEWHERE = re.compile(
    r"a?(send|charge|refund|pay|transfer|capture|submit|deliver|notify|email)(_\w+)?$"
)
_RANKS = {"http": 1, "smtp": 1, "network": 1, "outside": 1, "subprocess": 2, "publish": 4}


@dataclass(frozen=True)
class Seam:
    """One way out of the process, named by the repository's function that goes it."""

    kind: str  # http | smtp | subprocess | network | publish | outside: that much can be told
    name: str  # dotted: the adapter where there is one, else the call itself
    place: Place
    is_keyed: bool
    is_money: bool
    is_certain: bool  # False: the method's name alone says it
    library: str | None = None  # dotted: the call of a library by which it leaves the process
    makes_key: bool = False  # it gives its receiver a key that it makes of what it is given

    @property
    def cost(self) -> int:
        """What a second time may cost: the lower, the more."""
        if self.is_money:
            return 2 if self.is_keyed else 0
        rank = _RANKS[self.kind]
        return rank + 2 if self.is_keyed and rank < 3 else rank


def find_seams(calls: Iterable[Call], sent: Mapping[ast.Call, str]) -> tuple[Seam, ...]:
    """The ways out on a job's way, the costliest first. `sent`: the calls that send another job,
    and its name.
    """
    calls = tuple(calls)
    found: dict[str, Seam] = {}
    for call in calls:
        seam = _read_seam(call, calls, sent)
        if seam is None:
            continue
        known = found.get(seam.name)
        if known is None or (seam.is_certain and not known.is_certain):
            found[seam.name] = seam
    return tuple(sorted(found.values(), key=lambda seam: (seam.cost, seam.name)))


def list_leaving(calls: Iterable[Call], sent: Mapping[ast.Call, str]) -> Iterator[Call]:
    """The calls that leave the process themselves, in order; those that send a job do not."""
    calls = tuple(calls)
    for call in calls:
        seam = _read_seam(call, calls, sent)
        if seam is not None and seam.kind != "publish":
            yield call


def list_declared(effects: Iterable[Effect], seen: Iterable[Seam], spec: str) -> list[Seam]:
    """The effects of a spec that reading has not met: an adapter may leave the process in a way
    that nobody can read.
    """
    known = {seam.name for seam in seen}
    found = []
    for effect in effects:
        name = effect.call.replace(":", ".")
        if name not in known:
            is_money = MONEY_WORDS.search(f"{name} {effect.name}") is not None
            is_keyed = effect.key_arg is not None
            found.append(Seam("outside", name, Place(spec, 1), is_keyed, is_money, True))
    return found


def find_adapters(
    project: Project, handler: Definition, retried: Iterable[str], calls: Iterable[Call]
) -> Iterator[tuple[Definition, Call]]:
    """Each function whose module brings the errors that are tried again, and where it is called: it
    stands for somebody outside who may be away. `retried`: import paths.
    """
    homes = {path.partition(":")[0] for path in retried}
    found = set[str]()
    for call in calls:
        target = project.definition(call.name) if call.resolved else None
        if target is None or target.is_class or target.module.name not in homes:
            continue
        if target.path == handler.path or target.import_path in found:
            continue
        # What an adapter calls within its own module is a part of it.
        if any(name.rpartition(".")[0] == target.module.name for name in call.via):
            continue
        found.add(target.import_path)
        yield target, call


def describe_adapter(target: Definition, call: Call) -> Seam:
    """As a way out of which nothing but its errors says that it is one."""
    words = f"{target.dotted} {_list_texts(call)}"
    is_keyed = any(KEYED.search(name) for name in target.parameters) or _is_keyed(call, ())
    is_money = MONEY_WORDS.search(words) is not None
    place = Place(call.path, call.line, call.text)
    return Seam("outside", target.dotted, place, is_keyed, is_money, is_certain=False)


def _read_seam(call: Call, calls: tuple[Call, ...], sent: Mapping[ast.Call, str]) -> Seam | None:
    other = sent.get(call.node)
    place = Place(call.path, call.line, call.text)
    if other is not None:
        return Seam("publish", other, place, False, False, True)
    known = reach(call.name) or reach(call.origin)
    kind = None
    if known is not None and (known.writes or _sends_body(call)):
        kind = known.kind
    is_certain = kind is not None
    if known is None:
        kind = _guess_kind(call, calls)
    if kind is None:
        return None
    name = _name_way_out(call)
    words = f"{name} {' '.join(call.via)} {_list_texts(call)}"
    # A mail about a payment pays nothing.
    is_money = kind != "smtp" and MONEY_WORDS.search(words) is not None
    library = None
    if known is not None:
        library = call.origin or call.name
    keyed = _is_keyed(call, calls)
    return Seam(kind, name, place, keyed, is_money, is_certain, library, _makes_key(call))


def _name_way_out(call: Call) -> str:
    """The repository's function that goes out, for `Bank._post` the one beside it that calls it."""
    if not call.via:
        return call.name
    home = call.via[-1].rpartition(".")[0]
    for name in reversed(call.via):
        owner, _, word = name.rpartition(".")
        if owner != home:
            break
        if not word.startswith("_"):
            return name
    return call.via[-1]


def _sends_body(call: Call) -> bool:
    """Whether a call such as `urlopen(Request(url, data=body))` hands something over: without a
    body it asks.
    """
    if last_word(call.node.func) != "urlopen":
        return False
    return any(map(_has_body, [call.node, *_list_requests(call)]))


def _list_requests(call: Call) -> Iterator[ast.Call]:
    """Yields the `Request(...)` that a call is given, also by a variable of its function."""
    asked = call.argument(0, "url")
    values = [asked]
    if isinstance(asked, ast.Name):
        scope = call.module.function_of(call.node) or call.module.tree
        values = [one.value for one in call.module.bindings(scope).get(asked.id, ())]
    for value in values:
        if isinstance(value, ast.Call):
            yield value


def _has_body(node: ast.Call) -> bool:
    """Whether `urlopen` or `Request` is given data, or a method that changes something."""
    given = {keyword.arg: keyword.value for keyword in node.keywords}
    data = given.get("data")
    if len(node.args) > 1:
        data = node.args[1]
    if data is not None and not is_constant(data, None):
        return True
    method = given.get("method")
    return isinstance(method, ast.Constant) and method.value not in ("GET", "HEAD", "OPTIONS")


def _guess_kind(call: Call, calls: tuple[Call, ...]) -> str | None:
    """What a method's name says where nobody can tell whose it is; one that was followed into the
    repository says itself what it does.
    """
    if any({call.name, call.origin} & set(other.via) for other in calls):
        return None
    verb = last_word(call.node.func)
    if verb in _LIKELY:
        return _LIKELY[verb]
    is_method = isinstance(call.node.func, ast.Attribute)
    is_foreign = is_method and (not call.resolved or call.origin.startswith("typing.Any"))
    return "outside" if is_foreign and _LIKELY_ELSEWHERE.match(verb) else None


def _list_texts(call: Call) -> str:
    """The address and whatever else is given as text: "/v1/refunds" says what it is for."""
    given = [*call.node.args, *call.keywords.values()]
    texts = []
    for node in given:
        for inner in find_nodes(node, ast.Constant):
            if isinstance(inner.value, str):
                texts.append(inner.value)
    return " ".join(texts)


def _is_keyed(call: Call, calls: tuple[Call, ...]) -> bool:
    """Whether the call, or one on the way to it, gives a key to the receiver."""
    way = [call]
    for other in calls:
        if {other.name, other.origin} & set(call.via):
            way.append(other)
    if any(KEYED.search(ast.unparse(one.node)) for one in way):
        return True
    return _puts_at_name(call) or any(map(_names_message, _list_named([call.node])))


def _puts_at_name(call: Call) -> bool:
    """Whether it is a PUT whose address is put together of fields, `put(f"/parcels/{number}")`: a
    second one is for the same thing.
    """
    address = call.argument(0, "url")
    if last_word(call.node.func) != "put" or not isinstance(address, ast.JoinedStr):
        return False
    return _is_made_of_fields(address)


def _names_message(given: tuple[str | None, ast.expr]) -> bool:
    """Whether an entry of a header or a body is the sender's own name for what it sends:
    `"X-Declaration-Id": declaration_id`, `"customer_reference": letter.reference`.
    """
    name, value = given
    is_field = isinstance(value, ast.Name | ast.Attribute | ast.Subscript | ast.JoinedStr)
    if name is None or not is_field or not _OWN_NAME.fullmatch(name):
        return False
    return not _OF_ATTEMPT.search(ast.unparse(value))


def _makes_key(call: Call) -> bool:
    """Whether the call that leaves the process gives its receiver a key, such as a header, which it
    makes of what its function was given.
    """
    scope = call.module.function_of(call.node)
    if scope is None:
        return False
    bound = call.module.bindings(scope)
    told = [call.node, *_list_bound(call.node, bound)]
    for named, value in _list_named(told):
        if named and _KEY_FOR_SURE.search(named):
            values = _list_bound(value, bound) if isinstance(value, ast.Name) else [value]
            if values and all(map(_is_made_of_fields, values)):
                return True
    return False


def _list_bound(node: ast.AST, bound: Bindings) -> list[ast.AST]:
    """What the names within a node are bound to in its function."""
    found: list[ast.AST] = []
    for name in find_nodes(node, ast.Name):
        found += [one.value for one in bound.get(name.id, ()) if one.value is not None]
    return found


def _list_named(nodes: Iterable[ast.AST]) -> Iterator[tuple[str | None, ast.expr]]:
    """Yields (name, value) of the keyword arguments and of the entries of dictionaries."""
    for node in nodes:
        for keyword in find_nodes(node, ast.keyword):
            yield keyword.arg, keyword.value
        for mapping in find_nodes(node, ast.Dict):
            for name, value in zip(mapping.keys, mapping.values, strict=True):
                if isinstance(name, ast.Constant):
                    yield str(name.value), value


def _is_made_of_fields(value: ast.AST) -> bool:
    """Whether a text is put together of fields, such as `f"order-{order.id}"`: nothing is called
    that might draw another one for each attempt, and nothing counts them.
    """
    for node in find_nodes(value, ast.Call):
        if last_word(node.func) not in ("str", "format"):
            return False
    has_fields = any(True for _ in find_nodes(value, ast.Name))
    is_text = not isinstance(value, ast.Name | ast.Attribute | ast.Subscript)
    return is_text and has_fields and not _OF_ATTEMPT.search(ast.unparse(value))

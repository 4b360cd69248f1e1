"""The libraries through which Python code reaches outside, and which of their calls change
something there.
"""

from __future__ import annotations

from dataclasses import dataclass

INTEGRATION = "backend/integration-adapter"

_WRITES_HTTP = frozenset(
    {"post", "put", "patch", "delete", "request", "send", "stream", "fetch", "ws_connect"}
)
_READS_HTTP = frozenset({"get", "head", "options"})


@dataclass(frozen=True)
class Client:
    """One library: the calls that change something outside, and those that only read there.

    `writes` None: every method of a client object whose name does not begin like a question.
    """

    kind: str  # http | smtp | subprocess | network
    writes: frozenset[str] | None
    reads: frozenset[str] = frozenset()
    questions: tuple[str, ...] = ()


_HTTP = Client("http", _WRITES_HTTP, _READS_HTTP)
CLIENTS = {
    "requests": _HTTP,
    "httpx": _HTTP,
    "aiohttp": _HTTP,
    "niquests": _HTTP,
    "urllib.request": Client("http", frozenset(), frozenset({"urlopen", "urlretrieve"})),
    "urllib3": Client("http", frozenset({"request", "urlopen"})),
    "http.client": Client("http", frozenset({"request", "send", "endheaders"})),
    "boto3": Client(
        "http",
        None,
        questions=(
            *(
                "get_",
                "list_",
                "describe_",
                "head_",
                "generate_",
                "can_",
                "scan",
                "query",
                "download",
            ),
            *("client", "resource", "Table", "Bucket", "Queue", "Object", "close"),
        ),
    ),
    "stripe": Client(
        "http",
        frozenset(
            {
                "create",
                "modify",
                "delete",
                "cancel",
                "capture",
                "confirm",
                "refund",
                "pay",
                "update",
                "send_invoice",
                "finalize_invoice",
                "void_invoice",
                "close",
            }
        ),
    ),
    "twilio": Client("http", frozenset({"create", "update", "delete"})),
    "slack_sdk": Client(
        "http", None, questions=("users_info", "conversations_list", "conversations_history")
    ),
    "smtplib": Client("smtp", frozenset({"sendmail", "send_message"})),
    "aiosmtplib": Client("smtp", frozenset({"send", "sendmail", "send_message"})),
    "django.core.mail": Client(
        "smtp",
        frozenset(
            {"send_mail", "send_mass_mail", "mail_admins", "mail_managers", "send", "send_messages"}
        ),
    ),
    "flask_mail": Client("smtp", frozenset({"send", "send_message"})),
    "subprocess": Client(
        "subprocess",
        frozenset(
            {"run", "call", "check_call", "check_output", "Popen", "getoutput", "getstatusoutput"}
        ),
    ),
    "os": Client(
        "subprocess", frozenset({"system", "popen", "execv", "execvp", "spawnv", "posix_spawn"})
    ),
    "asyncio": Client(
        "subprocess", frozenset({"create_subprocess_exec", "create_subprocess_shell"})
    ),
    "ftplib": Client(
        "network", frozenset({"storbinary", "storlines", "delete", "rename", "mkd", "rmd"})
    ),
    "paramiko": Client(
        "network", frozenset({"exec_command", "put", "putfo", "remove", "rename", "mkdir"})
    ),
    "socket": Client(
        "network", frozenset({"connect", "create_connection", "send", "sendall", "sendto"})
    ),
}


@dataclass(frozen=True)
class Reach:
    """A call that reaches outside."""

    kind: str
    writes: bool


def reach(name: str) -> Reach | None:
    """What a dotted name such as "requests.Session().post" reaches; None where it stays inside or
    only prepares.
    """
    library = _library(name)
    if library is None or name == library:
        return None
    client, verb = CLIENTS[library], name.removesuffix("()").rpartition(".")[2]
    if library == "os" and name.count(".") > 1:
        return None
    if verb in client.reads:
        return Reach(client.kind, writes=False)
    if client.writes is None:
        if "()." in name and not verb.startswith(client.questions):
            return Reach(client.kind, writes=True)
        return None
    if verb not in client.writes:
        return None
    return Reach(client.kind, writes=True)


def _library(name: str) -> str | None:
    parts = name.replace("()", "").split(".")
    for n in (3, 2, 1):
        if ".".join(parts[:n]) in CLIENTS:
            return ".".join(parts[:n])
    return None

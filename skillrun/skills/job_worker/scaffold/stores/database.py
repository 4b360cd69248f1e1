"""How a proof points the repository's database elsewhere: the variable, and the server or the file
behind it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

from skillrun.skills.job_worker.scaffold.stores.variables import Variable

_FILE = "{scratch}/app.db"
_URL_NAME = re.compile(r"URL|URI|DSN", re.IGNORECASE)


@dataclass(frozen=True)
class Database:
    """Parts of the spec's `proof`: `env`, `services` and `database`. `note`: what a person has to
    change first.
    """

    env: dict[str, str] = field(default_factory=dict)
    services: tuple[str, ...] = ()
    database: str | None = None
    note: str | None = None


def database_behind(
    variable: Variable | None,
    where: str,
    *,
    postgresql: bool,
    fixed: str = "",
    file: str = "",
    is_url: bool | None = None,
) -> Database:
    """`where`: the setting, for the note; `postgresql`: what the dependencies say; `fixed`: the
    value without one.

    `file`: the name of the SQLite file that no variable names; the proof has one in the scratch
    folder stand in for it.
    `is_url`: whether the variable holds a URL and no path; None: by its default, else by its name.
    """
    if variable is None and file:
        return Database(database=file)
    if variable is None:
        shown = ""
        if fixed:
            shown = f" is {fixed!r}"
        note = (
            f"{where}{shown}, whatever the environment says: a proof needs it read from a variable"
        )
        return Database(note=note)
    if variable.part and not variable.part.startswith("sqlite"):
        return Database(
            note=f"{where} is put together of several variables, and a proof gives one URL"
        )
    default = variable.default or ""
    kind = default.partition(":")[0]
    is_sqlite, has_scheme = default.startswith("sqlite"), "://" in default
    if default.startswith("postgres") or (postgresql and not is_sqlite and not has_scheme):
        return Database({variable.name: server_url(kind)}, ("postgresql",), "{postgresql}")
    if has_scheme and not is_sqlite:
        return Database(
            note=(
                f"{variable.name} names a {kind} database: a proof starts PostgreSQL or uses SQLite"
            )
        )
    if is_url is None:
        is_url = has_scheme or (not default and _URL_NAME.search(variable.name) is not None)
    scheme = "sqlite"
    if default.startswith("sqlite+"):
        scheme = kind
    return Database({variable.name: f"{scheme}:///{_FILE}" if is_url else _FILE}, (), _FILE)


def with_driver(database: Database, scheme: str) -> Database:
    """The same with this driver in the URL of the server, where nothing else has named one."""
    named = {}
    for name, text in database.env.items():
        if text == "{postgresql}":
            named[name] = server_url(scheme)
        else:
            named[name] = text
    return replace(database, env=named)


def server_url(scheme: str) -> str:
    """The server's URL with a driver, "postgresql+psycopg"; SQLAlchemy 2.0 takes psycopg2 where
    none is named.
    """
    if "+" not in scheme or scheme.endswith("+psycopg2"):
        return "{postgresql}"
    return f"{scheme}://{{postgresql.user}}@/{{postgresql.name}}?host={{postgresql.host}}"

"""Elixir's job libraries that are only recognised."""

from __future__ import annotations

from skillrun.frameworks.known.entry import Known

ELIXIR = (
    Known(
        id="oban",
        title="Oban",
        language="elixir",
        distributions=("oban", "oban_pro"),
        modules=(),
        words=(b"Oban",),
        apps=("set config Oban", "type Oban"),
        tasks=("base Oban.Worker", "base Oban.Pro.Worker*", "base Oban.Pro.Workers.*"),
        sends=("call Oban.insert*",),
        schedules={
            "type Oban.Plugins.Cron": "Oban.Plugins.Cron",
            "type Oban.Pro.Plugins.DynamicCron": "Oban.Pro cron",
        },
        brokers={"dep myxql": "mysql", "dep ecto_sqlite3": "sqlite"},
        broker="postgres",
        own="lib/oban/worker.ex",
    ),
    Known(
        id="plain-cron",
        title="a timer in the process",
        language="elixir",
        distributions=("quantum",),
        modules=(),
        words=(b"Quantum",),
        tasks=("base Quantum",),
        schedules={"base Quantum": "quantum"},
        own="lib/quantum.ex",
    ),
)

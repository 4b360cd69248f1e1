from procrastinate import App, PsycopgConnector, SyncPsycopgConnector

from lagerhaus.settings import get_settings

# What the workers run.
app = App(
    connector=PsycopgConnector(conninfo=get_settings().dsn),
    import_paths=["lagerhaus.tasks"],
)

# Defers by name, on the connection of whoever asks: synchronous code in a worker cannot use the one above.
publisher = App(connector=SyncPsycopgConnector(conninfo=get_settings().dsn))

from procrastinate import App, PsycopgConnector

from .db import DSN

app = App(connector=PsycopgConnector(conninfo=DSN), import_paths=["frachtweg.tasks"])

from procrastinate import App, PsycopgConnector

from statements.settings import settings


def connector() -> PsycopgConnector:
    return PsycopgConnector(conninfo=settings.dsn, min_size=1, max_size=8)


app = App(connector=connector(), import_paths=["statements.tasks"])

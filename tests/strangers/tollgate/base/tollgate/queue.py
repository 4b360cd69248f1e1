import procrastinate

from tollgate.settings import settings

app = procrastinate.App(
    connector=procrastinate.PsycopgConnector(conninfo=settings().dsn),
    import_paths=["tollgate.charging", "tollgate.upkeep"],
)

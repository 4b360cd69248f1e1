from huey import MemoryHuey, SqliteHuey

from . import settings

if settings.QUEUE == "memory":
    huey = MemoryHuey("hooks", results=False)
else:
    huey = SqliteHuey("hooks", filename=settings.QUEUE, results=False)

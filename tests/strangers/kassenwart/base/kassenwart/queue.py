from huey import SqliteHuey

from kassenwart import settings

# A task leaves the file when a worker takes it; sweep_debits brings back what died with a worker.
huey = SqliteHuey("kassenwart", filename=settings.QUEUE, results=False, fsync=True)

from huey import SqliteHuey

from gymnote import config

# One machine, so a file will do. A task leaves the file when a worker takes it:
# what becomes of it after that is for the table dunnings to know.
huey = SqliteHuey("gymnote", filename=config.QUEUE_FILE, results=False)

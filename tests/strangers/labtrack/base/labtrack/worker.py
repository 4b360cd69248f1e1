from labtrack import log
from labtrack.jobs import app


def main():
    log.configure()
    app.run_worker(queues=["reports", "house"], name="labtrack", concurrency=4)


if __name__ == "__main__":
    main()

from tollgate import logs
from tollgate.queue import app


def main() -> None:
    logs.configure()
    app.run_worker(name="tollgate", queues=["charges", "upkeep"], concurrency=4)


if __name__ == "__main__":
    main()

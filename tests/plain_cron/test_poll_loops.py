"""Which loops poll, and which wait until something is there: a script that a container starts
before the application waits for its database, and is no job.
"""

from __future__ import annotations

import ast
import textwrap

import pytest

from skillrun.frameworks.common.callables.loops import poll_loops

WAITS = {
    "a command's code is asked": """
        while True:
            done = subprocess.run(["pg_isready", "-h", "db"])
            if done.returncode == 0:
                break
            time.sleep(1)
    """,
    "a command's code is the condition": """
        exit_code = 1
        while exit_code != 0:
            exit_code = subprocess.run(["pg_isready"]).returncode
            time.sleep(1)
    """,
    "nc": """
        while True:
            if os.system("nc -z db 5432") == 0:
                break
            time.sleep(1)
    """,
    "a socket, step by step": """
        while True:
            sock = socket.socket()
            code = sock.connect_ex(("db", 5432))
            sock.close()
            if code == 0:
                break
            time.sleep(1)
    """,
    "returns within with": """
        def wait():
            while True:
                try:
                    with engine.connect() as connection:
                        connection.execute(text("select 1"))
                        return
                except OperationalError:
                    pass
                time.sleep(1)
    """,
    "a flag that is cleared": """
        waiting_to_run = True
        while waiting_to_run:
            try:
                psycopg.connect("x")
                waiting_to_run = False
            except psycopg.OperationalError:
                pass
            time.sleep(1)
    """,
    "something is not alive yet": """
        alive = False
        while not alive:
            alive = ping()
            time.sleep(1)
    """,
    "is False": """
        running = False
        while running is False:
            running = ping()
            time.sleep(1)
    """,
    "a row is there": """
        while True:
            with psycopg.connect("x") as connection:
                row = connection.execute("select to_regclass('users')").fetchone()
                if row[0]:
                    break
            time.sleep(1)
    """,
    "a cursor is asked in two steps": """
        while True:
            cursor = psycopg2.connect("x").cursor()
            cursor.execute("select to_regclass('users')")
            if cursor.fetchone()[0]:
                break
            time.sleep(1)
    """,
    "a name is in a list": """
        while True:
            if "users" in inspect(engine).get_table_names():
                break
            time.sleep(1)
    """,
    "two services": """
        while True:
            if db_ready() and redis_ready():
                break
            time.sleep(1)
    """,
    "raises SystemExit": """
        while True:
            try:
                psycopg.connect("x")
                raise SystemExit(0)
            except psycopg.OperationalError:
                pass
            time.sleep(1)
    """,
    "an attribute of the answer": """
        while True:
            try:
                if requests.get("http://es:9200").ok:
                    break
            except requests.ConnectionError:
                pass
            time.sleep(1)
    """,
}
POLLS = {
    "one turn where somebody says so": """
        while True:
            work()
            if "--once" in sys.argv:
                break
            time.sleep(5)
    """,
    "until nothing is left, where somebody says so": """
        while True:
            count = work()
            if count == 0 and options.once:
                break
            time.sleep(5)
    """,
    "until it is asked to stop": """
        while True:
            if stop_requested():
                break
            work()
            time.sleep(5)
    """,
    "until something goes wrong": """
        while True:
            code = run_batch()
            if code != 0:
                sys.exit(1)
            time.sleep(5)
    """,
    "until somebody clears its flag": """
        running = True
        while running:
            try:
                work()
            except KeyboardInterrupt:
                running = False
            time.sleep(5)
    """,
    "a turn says whether it goes on": """
        while running:
            running = work()
            time.sleep(5)
    """,
    "until a message says so": """
        while True:
            message = queue.get()
            if message.kind == "stop":
                break
            message.handle()
            time.sleep(1)
    """,
    "until it is finished": """
        while not self.finished:
            self.work()
            time.sleep(5)
    """,
    "with a connection": """
        while True:
            with psycopg.connect("x") as connection:
                row = claim(connection)
                if row is None:
                    time.sleep(5)
                    continue
                send(row)
    """,
}


def _count_polling(code: str) -> int:
    return len(list(poll_loops(ast.parse(textwrap.dedent(code)))))


@pytest.mark.parametrize("name", WAITS)
def test_a_loop_that_waits_for_something_to_be_there_does_not_poll(name: str) -> None:
    assert _count_polling(WAITS[name]) == 0


@pytest.mark.parametrize("name", POLLS)
def test_a_loop_that_works_in_its_turns_polls(name: str) -> None:
    assert _count_polling(POLLS[name]) == 1

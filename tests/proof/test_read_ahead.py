"""What the zygote learns from the first deliveries, and what it does not read for them."""

from __future__ import annotations

import os
from pathlib import Path

import hooked
import pytest
from test_store_sqlite import DB

from skillrun.probe import frames
from skillrun.probe.recorder import Recorder
from skillrun.proof.schedule import ONCE

# Whether a connection is made by the probe's own hook is asked of the code of its file.
OPENS = """
    import os, sqlite3, sys

    opened = []


    def note(event, args):
        if event == "open":
            opened.append(os.path.basename(str(args[0])))


    def main(payload):
        sys.addaudithook(note)
        sqlite3.connect(os.environ["DB"]).close()
        raise RuntimeError(" ".join(opened))
    """


@pytest.mark.real
def test_the_code_of_a_library_is_read_by_the_first_delivery_alone(tmp_path: Path) -> None:
    with hooked.explorer(tmp_path, {"jobs.py": OPENS}, **DB) as made:
        first, second, third = [made.run(ONCE).runs[0].first("raised") for _ in range(3)]
        assert not made.processes.cold["main"]
    assert first is not None
    assert second is not None
    assert third is not None
    assert reads_code_of_sqlite_hook(first["text"])
    assert not reads_code_of_sqlite_hook(second["text"])
    assert not reads_code_of_sqlite_hook(third["text"])


def reads_code_of_sqlite_hook(opened: str) -> bool:
    return any(name == "sql.py" or name.startswith("sql.cpython") for name in opened.split())


def test_what_the_repository_could_write_is_not_read_ahead(tmp_path: Path) -> None:
    """A pipe in its place would hold up every delivery."""
    pipe, module = tmp_path / "pipe.py", tmp_path / "module.py"
    os.mkfifo(pipe)
    module.write_text("def function(): pass\n")
    own = Path(frames.__file__)
    made = frames.Frames(Recorder(str(tmp_path)))
    made.read_ahead([str(pipe), str(module), str(own), str(own.with_name("not_there.py"))])
    assert set(made.codes) == {str(own)}
    assert made.codes[str(own)]

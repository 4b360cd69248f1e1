"""Another job's delivery in the process of the first one, to its end."""

from __future__ import annotations

import os
import signal
import threading
import traceback
from collections.abc import Callable

from .recorder import BESIDE, FIRST, Recorder

# Seconds of the machine's own time. Who says nothing for so long waits for what the other one
# holds.
PATIENCE_S = 1.0


class Progress:
    """Whether a delivery still gets on."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self.said = -1

    def end_if_stuck(self) -> None:
        """Ends this process where nothing was said since the last look: one of the two needs what
        the other one holds, and nothing can be said of them.
        """
        if self.recorder.said == self.said:
            self.recorder.emit("inseparable")
            os.kill(os.getpid(), signal.SIGKILL)
        self.said = self.recorder.said


def run_in_thread(recorder: Recorder, deliver: Callable[[], None]) -> None:
    """Runs a delivery in another thread, as a worker with several of them would, and waits for its
    end.
    """

    def work() -> None:
        recorder.begin_beside()
        try:
            deliver()
        except BaseException as error:
            recorder.emit(
                "probe-error",
                text=traceback.format_exc()[-4000:],
                injected=False,
                error=f"{type(error).__name__}: {error}",
            )

    recorder.turn = BESIDE
    thread = threading.Thread(target=work)
    thread.start()
    progress = Progress(recorder)
    while thread.is_alive():
        progress.end_if_stuck()
        thread.join(PATIENCE_S)
    recorder.turn = FIRST

"""How long a process takes to end, on a machine that may be busy with something else."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path


def ended(process: subprocess.Popen[str] | subprocess.Popen[bytes], number: signal.Signals) -> float:
    """Send a signal to a process and wait for its end; return the seconds that it took.

    Time in which its main thread, or ours, was ready and waited for a processor is not counted: Linux keeps
    account of it, elsewhere all counts. The exit code is left in ``process``.
    """
    theirs, ours = Path(f"/proc/{process.pid}/schedstat"), Path("/proc/thread-self/schedstat")
    waited = _waited(theirs) + _waited(ours)
    began = time.monotonic()
    process.send_signal(number)
    limit = began + 30
    # Its account can be read until it has been waited for.
    while os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is None:
        assert time.monotonic() < limit, f"{number.name} did not end it"
        time.sleep(0.005)
    took = time.monotonic() - began
    waited = max(0.0, _waited(theirs) + _waited(ours) - waited)
    process.wait(10)
    return took - waited


def _waited(account: Path) -> float:
    with suppress(OSError, ValueError, IndexError):
        return int(account.read_text().split()[1]) / 1e9
    return 0.0

"""A Python that has imported already: workers and commands that tests start begin in it at once.

Importing PyTorch, MONAI and Lightning takes seconds of processor time, and every test of a panel starts a worker. Here
one process imports them and forks a child for each; `PythonSlicer`, a launcher like Slicer's own of that name, hands
over its arguments, environment and standard streams, passes SIGINT and SIGTERM on, and ends as the child ended. What
the child runs is the real code in a process of its own; what is not seen this way is the start of a fresh interpreter,
which the tests of jobs, of faults and of the command line look at.
"""

from __future__ import annotations

import array
import importlib
import json
import os
import runpy
import select
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

LAUNCHER = """#!{python} -SE
import array, json, os, signal, socket, sys
if sys.argv[1:3] != ["-m", "jsddpm_core"]:
    os.execv({python!r}, [{python!r}, *sys.argv[1:]])
there = socket.socket(socket.AF_UNIX)
there.connect({address!r})
said = json.dumps(dict(arguments=sys.argv[3:], environment=dict(os.environ), folder=os.getcwd())).encode()
streams = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0, 1, 2]))]
there.sendmsg([len(said).to_bytes(4, "big")], streams)
there.sendall(said)
for stream in (0, 1, 2):
    os.close(stream)
child = int(there.recv({digits}, socket.MSG_WAITALL))
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, lambda number, _frame: os.kill(child, number))
answer = there.recv({digits}, socket.MSG_WAITALL)
code = int(answer) if answer else -signal.SIGKILL
if code < 0:
    signal.signal(-code, signal.SIG_DFL) if -code != signal.SIGKILL else None
    os.kill(os.getpid(), -code)
os._exit(code)
"""
DIGITS = 8
"""Of the child's number, and of what it ended with."""

HEAVY = (
    "jsddpm_core.worker.server", "jsddpm_core.worker.synthesis", "jsddpm_core.worker.training",
    "jsddpm_core.generation.generate", "jsddpm_core.training.fine_tune", "jsddpm_core.data.survey",
    "jsddpm_core.data.align", "jsddpm_core.training.finish",
)  # fmt: skip


def serve(address: str) -> None:
    """Imports what workers need, says so, and forks a child for each launcher that calls."""
    for name in HEAVY:
        importlib.import_module(name)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address)
    listener.listen(16)
    print("ready", flush=True)
    children: dict[int, socket.socket] = {}
    while True:
        readable, _, _ = select.select([listener, sys.stdin, *children.values()], [], [], 0.05)
        if sys.stdin in readable:  # closed: whoever started this has gone
            break
        if listener in readable:
            connection, _ = listener.accept()
            child = _fork(connection, [listener, *children.values()])
            children[child] = connection
            _tell(connection, child)
        for child, connection in list(children.items()):
            gone, status = os.waitpid(child, os.WNOHANG)
            if gone:
                with connection:
                    _tell(connection, os.waitstatus_to_exitcode(status))
                del children[child]
    for child in children:
        os.kill(child, signal.SIGKILL)


def _tell(connection: socket.socket, number: int) -> None:
    with suppress(OSError):  # the launcher was killed
        connection.sendall(f"{number:{DIGITS}d}".encode())


def _fork(connection: socket.socket, others: list[socket.socket]) -> int:
    """A child with the launcher's streams, variables and arguments."""
    size, streams, _, _ = connection.recvmsg(4, socket.CMSG_LEN(12))
    handed = array.array("i")
    handed.frombytes(streams[0][2])
    wanted, said = int.from_bytes(size, "big"), b""
    while len(said) < wanted:
        said += connection.recv(wanted - len(said))
    child = os.fork()
    if child:
        for stream in handed:
            os.close(stream)
        return child
    for other in (connection, *others):
        other.close()
    for number, stream in enumerate(handed):
        os.dup2(stream, number)
        os.close(stream)
    told = json.loads(said)
    os.environ.clear()
    os.environ.update(told["environment"])
    os.chdir(told["folder"])
    sys.argv = ["jsddpm_core", *told["arguments"]]
    code = 0
    try:
        runpy.run_module("jsddpm_core", run_name="__main__", alter_sys=True)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    finally:
        sys.stderr.flush()
    os._exit(code)


@contextmanager
def launcher(folder: Path) -> Iterator[Path]:
    """A folder with `PythonSlicer` in it; ends its processes afterwards."""
    address = str(folder / "warm.socket")
    program = folder / "PythonSlicer"
    program.write_text(LAUNCHER.format(python=sys.executable, address=address, digits=DIGITS))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    paths = os.pathsep.join(filter(None, (str(Path(__file__).resolve().parents[1]), os.environ.get("PYTHONPATH"))))
    server = subprocess.Popen(
        [sys.executable, __file__, address], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": paths},
    )  # fmt: skip
    assert server.stdin is not None and server.stdout is not None
    with server:
        if server.stdout.readline() != b"ready\n":
            raise RuntimeError("the Python for the tests' workers did not start")
        yield folder
        server.stdin.close()


if __name__ == "__main__":
    serve(sys.argv[1])

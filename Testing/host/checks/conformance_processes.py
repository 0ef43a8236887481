"""Processes with separate channels: how the worker is run."""

import os
import shutil
import sys
import time

import qt
import slicer

ECHO = (
    "import sys\n"
    "sys.stderr.write('on error\\n'); sys.stderr.flush()\n"
    "for line in sys.stdin:\n"
    "    sys.stdout.write('echo ' + line); sys.stdout.flush()\n"
    "sys.exit(3)\n"
)


def interpreter():
    """A Python that can be started from here."""
    return shutil.which("PythonSlicer") or sys.executable


def until(condition, seconds=30.0):
    """Handle events until a condition holds."""
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        slicer.app.processEvents()
        time.sleep(0.005)
    return bool(condition())


def run(checks):
    process = qt.QProcess()
    process.setProcessChannelMode(qt.QProcess.SeparateChannels)
    environment = qt.QProcessEnvironment.systemEnvironment()
    environment.insert("CONFORMANCE", "yes")
    process.setProcessEnvironment(environment)
    checks.equal("an environment", process.processEnvironment().value("CONFORMANCE"), "yes")
    out, errors, ended = [], [], []
    process.connect("readyReadStandardOutput()", lambda: out.append(process.readAllStandardOutput().data()))
    process.connect("readyReadStandardError()", lambda: errors.append(process.readAllStandardError().data()))
    process.connect("finished(int,QProcess::ExitStatus)", lambda code, status: ended.append((code, status)))
    checks.that("not running at first", process.state() == qt.QProcess.NotRunning)
    process.start(interpreter(), ["-c", ECHO])
    checks.that("it starts", process.waitForStarted(30000))
    checks.that("it runs", process.state() == qt.QProcess.Running)
    checks.that("it has a number", process.processId() > 0)
    process.write(b"one\n")
    checks.that("it answers", until(lambda: b"".join(out) == b"echo one" + os.linesep.encode()))
    checks.that("its errors are another channel", until(lambda: b"on error" in b"".join(errors)))
    checks.that("output is bytes", isinstance(out[0], bytes))
    process.closeWriteChannel()
    checks.that("it ends when its input closes", until(lambda: ended))
    checks.equal("its exit code", ended[0][0] if ended else None, 3)
    checks.that("a normal end", bool(ended) and ended[0][1] == qt.QProcess.NormalExit)
    checks.equal("and afterwards", process.exitCode(), 3)

    killed = qt.QProcess()
    status = []
    killed.connect("finished(int,QProcess::ExitStatus)", lambda code, end: status.append(end))
    killed.start(interpreter(), ["-c", "import time; time.sleep(60)"])
    killed.waitForStarted(30000)
    killed.kill()
    checks.that("a killed process ends", until(lambda: status))
    if sys.platform != "win32":
        checks.that("as a crash", bool(status) and status[0] == qt.QProcess.CrashExit)

    missing = qt.QProcess()
    why = []
    missing.connect("errorOccurred(QProcess::ProcessError)", why.append)
    missing.start("/no/such/program", ["-c"])
    checks.that("a program that is not there is told", until(lambda: why))
    checks.that("as failed to start", bool(why) and why[0] == qt.QProcess.FailedToStart)
    checks.that("and not running", missing.state() == qt.QProcess.NotRunning)

"""Classes of Qt that are no QObject, timers and files."""

import tempfile
import time
from pathlib import Path

import qt
import slicer


def until(condition, seconds=10.0):
    """Handle events until a condition holds."""
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        slicer.app.processEvents()
        time.sleep(0.005)
    return bool(condition())


def run(checks):
    size = qt.QSize(3, 4)
    checks.that("a size", size.width() == 3 and isinstance(size, qt.QSize))
    colour = qt.QColor(255, 0, 0)
    checks.equal("the name of a colour", colour.name(), "#ff0000")
    checks.that("an icon of nothing is null", qt.QIcon().isNull())
    image = qt.QImage(4, 3, qt.QImage.Format_RGB32)
    image.fill(colour)
    checks.that("an image", image.width() == 4 and image.height() == 3)
    checks.equal("a pixel", image.pixelColor(1, 1).name(), "#ff0000")
    painter = qt.QPainter(image)
    painter.fillRect(0, 0, 1, 1, qt.QColor(0, 0, 255))
    painter.end()
    checks.equal("a painted pixel", image.pixelColor(0, 0).name(), "#0000ff")
    pixmap = qt.QPixmap.fromImage(image)
    checks.equal("a pixmap", pixmap.width(), 4)
    checks.equal("a pixmap scales", pixmap.scaled(8, 8, qt.Qt.KeepAspectRatio).height(), 6)

    url = qt.QUrl.fromLocalFile("/folder/a file")
    checks.equal("a file as a URL", url.toLocalFile(), "/folder/a file")
    checks.equal("a URL as text", url.toString(), "file:///folder/a file")
    checks.equal("keys as text", qt.QKeySequence("Ctrl+D").toString(), "Ctrl+D")
    data = qt.QByteArray(b"bytes")
    checks.equal("bytes of a QByteArray", data.data(), b"bytes")
    clipboard = qt.QApplication.clipboard()
    clipboard.setText("copied")
    checks.equal("the clipboard", clipboard.text(), "copied")

    timer = qt.QTimer()
    ticks = []
    timer.setSingleShot(True)
    timer.interval = 1
    timer.connect("timeout()", lambda: ticks.append(1))
    timer.start()
    checks.that("a timer is active", timer.active is True and timer.isActive())
    checks.that("and ticks", until(lambda: ticks) and ticks == [1])
    checks.that("once, and is not active then", timer.active is False)
    later = []
    qt.QTimer.singleShot(0, lambda: later.append(1))
    checks.equal("a single shot comes later", later, [])
    checks.that("but comes", until(lambda: later))
    elapsed = qt.QElapsedTimer()
    elapsed.start()
    checks.that("an elapsed timer", elapsed.elapsed() >= 0)

    with tempfile.TemporaryDirectory() as folder:
        watched = Path(folder) / "watched.txt"
        watched.write_text("1", encoding="utf-8")
        watcher = qt.QFileSystemWatcher()
        watcher.addPath(str(watched))
        changes = []
        watcher.connect("fileChanged(QString)", changes.append)
        checks.equal("watched files come as a tuple", watcher.files(), (str(watched),))
        watched.write_text("22", encoding="utf-8")
        checks.that("a change of a file is told", until(lambda: changes))
        checks.that("a QFile exists", qt.QFile(str(watched)).exists())
        path = Path(folder) / "settings.ini"
        settings = qt.QSettings(str(path), qt.QSettings.IniFormat)
        settings.setValue("group/flag", True)
        settings.setValue("group/number", 7)
        settings.setValue("group/text", "a, b")
        settings.sync()
        copy = Path(folder) / "copy.ini"
        copy.write_bytes(path.read_bytes())
        read = qt.QSettings(str(copy), qt.QSettings.IniFormat)
        checks.equal("a flag in a file is text", read.value("group/flag"), "true")
        checks.equal("a number in a file is text", read.value("group/number"), "7")
        checks.equal("a text stays", read.value("group/text"), "a, b")
        checks.equal("a missing value has the default", read.value("group/none", "default"), "default")
        checks.that("a missing value is None", read.value("group/none") is None)
        checks.that("contains", read.contains("group/flag") and not read.contains("group/none"))
        checks.that("keys come as a tuple", isinstance(read.allKeys(), tuple))
        checks.refused("value knows no type", lambda: read.value("group/flag", False, bool), ValueError, TypeError)
        flag = slicer.util.settingsValue("group/flag", False, converter=slicer.util.toBool, settings=read)
        checks.that("settingsValue converts", flag is True)
        checks.equal("settingsValue has a default", slicer.util.settingsValue("group/none", 5, settings=read), 5)
        number = slicer.util.settingsValue("group/number", 0, converter=int, settings=read)
        checks.equal("settingsValue makes numbers", number, 7)
        read.remove("group/flag")
        checks.that("a value can be removed", not read.contains("group/flag"))

"""
Open scripted modules in the stand-in for Slicer: `python Testing/host/main.py JSDDPMSlicer/JSDDPMSlicer.py`.

With `--volume FILE` an image is loaded first; with `--picture FILE` the window is drawn into a file and closed.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import slicerhost

MODULE = Path(__file__).resolve().parents[2] / "JSDDPMSlicer" / "JSDDPMSlicer.py"


def parse(arguments: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Open scripted modules in the stand-in for Slicer.")
    parser.add_argument("modules", nargs="*", type=Path, default=[MODULE], help="files of scripted modules")
    parser.add_argument("--volume", type=Path, help="an image to load first")
    parser.add_argument("--picture", type=Path, help="draw the window into this file and end")
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> int:
    """Run the application until its window is closed."""
    options = parse(arguments)
    app = slicerhost.start(testing=False)
    import slicer
    import slicer.util
    from slicerhost import application, mainwindow

    modules = [application.load_module(path) for path in options.modules]
    window = mainwindow.openMainWindow(modules)
    if options.volume is not None:
        slicer.util.loadVolume(str(options.volume), {})
    if options.picture is not None:
        for _ in range(10):
            app.processEvents()
        saved = window.grab().save(str(options.picture))
        window.close()
        return finish(modules, 0 if saved else 1)
    return finish(modules, app.exec())


def finish(modules: list, code: int) -> int:
    """Let the modules clean up."""
    from slicerhost import application

    for module in modules:
        application.unload_module(module.name)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

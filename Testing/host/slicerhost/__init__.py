"""
A stand-in for the Slicer application on machines without it.

It joins the real MRML, logics, displayable managers and `slicer.util` of the `slicer-core` package with Qt for Python.
"""

from __future__ import annotations

import os
from typing import Any


def start(testing: bool = True) -> Any:
    """
    Make `slicer`, `qt` and `ctk` what they are in the application; once a process.

    :param testing: as `Slicer --testing`: dialogs of `slicer.util` do not show and confirm nothing.
    :return: `slicer.app`.
    """
    import slicer

    if hasattr(slicer, "app"):
        return slicer.app
    if not os.environ.get("VTK_DEFAULT_OPENGL_WINDOW"):  # an empty value would end in a segmentation fault
        os.environ["VTK_DEFAULT_OPENGL_WINDOW"] = "vtkEGLRenderWindow"
    import vtk

    output = vtk.vtkOutputWindow()
    output.SetDisplayModeToAlwaysStdErr()
    vtk.vtkOutputWindow.SetInstance(output)
    from . import application

    return application.create(testing)

"""The main window: the panel of a module on the left, the views on the right."""

from __future__ import annotations

from typing import Any

import qt
import slicer
import slicer.util

from .pythonqt import CppSignal
from .pythonqt.properties import declared

PANEL_WIDTH = 500  # pixels: about what Slicer gives a module
LAYOUTS = {
    "Conventional": "SlicerLayoutConventionalView",
    "Four-up": "SlicerLayoutFourUpView",
    "Red slice only": "SlicerLayoutOneUpRedSliceView",
    "Side by side": "SlicerLayoutSideBySideView",
    "Conventional plot": "SlicerLayoutConventionalPlotView",
    "Four-up table": "SlicerLayoutFourUpTableView",
}


class ModuleSelector(qt.QToolBar):
    """The list of modules: `slicer.util.selectModule` comes here."""

    moduleSelected = CppSignal("moduleSelected(QString)")

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._selected = ""
        self._box = qt.QComboBox(self)
        self.addWidget(qt.QLabel("Modules: ", self))
        self.addWidget(self._box)
        self._box.activated.instance.connect(self._chosen)

    def _add(self, module: Any) -> None:
        self._box.addItem(module.title or module.name, module.name)

    def _chosen(self, index: int) -> None:
        self.selectModule(self._box.itemData(index))

    def selectModule(self, name: str) -> None:
        if name != self._selected:
            self._selected = name
            self._box.setCurrentIndex(self._box.findData(name))
            self.moduleSelected.emit(name)

    selectedModule = declared(str, lambda self: self._selected)


class qSlicerMainWindow(qt.QMainWindow):
    """`slicer.util.mainWindow()`."""

    initialWindowShown = CppSignal("initialWindowShown()")

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._current: Any = None
        self.setObjectName("qSlicerMainWindow")
        self.setWindowTitle("Stand-in for 3D Slicer")
        self._selector = ModuleSelector(self)
        self.addToolBar(self._selector)
        self._panel = qt.QScrollArea()
        self._panel.setWidgetResizable(True)
        self._panel.setMinimumWidth(PANEL_WIDTH)
        self._views = qt.QWidget()
        self._views.setLayout(qt.QVBoxLayout())
        self._views.layout().setContentsMargins(0, 0, 0, 0)
        slicer.app.layoutManager().setViewport(self._views)
        splitter = qt.QSplitter(self)
        splitter.addWidget(self._panel)
        splitter.addWidget(self._views)
        splitter.setStretchFactor(1, 1)
        self.setCentralWidget(splitter)
        self.statusBar()
        self._addMenus()
        self._selector.moduleSelected.instance.connect(self._show)

    def _addMenus(self) -> None:
        files = self.menuBar().addMenu("&File")
        files.setObjectName("FileMenu")
        files.addAction("&Load volume...").connect("triggered()", self._load)
        files.addAction("&Close scene").connect("triggered()", self._closeScene)
        files.addAction("&Quit").connect("triggered()", self._quit)
        layouts = self.menuBar().addMenu("&Layout")
        for title, name in LAYOUTS.items():
            layouts.addAction(title).connect("triggered()", self._setter(name))

    @staticmethod
    def _setter(name: str) -> Any:
        return lambda: slicer.app.layoutManager().setLayout(getattr(slicer.vtkMRMLLayoutNode, name))

    def _load(self) -> None:
        path = qt.QFileDialog.getOpenFileName(self, "Load volume", "", "Volumes (*.nii *.nii.gz *.nrrd *.mha)")
        if path:
            slicer.util.loadVolume(path, {})

    def _closeScene(self) -> None:
        slicer.mrmlScene.Clear(False)

    def _quit(self) -> None:
        self.close()

    def _show(self, name: str) -> None:
        """Leave the module that is shown and enter another."""
        if self._current is not None:
            self._current.exit()
            self._panel.takeWidget()
        self._current = slicer.app.moduleManager().module(name).widgetRepresentation()
        self._panel.setWidget(self._current)
        self._current.setVisible(True)
        self._current.enter()

    def moduleSelector(self) -> ModuleSelector:
        return self._selector


def openMainWindow(modules: list[Any], width: int = 1500, height: int = 950) -> qSlicerMainWindow:
    """Show the main window with some loaded modules, the first of them entered."""
    window = qSlicerMainWindow()
    for module in modules:
        window._selector._add(module)
    window.resize(width, height)
    window.show()
    if modules:
        window._selector.selectModule(modules[0].name)
    slicer.app.startupCompleted.emit()
    return window

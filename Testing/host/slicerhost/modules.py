"""Modules: those of Slicer, of which the host has the logics, and scripted ones loaded from a file."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import qt
import slicer

from .pythonqt import CppSignal
from .pythonqt.properties import declared, stored


class ModuleManager(qt.QObject):
    """The application's modules by name."""

    moduleLoaded = CppSignal("moduleLoaded(QString)")
    moduleAboutToBeUnloaded = CppSignal("moduleAboutToBeUnloaded(QString)")
    moduleUnloaded = CppSignal("moduleUnloaded(QString)")

    def __init__(self) -> None:
        super().__init__()
        self._modules: dict[str, Any] = {}

    def module(self, name: str) -> Any:
        return self._modules.get(name)

    def modulesNames(self) -> tuple[str, ...]:
        return tuple(self._modules)

    def isLoaded(self, name: str) -> bool:
        return name in self._modules

    def factoryManager(self) -> FactoryManager:
        return FactoryManager(self)


class FactoryManager:
    """What `slicer.util.moduleNames` and checks for other extensions ask."""

    def __init__(self, manager: ModuleManager) -> None:
        self._manager = manager

    def loadedModuleNames(self) -> tuple[str, ...]:
        return tuple(self._manager._modules)

    def isLoaded(self, name: str) -> bool:
        return name in self._manager._modules


class LoadableModule:
    """One of Slicer's own modules: its logic, without its widget."""

    def __init__(self, name: str, logic: Any) -> None:
        self.name = name
        self.path = ""
        self._logic = logic

    def logic(self) -> Any:
        return self._logic

    def widgetRepresentation(self) -> None:
        raise NotImplementedError(f"the host has no widget of the module {self.name}")


def register(module: Any) -> None:
    """Make a module known: `slicer.modules.<name in small letters>`."""
    setattr(slicer.modules, module.name.lower(), module)
    slicer.app.moduleManager()._modules[module.name] = module


class qSlicerScriptedLoadableModule(qt.QObject):
    """The `parent` of a scripted module: its metadata, its logic and its widget."""

    def __init__(self, name: str, path: str) -> None:
        super().__init__()
        self._name, self._path = name, path
        self._title, self._helpText, self._acknowledgement = "", "", ""
        self._categories: list[str] = []
        self._dependencies: list[str] = []
        self._contributors: list[str] = []
        self._nodeTypes: list[str] = []
        self._icon = qt.QIcon()
        self._hidden, self._widgetEnabled, self._index = False, True, -1
        self._source: ModuleType | None = None
        self._instance: Any = None
        self._widget: Any = None

    def logic(self) -> None:
        return None  # the logic of a scripted module is Python's, not VTK's

    def widgetRepresentation(self) -> Any:
        if self._widget is None:
            self._widget = self.createNewWidgetRepresentation()
        return self._widget

    def createNewWidgetRepresentation(self) -> Any:
        widget = qSlicerScriptedLoadableModuleWidget()
        widget._moduleName = self._name
        widget.setMRMLScene(slicer.mrmlScene)
        widget.reload()
        return widget

    name = declared(str, lambda self: self._name)
    path = declared(str, lambda self: self._path)
    title = stored(str, "_title")
    helpText = stored(str, "_helpText")
    acknowledgementText = stored(str, "_acknowledgement")
    categories = stored("QStringList", "_categories")
    dependencies = stored("QStringList", "_dependencies")
    contributors = stored("QStringList", "_contributors")
    associatedNodeTypes = stored("QStringList", "_nodeTypes")
    icon = stored("QIcon", "_icon")
    hidden = stored(bool, "_hidden")
    index = stored(int, "_index")
    widgetRepresentationCreationEnabled = stored(bool, "_widgetEnabled")


class qSlicerScriptedLoadableModuleWidget(qt.QWidget):
    """The `parent` of a scripted module's widget: calls its setup, enter and exit."""

    mrmlSceneChanged = CppSignal("mrmlSceneChanged(vtkMRMLScene*)")

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._scene: Any = None
        self._moduleName = ""
        self._python: Any = None
        self._entered = False
        self.setLayout(qt.QVBoxLayout())

    def mrmlScene(self) -> Any:
        return self._scene

    def setMRMLScene(self, scene: Any) -> None:
        if scene is not self._scene:
            self._scene = scene
            self.mrmlSceneChanged.emit(scene)

    def reload(self) -> None:
        """Make the module's widget anew from the source that is imported now."""
        source = sys.modules[self._moduleName]
        self._python = getattr(source, f"{self._moduleName}Widget")(self)
        setattr(slicer.modules, f"{self._moduleName}Widget", self._python)
        self._python.setup()

    def self(self) -> Any:
        return self._python

    def enter(self) -> None:
        self._entered = True
        if hasattr(self._python, "enter"):
            self._python.enter()

    def exit(self) -> None:
        self._entered = False
        if hasattr(self._python, "exit"):
            self._python.exit()

    isEntered = declared(bool, lambda self: self._entered)


def load_module(path: str | Path) -> qSlicerScriptedLoadableModule:
    """
    Import a scripted module's file and register the module, as Slicer does with the files in its module folders.

    :raises AttributeError: the file has no class of its own name.
    """
    file = Path(path).resolve()
    name = file.stem
    if str(file.parent) not in sys.path:
        sys.path.insert(0, str(file.parent))
    module = qSlicerScriptedLoadableModule(name, str(file))
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} cannot be imported")
    module._source = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module._source)
    register(module)
    module._instance = getattr(module._source, name)(module)
    slicer.app.moduleManager().moduleLoaded.emit(name)
    return module


def unload_module(name: str) -> None:
    """Let a scripted module clean up and forget it, as at the end of the application."""
    manager = slicer.app.moduleManager()
    module = manager._modules.pop(name)
    if module._widget is not None and module._widget.isEntered:
        module._widget.exit()
    manager.moduleAboutToBeUnloaded.emit(name)
    if module._widget is not None:
        module._widget.deleteLater()
        module._widget = None
    for attribute in (name.lower(), f"{name}Widget"):
        if hasattr(slicer.modules, attribute):
            delattr(slicer.modules, attribute)
    sys.modules.pop(name, None)
    manager.moduleUnloaded.emit(name)

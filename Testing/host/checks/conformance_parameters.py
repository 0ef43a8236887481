"""Typed parameter nodes and their connection to widgets."""

import enum
import pathlib
from typing import Annotated

import ctk
import qt
import slicer
import vtk
from slicer import vtkMRMLScalarVolumeNode
from slicer.parameterNodeWrapper import Choice, Default, Maximum, Minimum, WithinRange, parameterNodeWrapper


class Way(enum.Enum):
    FAST = 1
    SLOW = 2


@parameterNodeWrapper
class Parameters:
    count: Annotated[int, WithinRange(1, 10), Default(2)]
    share: Annotated[float, WithinRange(0, 1)] = 0.25
    least: Annotated[int, Minimum(-3)] = 0
    most: Annotated[float, Maximum(9.0)]
    flag: bool
    text: str
    choice: Annotated[str, Choice(["auto", "cpu"])] = "auto"
    way: Way
    folder: pathlib.Path
    volume: vtkMRMLScalarVolumeNode


def widgets():
    """One for each type, named as forms name them."""
    made = {
        "count": qt.QSpinBox(),
        "share": ctk.ctkSliderWidget(),
        "flag": qt.QCheckBox(),
        "text": qt.QLineEdit(),
        "choice": qt.QComboBox(),
        "way": qt.QComboBox(),
        "folder": ctk.ctkPathLineEdit(),
        "volume": slicer.qMRMLNodeComboBox(),
    }
    made["volume"].setMRMLScene(slicer.mrmlScene)
    return made


def run(checks):
    slicer.mrmlScene.Clear(False)
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScriptedModuleNode")
    parameters = Parameters(node)
    checks.equal("a default by annotation", parameters.count, 2)
    checks.equal("a default by assignment", parameters.share, 0.25)
    checks.that("no default", parameters.flag is False and parameters.text == "" and parameters.most == 0.0)
    checks.that("the first of an enumeration", parameters.way is Way.FAST)
    checks.that("no node", parameters.volume is None)
    checks.that("an empty path", parameters.folder == pathlib.Path())
    parameters.count = 7
    checks.equal("a parameter is kept as text", node.GetParameter("count"), "7")
    parameters.flag = True
    checks.equal("a flag as text", node.GetParameter("flag"), "True")
    parameters.way = Way.SLOW
    checks.equal("an enumerator as text", node.GetParameter("way"), "SLOW")
    checks.equal("another wrapper of the node sees it", Parameters(node).count, 7)
    for name, value, error in (
        ("count", 11, ValueError),
        ("count", 1.5, TypeError),
        ("count", None, ValueError),
        ("share", -0.1, ValueError),
        ("least", -4, ValueError),
        ("most", 9.5, ValueError),
        ("choice", "gpu", ValueError),
        ("text", 3, TypeError),
        ("way", "SLOW", TypeError),
        ("folder", "text", TypeError),
        ("volume", node, TypeError),
    ):
        checks.refused(f"{name} = {value!r}", lambda what=name, new=value: setattr(parameters, what, new), error)
    parameters.share = 1
    checks.equal("a whole number for a real one", parameters.share, 1.0)

    told = []
    tag = parameters.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda caller, event: told.append(1))
    parameters.text = "changed"
    checks.equal("a change is told", len(told), 1)
    parameters.RemoveObserver(tag)
    parameters.count = 2

    shown = widgets()
    guiTag = parameters.connectParametersToGui(shown)
    checks.that("connectParametersToGui gives a tag", guiTag is not None)
    checks.equal("a widget shows its parameter", shown["text"].text, "changed")
    checks.that("a range goes to the widget", shown["count"].minimum == 1 and shown["count"].maximum == 10)
    checks.equal("a combo box is filled with the choices", shown["choice"].count, 2)
    checks.equal("or with the enumeration", shown["way"].currentText, "SLOW")
    checks.equal("a selector gets its type", shown["volume"].nodeTypes, ("vtkMRMLScalarVolumeNode",))
    shown["count"].value = 5
    checks.equal("a widget writes its parameter", parameters.count, 5)
    parameters.text = "from code"
    checks.equal("and follows it", shown["text"].text, "from code")
    shown["choice"].currentIndex = 1
    checks.equal("a choice", parameters.choice, "cpu")
    shown["way"].currentIndex = 0
    checks.that("an enumerator", parameters.way is Way.FAST)
    shown["flag"].checked = False
    checks.that("a flag", parameters.flag is False)
    shown["folder"].currentPath = "/some/folder"
    checks.equal("a path", parameters.folder, pathlib.Path("/some/folder"))
    volume = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    shown["volume"].setCurrentNode(volume)
    checks.that("a node", parameters.volume is volume)
    slicer.mrmlScene.RemoveNode(volume)
    checks.that("a removed node", parameters.volume is None)
    parameters.disconnectGui(guiTag)
    shown["count"].value = 9
    checks.equal("a disconnected widget writes nothing", parameters.count, 5)

    checks.refused("an unknown name", lambda: parameters.connectParametersToGui({"none": qt.QSpinBox()}), ValueError)
    wrong = {"count": qt.QLineEdit()}
    checks.refused("a widget of another type", lambda: parameters.connectParametersToGui(wrong), RuntimeError)
    unbounded = {"most": ctk.ctkSliderWidget()}
    checks.refused("a slider without bounds", lambda: parameters.connectParametersToGui(unbounded), RuntimeError)

    class OutOfRange:
        count: Annotated[int, WithinRange(1, 10)]

    empty = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScriptedModuleNode")
    wrapped = parameterNodeWrapper(OutOfRange)
    checks.refused("the default 0 is out of range too", lambda: wrapped(empty), ValueError)
    slicer.mrmlScene.Clear(False)

"""Base classes of scripted modules and the registration of sample data."""

import slicer
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)


class ConformanceLogic(ScriptedLoadableModuleLogic):
    pass


def run(checks):
    slicer.mrmlScene.Clear(False)
    logic = ConformanceLogic()
    checks.equal("a logic knows its module", logic.moduleName, "Conformance")
    node = logic.getParameterNode()
    checks.that("a parameter node", node.IsA("vtkMRMLScriptedModuleNode"))
    checks.that("is made once", logic.getParameterNode() is node)
    checks.equal("names its module", node.GetAttribute("ModuleName"), "Conformance")
    checks.equal("all of them", logic.getAllParameterNodes(), [node])
    slicer.mrmlScene.Clear(False)
    again = logic.getParameterNode()
    checks.that("there is one after closing the scene", slicer.mrmlScene.GetNodeByID(again.GetID()) is again)
    for base in (ScriptedLoadableModule, ScriptedLoadableModuleWidget, ScriptedLoadableModuleTest):
        checks.that(f"{base.__name__} is there", isinstance(base, type))
    checks.that("a widget has setup, and cleanup", hasattr(ScriptedLoadableModuleWidget, "setup"))
    checks.that("cleanup", hasattr(ScriptedLoadableModuleWidget, "cleanup"))
    case = ScriptedLoadableModuleTest()
    case.messageDelay = 0
    case.delayDisplay("shown for a moment")
    checks.that("a test shows messages", True)

    import SampleData

    register = SampleData.SampleDataLogic.registerCustomSampleDataSource
    register(
        category="Conformance",
        sampleName="Conformance sample",
        uris="https://example.org/a.nii.gz",
        fileNames="a.nii.gz",
        nodeNames="A",
        checksums="SHA256:0",
    )
    sources = SampleData.SampleDataLogic.sampleDataSourcesByCategory("Conformance")
    checks.that("sample data is registered", len(sources) == 1 and sources[0].sampleName == "Conformance sample")
    checks.refused("an unknown keyword", lambda: register(category="C", nonsense=1), TypeError)
    slicer.modules.sampleDataSources.pop("Conformance")

"""JSDDPMSlicer: synthetic brain FLAIR images with their lesion masks. Wiring only; the work is in JSDDPMSlicerLib."""

import qt
import slicer
from JSDDPMSlicerLib import Interpreter
from JSDDPMSlicerLib.FineTunePanel import FineTunePanel
from JSDDPMSlicerLib.GeneratePanel import GeneratePanel
from JSDDPMSlicerLib.Parameters import parametersOf
from JSDDPMSlicerLib.ReadingStudyPanel import ReadingStudyPanel
from JSDDPMSlicerLib.Samples import registerSampleData
from JSDDPMSlicerLib.SetupPanel import SetupPanel
from JSDDPMSlicerLib.SyntheticNotice import startNotice
from JSDDPMSlicerLib.Worker import Worker
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin

GENERATE, FINE_TUNE, READING_STUDY, SETUP = range(4)
"""Tabs."""


class JSDDPMSlicer(ScriptedLoadableModule):
    """What the module list shows."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("Joint Lesion Synthesis (JSDDPM)")
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Image Synthesis")]
        self.parent.dependencies = []
        self.parent.contributors = ["JSDDPMSlicer maintainers"]
        self.parent.helpText = _(
            "Makes synthetic brain FLAIR images together with the masks of their lesions, at the position and of the "
            "pathology asked for. For research and teaching. No image shows a patient, and none is for clinical use."
        )
        self.parent.acknowledgementText = _(
            "Built on 3D Slicer, PyTorch and MONAI. The model that comes with the extension was trained on open data; "
            "its model card names them and their licences."
        )
        slicer.app.connect("startupCompleted()", registerSampleData)


class JSDDPMSlicerWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """Tabs, shortcuts, and the life of the worker."""

    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.logic = None
        self.worker = None
        self.generate = None
        self.fineTune = None
        self.readingStudy = None
        self.settings = None
        self.notice = None
        self.shortcuts = []

    def setup(self):
        ScriptedLoadableModuleWidget.setup(self)
        self.logic = JSDDPMSlicerLogic()
        self.worker = Worker(Interpreter.currentInterpreter, self.onWorker)
        self.tabs = qt.QTabWidget()
        self.layout.addWidget(self.tabs)
        generateWidget = self.addPanel("Generate", _("Generate"))
        fineTuneWidget = self.addPanel("FineTune", _("Fine-tune"))
        studyWidget = self.addPanel("ReadingStudy", _("Reading study"))
        setupWidget = self.addPanel("Setup", _("Setup"))
        self.generate = GeneratePanel(generateWidget, self.worker)
        self.fineTune = FineTunePanel(fineTuneWidget, self.onNewModel)
        self.readingStudy = ReadingStudyPanel(studyWidget)
        others = (self.fineTune.helper, self.fineTune.worker)
        self.settings = SetupPanel(setupWidget, self.worker, self.onSetupChanged, others)
        self.notice = startNotice()
        self.addObserver(slicer.mrmlScene, slicer.vtkMRMLScene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(slicer.mrmlScene, slicer.vtkMRMLScene.EndCloseEvent, self.onSceneEndClose)
        self.tabs.connect("currentChanged(int)", self.onTab)
        slicer.app.connect("aboutToQuit()", self.onQuit)
        self.generate.setParameters(self.logic.getParameterNode())

    def addPanel(self, name, title):
        widget = slicer.util.loadUI(self.resourcePath(f"UI/{name}.ui"))
        widget.setMRMLScene(slicer.mrmlScene)
        self.tabs.addTab(widget, title)
        return widget

    def enter(self):
        if not self.shortcuts:
            for keys, action in (("Ctrl+Return", self.onApplyKey), ("Ctrl+D", self.generate.choices.newSeed)):
                shortcut = qt.QShortcut(qt.QKeySequence(keys), self.tabs)
                shortcut.connect("activated()", action)
                self.shortcuts.append(shortcut)
        self.generate.enter(self.logic.getParameterNode())
        self.onTab(self.tabs.currentIndex)

    def exit(self):
        self.generate.exit()
        self.fineTune.exit()
        for shortcut in self.shortcuts:
            shortcut.setParent(None)
            shortcut.deleteLater()
        self.shortcuts = []

    def cleanup(self):
        """Before a reload, and when the application ends. The notice stays: what it is about may still be shown."""
        self.exit()
        slicer.app.disconnect("aboutToQuit()", self.onQuit)
        self.worker.stop()
        self.generate.close()
        self.fineTune.close()
        self.readingStudy.close()
        self.settings.close()
        self.removeObservers()

    def onApplyKey(self):
        """Starts a run; only the button cancels one."""
        if not self.generate.busy:
            self.generate.onApply()

    def onQuit(self):
        self.worker.stop()
        self.fineTune.close()
        self.readingStudy.close()
        self.settings.close()

    def onTab(self, index):
        if index == FINE_TUNE:
            self.fineTune.enter()
        else:
            self.fineTune.exit()
        if index == READING_STUDY:
            self.readingStudy.enter()
        if index == SETUP:
            self.settings.enter()

    def onWorker(self):
        if self.settings is not None:
            self.settings.refreshWorker()

    def onSetupChanged(self):
        self.generate.choices.refreshModels()
        self.fineTune.modelsChanged()

    def onNewModel(self):
        self.generate.choices.refreshModels()
        self.settings.refresh()

    def onSceneStartClose(self, _caller, _event):
        self.generate.sceneClosed()
        self.generate.setParameters(None)
        self.fineTune.sceneClosed()
        self.readingStudy.sceneClosed()

    def onSceneEndClose(self, _caller, _event):
        self.generate.setParameters(self.logic.getParameterNode())


class JSDDPMSlicerLogic(ScriptedLoadableModuleLogic):
    """The scene's parameters."""

    def getParameterNode(self):
        return parametersOf(super().getParameterNode())


class JSDDPMSlicerTest(ScriptedLoadableModuleTest):
    """A run from click to overlay with the model that comes with the extension."""

    def setUp(self):
        slicer.mrmlScene.Clear()

    def runTest(self):
        self.setUp()
        self.test_generate()

    def test_generate(self):
        from JSDDPMSlicerLib.ModuleTest import generateOnce

        generateOnce(self)

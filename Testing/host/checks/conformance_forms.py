"""Forms of Qt Designer."""

import tempfile
from pathlib import Path

import qt
import slicer

FORM = """<?xml version="1.0" encoding="UTF-8"?>
<ui version="4.0"><class>Panel</class>
<widget class="qMRMLWidget" name="Panel"><layout class="QVBoxLayout" name="outer">
<item><widget class="ctkCollapsibleButton" name="section">
<property name="text"><string>Section</string></property>
<layout class="QFormLayout" name="form">
<item row="0" column="0"><widget class="QLabel" name="label"><property name="text"><string>Volume:</string></property>
</widget></item>
<item row="0" column="1"><widget class="qMRMLNodeComboBox" name="selector">
<property name="nodeTypes"><stringlist notr="true"><string>vtkMRMLScalarVolumeNode</string></stringlist></property>
<property name="noneEnabled"><bool>true</bool></property>
<property name="addEnabled"><bool>false</bool></property>
<property name="SlicerParameterName" stdset="0"><string>volume</string></property>
</widget></item>
<item row="1" column="1"><widget class="ctkPathLineEdit" name="path">
<property name="filters"><set>ctkPathLineEdit::Dirs|ctkPathLineEdit::Readable</set></property>
</widget></item>
<item row="2" column="1"><widget class="ctkSliderWidget" name="slider">
<property name="minimum"><double>-5.000000000000000</double></property>
<property name="maximum"><double>5.000000000000000</double></property>
</widget></item></layout></widget></item>
<item><widget class="QPushButton" name="applyButton">
<property name="enabled"><bool>false</bool></property>
<property name="text"><string>Apply</string></property>
<property name="toolTip"><string>Start</string></property></widget></item>
<item><spacer name="spacer"><property name="orientation"><enum>Qt::Vertical</enum></property>
<property name="sizeHint" stdset="0"><size><width>20</width><height>40</height></size></property></spacer></item>
</layout></widget>
<customwidgets>
<customwidget><class>qMRMLWidget</class><extends>QWidget</extends><header>qMRMLWidget.h</header>
<container>1</container></customwidget>
<customwidget><class>qMRMLNodeComboBox</class><extends>QWidget</extends><header>qMRMLNodeComboBox.h</header>
</customwidget>
<customwidget><class>ctkCollapsibleButton</class><extends>QWidget</extends><header>ctkCollapsibleButton.h</header>
<container>1</container></customwidget>
<customwidget><class>ctkPathLineEdit</class><extends>QWidget</extends><header>ctkPathLineEdit.h</header></customwidget>
<customwidget><class>ctkSliderWidget</class><extends>QWidget</extends><header>ctkSliderWidget.h</header></customwidget>
</customwidgets><resources/><connections><connection>
<sender>Panel</sender><signal>mrmlSceneChanged(vtkMRMLScene*)</signal>
<receiver>selector</receiver><slot>setMRMLScene(vtkMRMLScene*)</slot></connection></connections></ui>
"""


def run(checks):
    checks.refused("a form that is not there", lambda: slicer.util.loadUI("/no/such/form.ui"), RuntimeError)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "panel.ui"
        path.write_text(FORM, encoding="utf-8")
        panel = slicer.util.loadUI(str(path))
    ui = slicer.util.childWidgetVariables(panel)
    checks.equal("the root is of its class", panel.className(), "qMRMLWidget")
    checks.equal("a text from the form", ui.applyButton.text, "Apply")
    checks.that("a flag from the form", ui.applyButton.enabled is False)
    checks.equal("a number from the form", ui.slider.minimum, -5.0)
    checks.equal("a list from the form is a tuple", ui.selector.nodeTypes, ("vtkMRMLScalarVolumeNode",))
    checks.that("no new nodes", ui.selector.addEnabled is False)
    checks.equal("a dynamic property from the form", ui.selector.property("SlicerParameterName"), "volume")
    checks.that("a layout from the form is there too", ui.form.rowCount() == 3)
    checks.equal("findChild of slicer.util", slicer.util.findChild(panel, "applyButton"), ui.applyButton)
    checks.refused("a child that is not there", lambda: slicer.util.findChild(panel, "none"), RuntimeError)
    checks.that("a selector without a scene is greyed", ui.selector.enabled is False)
    panel.setMRMLScene(slicer.mrmlScene)
    checks.that("the scene reaches it through the form", ui.selector.mrmlScene() == slicer.mrmlScene)
    checks.that("and it is no more greyed", ui.selector.enabled is True)
    checks.equal("widgets of the form are found", len(panel.findChildren(qt.QPushButton)) >= 1, True)

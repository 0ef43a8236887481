"""CTK's widgets: properties, slots and signals; what is neither is not seen by Python."""

import tempfile

import ctk
import qt


def run(checks):
    got = []
    button = ctk.ctkCollapsibleButton()
    button.text = "section"
    inside = qt.QLabel("inside")
    layout = qt.QVBoxLayout(button)
    layout.addWidget(inside)
    button.connect("contentsCollapsed(bool)", got.append)
    checks.that("a collapsible button starts open", button.collapsed is False and button.checked is True)
    button.collapsed = True
    checks.that("its contents hide", inside.isHidden())
    checks.equal("collapsing is told", got, [True])
    button.checked = True
    checks.that("checked is open", button.collapsed is False and not inside.isHidden())
    checks.refused("a constructor with a text", lambda: ctk.ctkCollapsibleButton("text"), ValueError)
    box = ctk.ctkCollapsibleGroupBox()
    box.title = "group"
    box.collapsed = True
    checks.that("a collapsible group box", box.checked is False)

    slider = ctk.ctkSliderWidget()
    slider.minimum = -70.0
    slider.maximum = 80.0
    slider.decimals = 1
    slider.singleStep = 0.5
    slider.suffix = " mm"
    got = []
    slider.connect("valueChanged(double)", got.append)
    slider.value = 12.5
    slider.setValue(13.0)
    checks.equal("a slider tells its value", got, [12.5, 13.0])
    slider.value = 999.0
    checks.equal("a slider keeps its range", slider.value, 80.0)
    checks.that("its range", slider.minimum == -70.0 and slider.maximum == 80.0)
    checks.refused("calling its value", lambda: slider.value(), TypeError)
    slider.minimum = 100.0
    checks.that("the maximum follows the minimum", slider.maximum >= 100.0)
    slider.tracking = False
    checks.that("tracking", slider.tracking is False)

    ranges = ctk.ctkRangeWidget()
    ranges.setRange(0.0, 10.0)
    got = []
    ranges.connect("valuesChanged(double,double)", lambda low, high: got.append((low, high)))
    ranges.setValues(2.0, 7.0)
    checks.that("a range", ranges.minimumValue == 2.0 and ranges.maximumValue == 7.0)
    checks.equal("a range is told", got[-1:], [(2.0, 7.0)])
    ranges.minimumValue = 3.0
    checks.equal("one end of a range", ranges.minimumValue, 3.0)

    double = ctk.ctkDoubleSlider()
    checks.that("a double slider stands until it is told", double.maximum > double.minimum)
    double.maximum = 2.0
    double.singleStep = 0.1
    double.value = 1.5
    checks.that("a double slider", abs(double.value - 1.5) < 1e-6)

    with tempfile.TemporaryDirectory() as folder:
        edit = ctk.ctkPathLineEdit()
        edit.filters = ctk.ctkPathLineEdit.Dirs
        got = []
        edit.connect("currentPathChanged(QString)", got.append)
        edit.currentPath = folder
        checks.that("a path", edit.currentPath == folder and got[-1:] == [folder])
        edit.setCurrentPath("")
        checks.equal("a path is emptied", edit.currentPath, "")
        directory = ctk.ctkDirectoryButton()
        got = []
        directory.connect("directoryChanged(QString)", got.append)
        directory.directory = folder
        checks.that("a directory", directory.directory == folder and got[-1:] == [folder])

    picker = ctk.ctkColorPickerButton()
    got = []
    picker.connect("colorChanged(QColor)", lambda colour: got.append(colour.name()))
    picker.color = qt.QColor(0, 128, 0)
    checks.equal("a colour is told", got, ["#008000"])
    combo = ctk.ctkComboBox()
    combo.defaultText = "Select"
    combo.addItems(["a", "b"])
    combo.currentIndex = -1
    checks.that("a combo box with a default text", combo.currentIndex == -1 and combo.defaultText == "Select")
    check = ctk.ctkCheckBox()
    check.checked = True
    checks.that("a check box", check.isChecked())
    message = ctk.ctkMessageBox()
    message.text = "question"
    message.dontShowAgainSettingsKey = "JSDDPMSlicer/Conformance"
    checks.that("a message box that need not come again", message.dontShowAgainVisible is True)
    checks.that("comes the first time", message.dontShowAgain is False)
    browser = ctk.ctkFittedTextBrowser()
    browser.html = "text"
    checks.equal("a fitted text browser", browser.plainText, "text")

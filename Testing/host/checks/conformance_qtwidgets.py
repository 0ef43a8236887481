"""Properties and methods of the widgets of Qt that the panels use."""

import qt


def run(checks):
    combo = qt.QComboBox()
    combo.addItem("first", "data 1")
    combo.addItem("second", "data 2")
    checks.equal("count of a combo box is a property", combo.count, 2)
    checks.equal("currentText is a property", combo.currentText, "first")
    combo.setCurrentIndex(1)
    checks.equal("currentIndex is a property", combo.currentIndex, 1)
    checks.equal("itemData", combo.itemData(1), "data 2")
    checks.equal("currentData is a property", combo.currentData, "data 2")
    checks.equal("findData", combo.findData("data 1"), 0)
    checks.equal("findText", combo.findText("nothing"), -1)
    combo.setItemText(0, "changed")
    checks.equal("itemText", combo.itemText(0), "changed")
    combo.clear()
    checks.equal("an empty combo box has no index", combo.currentIndex, -1)

    spin = qt.QSpinBox()
    spin.setRange(2, 9)
    checks.that("ranges are properties", spin.minimum == 2 and spin.maximum == 9)
    spin.value = 100
    checks.equal("a value is kept in the range", spin.value, 9)
    spin.suffix = " mm"
    checks.equal("suffix", spin.suffix, " mm")
    double = qt.QDoubleSpinBox()
    double.decimals = 3
    double.maximum = 1.0
    double.value = 0.1234
    checks.equal("decimals round the value", double.value, 0.123)
    double.singleStep = 0.5
    checks.equal("singleStep", double.singleStep, 0.5)

    progress = qt.QProgressBar()
    progress.setRange(0, 50)
    progress.value = 25
    progress.format = "step %v of %m"
    checks.equal("the text of a progress bar", progress.text, "step 25 of 50")
    progress.reset()
    checks.that("textVisible", progress.textVisible is True)

    line = qt.QLineEdit()
    line.placeholderText = "hint"
    line.readOnly = True
    checks.that("a line edit", line.placeholderText == "hint" and line.readOnly is True)
    plain = qt.QPlainTextEdit()
    plain.setPlainText("a")
    plain.appendPlainText("b")
    checks.equal("plainText is a property", plain.plainText, "a\nb")
    checks.equal("toPlainText is a method", plain.toPlainText(), "a\nb")
    plain.maximumBlockCount = 1
    checks.equal("maximumBlockCount keeps the last lines", plain.plainText, "b")
    rich = qt.QTextBrowser()
    rich.html = "<b>bold</b>"
    checks.equal("a text browser takes html", rich.plainText, "bold")
    rich.openExternalLinks = True
    checks.that("openExternalLinks", rich.openExternalLinks is True)

    label = qt.QLabel()
    label.wordWrap = True
    label.textInteractionFlags = qt.Qt.TextSelectableByMouse
    label.alignment = qt.Qt.AlignLeft | qt.Qt.AlignTop
    checks.that("a label", label.wordWrap is True)

    table = qt.QTableWidget()
    table.rowCount = 2
    table.setColumnCount(3)
    checks.that("counts of a table are properties", table.rowCount == 2 and table.columnCount == 3)
    table.setHorizontalHeaderLabels(["a", "b", "c"])
    checks.equal("a heading", table.horizontalHeaderItem(1).text(), "b")
    item = qt.QTableWidgetItem("cell")
    item.setFlags(qt.Qt.ItemIsEnabled | qt.Qt.ItemIsSelectable)
    item.setData(qt.Qt.UserRole, "hidden")
    table.setItem(1, 2, item)
    checks.equal("text of a cell is a method", table.item(1, 2).text(), "cell")
    checks.equal("data of a cell", table.item(1, 2).data(qt.Qt.UserRole), "hidden")
    checks.that("an empty cell is None", table.item(0, 0) is None)
    table.setSelectionBehavior(qt.QAbstractItemView.SelectRows)
    table.setSelectionMode(qt.QAbstractItemView.SingleSelection)
    table.setEditTriggers(qt.QAbstractItemView.NoEditTriggers)
    table.selectRow(1)
    checks.equal("currentRow is a method", table.currentRow(), 1)
    checks.that("selectedItems come as a tuple", isinstance(table.selectedItems(), tuple))
    table.horizontalHeader().setSectionResizeMode(0, qt.QHeaderView.Stretch)
    table.verticalHeader().setVisible(False)
    checks.that("a header hides", table.verticalHeader().isVisible() is False)
    table.setRowCount(0)
    checks.equal("rows go", table.rowCount, 0)

    tabs = qt.QTabWidget()
    page = qt.QWidget()
    tabs.addTab(page, "page")
    checks.that("a page of tabs", tabs.count == 1 and tabs.widget(0) == page and tabs.tabText(0) == "page")
    tabs.setTabEnabled(0, False)
    checks.that("a tab can be greyed", tabs.isTabEnabled(0) is False)
    stack = qt.QStackedWidget()
    stack.addWidget(qt.QLabel("0"))
    stack.addWidget(qt.QLabel("1"))
    stack.currentIndex = 1
    checks.that("a stack", stack.count == 2 and stack.currentWidget().text == "1")
    form = qt.QFormLayout()
    form.addRow("name:", qt.QLineEdit())
    checks.equal("rows of a form", form.rowCount(), 1)
    grid = qt.QGridLayout()
    grid.addWidget(qt.QLabel("0"), 0, 0, 1, 2)
    checks.equal("a grid", grid.count(), 1)
    scroll = qt.QScrollArea()
    inside = qt.QWidget()
    scroll.setWidget(inside)
    scroll.widgetResizable = True
    checks.that("a scroll area", scroll.widget() == inside)
    box = qt.QGroupBox("title")
    box.checkable = True
    checks.that("a group box", box.title == "title" and box.checked is True)
    frame = qt.QFrame()
    frame.frameShape = qt.QFrame.HLine
    checks.that("a line", frame.frameShape == qt.QFrame.HLine)
    tool = qt.QToolButton()
    tool.setToolButtonStyle(qt.Qt.ToolButtonTextBesideIcon)
    tool.autoRaise = True
    checks.that("a tool button", tool.autoRaise is True)
    menu = qt.QMenu()
    action = qt.QAction("act", menu)
    menu.addAction(action)
    triggered = []
    action.connect("triggered()", lambda: triggered.append("act"))
    action.trigger()
    checks.equal("an action", triggered, ["act"])
    buttons = qt.QDialogButtonBox()
    buttons.setStandardButtons(qt.QDialogButtonBox.Ok | qt.QDialogButtonBox.Cancel)
    checks.that("a button of a dialog", buttons.button(qt.QDialogButtonBox.Ok).enabled is True)

    widget = qt.QWidget()
    pressed = []
    shortcut = qt.QShortcut(qt.QKeySequence("Ctrl+Shift+G"), widget)
    shortcut.connect("activated()", lambda: pressed.append("key"))
    shortcut.activated.emit()
    checks.equal("a shortcut", pressed, ["key"])
    checks.equal("its keys", shortcut.key.toString(), "Ctrl+Shift+G")
    shortcut.enabled = False
    checks.that("a shortcut can be off", shortcut.enabled is False)
    checks.refused("a shortcut takes no text", lambda: qt.QShortcut("Ctrl+X", widget), ValueError)

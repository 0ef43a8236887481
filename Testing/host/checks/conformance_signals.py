"""Signals are connected by name and exact signature, to functions that take as many arguments as they want."""

import functools

import qt


class Receiver:
    """Notes what it is told."""

    def __init__(self):
        self.got = []

    def nothing(self):
        self.got.append("nothing")

    def one(self, value):
        self.got.append(value)

    def many(self, *values):
        self.got.append(values)


def run(checks):
    got = []
    receiver = Receiver()
    button = qt.QPushButton("b")

    def note():
        got.append("note")

    checks.that("connect says True", button.connect("clicked(bool)", note) is True)
    button.click()
    checks.equal("a function without arguments is called without", got, ["note"])
    checks.that("disconnect says True", button.disconnect("clicked(bool)", note) is True)
    button.click()
    checks.equal("a disconnected function is not called", got, ["note"])
    checks.that("disconnecting again says False", button.disconnect("clicked(bool)", note) is False)

    checks.that("a wrong signature is refused", button.connect("clicked(int)", note) is False)
    checks.that("an unknown signal is refused", button.connect("click(bool)", note) is False)
    checks.that("a slot is no signal", button.connect("setText(QString)", note) is False)
    checks.that("blanks in a signature do not matter", button.connect("clicked( bool )", note) is True)
    checks.that("nor for disconnecting", button.disconnect("clicked(bool)", note) is True)
    checks.that("the form without arguments exists", button.connect("clicked()", note) is True)
    checks.that("and is another signal", button.disconnect("clicked(bool)", note) is False)
    button.disconnect("clicked()", note)

    button.connect("clicked(bool)", receiver.nothing)
    button.connect("clicked(bool)", receiver.one)
    button.connect("clicked(bool)", receiver.many)
    button.click()
    checks.equal("bound methods get what they take", receiver.got, ["nothing", False, (False,)])
    checks.that("a bound method is disconnected by an equal one", button.disconnect("clicked(bool)", receiver.one))
    receiver.got.clear()
    button.click()
    checks.equal("and only that", receiver.got, ["nothing", (False,)])
    button.disconnect("clicked(bool)")
    receiver.got.clear()
    button.click()
    checks.equal("disconnect without a function takes all", receiver.got, [])

    got.clear()
    button.connect("clicked(bool)", lambda kept="kept": got.append(kept))
    button.click()
    checks.equal("a default argument of a lambda is overwritten by the signal", got, [False])
    button.disconnect("clicked(bool)")
    got.clear()
    button.connect("clicked(bool)", functools.partial(receiver.many, "first"))
    receiver.got.clear()
    button.click()
    checks.equal("a partial function gets all arguments", receiver.got, [("first", False)])
    button.disconnect("clicked(bool)")

    checks.that("a signal is an attribute", button.clicked.connect(note) is True)
    button.click()
    checks.equal("that connects", got[-1:], ["note"])
    checks.that("and disconnects", button.clicked.disconnect(note) is True)

    got.clear()
    first, second = (lambda: got.append(1)), (lambda: got.append(2))
    button.connect("clicked()", first)
    button.connect("clicked()", second)
    button.click()
    checks.equal("functions are called in the order of connecting", got, [1, 2])
    got.clear()
    button.blockSignals(True)
    button.click()
    button.blockSignals(False)
    checks.equal("blocked signals call nothing", got, [])
    button.enabled = False
    button.click()
    button.enabled = True
    checks.equal("a greyed button does not click", got, [])

    values = []
    check = qt.QCheckBox("c")
    check.connect("toggled(bool)", values.append)
    check.checked = True
    check.checked = True
    checks.equal("toggled tells changes only", values, [True])
    values.clear()
    spin = qt.QSpinBox()
    spin.connect("valueChanged(int)", values.append)
    spin.value = 7
    spin.setValue(8)
    checks.equal("valueChanged tells the value", values, [7, 8])
    values.clear()
    double = qt.QDoubleSpinBox()
    double.connect("valueChanged(double)", values.append)
    double.value = 1.5
    checks.equal("valueChanged of a double spin box", values, [1.5])
    values.clear()
    combo = qt.QComboBox()
    combo.addItems(["a", "b"])
    combo.connect("currentIndexChanged(int)", values.append)
    combo.currentIndex = 1
    checks.equal("currentIndexChanged tells the index", values, [1])
    values.clear()
    line = qt.QLineEdit()
    line.connect("textChanged(QString)", values.append)
    line.text = "typed"
    checks.equal("textChanged tells the text", values, ["typed"])
    values.clear()
    tabs = qt.QTabWidget()
    tabs.addTab(qt.QWidget(), "one")
    tabs.addTab(qt.QWidget(), "two")
    tabs.connect("currentChanged(int)", values.append)
    tabs.currentIndex = 1
    checks.equal("currentChanged of tabs tells the index", values, [1])
    values.clear()
    table = qt.QTableWidget(2, 1)
    table.setItem(0, 0, qt.QTableWidgetItem("x"))
    table.connect("itemSelectionChanged()", lambda: values.append("selected"))
    table.selectRow(0)
    checks.equal("itemSelectionChanged", values, ["selected"])
    values.clear()
    group = qt.QButtonGroup()
    radios = [qt.QRadioButton("1"), qt.QRadioButton("2")]
    for number, radio in enumerate(radios):
        group.addButton(radio, number)
    group.connect("buttonClicked(QAbstractButton*)", lambda clicked: values.append(clicked.text))
    radios[1].click()
    checks.equal("a group tells the button", values, ["2"])
    checks.equal("and knows which is checked", group.checkedId(), 1)

"""Qt properties are attributes, and nothing else is."""

import qt


def assign(owner, name, value):
    """An assignment that can be tried."""
    return lambda: setattr(owner, name, value)


def run(checks):
    button = qt.QPushButton("one")
    checks.equal("a property is read as an attribute", button.text, "one")
    button.text = "two"
    checks.equal("a property is written as an attribute", button.text, "two")
    checks.refused("calling a property getter", lambda: button.text(), TypeError)
    checks.refused("calling a boolean property getter", lambda: button.enabled(), TypeError)
    checks.refused("calling a number property getter", lambda: qt.QSpinBox().value(), TypeError)
    checks.refused("reading a misspelt property", lambda: button.txet, AttributeError)
    checks.refused("writing a misspelt property", assign(button, "txet", "x"), AttributeError)
    checks.refused("a new attribute", assign(button, "myState", 1), AttributeError)
    checks.refused("a new private attribute", assign(button, "_myState", 1), AttributeError)
    checks.refused("overwriting a method", assign(button, "setText", None), AttributeError)
    checks.refused("overwriting a signal", assign(button, "clicked", None), AttributeError)
    checks.refused("writing a property that cannot be set", assign(button, "height", 5), AttributeError)

    button.enabled = False
    checks.that("enabled can be set", button.enabled is False)
    checks.that("isEnabled is a method", button.isEnabled() is False)
    button.setEnabled(True)
    checks.that("a set method works as the property does", button.enabled is True)
    checks.that("isVisible is a method", button.isVisible() is False)
    button.checkable = True
    button.checked = True
    checks.that("isChecked is a method", button.isChecked() is True)

    button.name = "aButton"
    checks.equal("name is the object name", button.objectName, "aButton")
    button.objectName = "another"
    checks.equal("the object name is name", button.name, "another")
    button.toolTip = "tip"
    checks.equal("toolTip is a property", button.toolTip, "tip")
    checks.equal("className is a method", button.className(), "QPushButton")

    button.setProperty("own", 3)
    checks.equal("a dynamic property is read with property()", button.property("own"), 3)
    checks.equal("a dynamic property is an attribute", button.own, 3)
    button.own = 4
    checks.equal("a dynamic property can be assigned once it is there", button.property("own"), 4)
    checks.that("an unknown property is None", button.property("neverSet") is None)

    slider = qt.QSlider()
    slider.orientation = qt.Qt.Horizontal
    checks.that("an enumerator property equals its enumerator", slider.orientation == qt.Qt.Horizontal)
    checks.that("and no other", slider.orientation != qt.Qt.Vertical)
    checks.that("the size is a property", button.size.width() == button.width)
    checks.that("layout() is a method", button.layout() is None)
    checks.that("parent() is a method", button.parent() is None)

    checks.that("a button is an instance of its class", isinstance(button, qt.QPushButton))
    checks.that("but not of the C++ base classes", not isinstance(button, qt.QWidget))
    checks.that("isWidgetType tells widgets", button.isWidgetType())
    checks.that("inherits tells the C++ base classes", button.inherits("QWidget"))

    class Dialog(qt.QDialog):
        def __init__(self, parent=None):
            qt.QDialog.__init__(self, parent)
            self.state = 1

    dialog = Dialog()
    dialog.more = 2
    checks.that("a class written in Python may have attributes", dialog.state == 1 and dialog.more == 2)
    checks.that("and is an instance of its base", isinstance(dialog, qt.QDialog))
    dialog.windowTitle = "title"
    checks.equal("it has the properties of its base", dialog.windowTitle, "title")

"""Calls of C++ methods: arguments by place only, exact, and lists come back as tuples."""

import qt


def run(checks):
    label = qt.QLabel("a")
    box = qt.QVBoxLayout()
    checks.refused("keywords in a constructor", lambda: qt.QLabel(text="a"), ValueError)
    checks.refused("keywords in a constructor of no QObject", lambda: qt.QSize(width=1, height=2), ValueError)
    checks.refused("keywords in a method", lambda: label.setText(text="a"), ValueError)
    checks.refused("keywords in a layout", lambda: box.addWidget(label, stretch=1), ValueError)
    checks.refused("too many arguments", lambda: label.setText("a", "b"), ValueError)
    checks.refused("a wrong argument", lambda: box.addWidget("text"), ValueError)
    checks.refused("a method that does not exist", lambda: label.setTxet("a"), AttributeError)

    holder = qt.QWidget()
    holder.setLayout(box)
    box.addWidget(label)
    checks.that("a widget goes to the parent of its layout", label.parent() == holder)
    checks.that("the layout is the one that was set", holder.layout() == box)
    checks.equal("count of a layout is a method", box.count(), 1)
    checks.that("an item of a layout has its widget", box.itemAt(0).widget() == label)
    checks.that("children come as a tuple", isinstance(holder.children(), tuple))
    checks.equal("findChildren takes a class", list(holder.findChildren(qt.QLabel)), [label])
    checks.equal("findChildren follows the C++ classes", list(holder.findChildren(qt.QFrame)), [label])
    checks.equal("findChildren takes a name of a class", list(holder.findChildren("QLabel")), [label])
    label.objectName = "the label"
    checks.equal("findChild takes a name", holder.findChild(qt.QLabel, "the label"), label)
    checks.that("findChild finds nothing with another", holder.findChild(qt.QLabel, "other") is None)

    splitter = qt.QSplitter()
    splitter.addWidget(qt.QLabel("left"))
    splitter.addWidget(qt.QLabel("right"))
    checks.that("sizes come as a tuple", isinstance(splitter.sizes(), tuple))
    table = qt.QTableWidget(2, 2)
    checks.that("what Qt made itself has properties", table.horizontalHeader().stretchLastSection is False)
    table.horizontalHeader().stretchLastSection = True
    checks.that("and takes them", table.horizontalHeader().stretchLastSection is True)
    menu = qt.QMenu()
    action = menu.addAction("an action")
    checks.equal("an action that a menu made has properties", action.text, "an action")
    checks.that("actions come as a tuple", isinstance(menu.actions(), tuple))

    gone = qt.QLabel("gone")
    gone.setParent(holder)
    gone.delete()
    checks.that("what is destroyed is false", not gone)
    checks.refused("reading what is destroyed", lambda: gone.text, ValueError)
    checks.refused("calling what is destroyed", lambda: gone.setText("x"), ValueError)
    checks.that("what lives is true", bool(label))

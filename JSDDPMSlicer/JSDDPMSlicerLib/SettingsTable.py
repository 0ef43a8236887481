"""Every setting of a training run: a table of keys and values, and a line to change one, checked as it is typed."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import qt
from slicer.i18n import tr as _

from .Controls import show
from .Tables import fitHeight

SECTIONS = ("training", "losses", "sampling", "diffusion", "conditioning", "data", "network")
ROWS_SHOWN = 8
ROW_HEIGHT = 24
SWITCH = ("true", "false")


class SettingsTable:
    """Wires the settings under Advanced.

    Args:
        ui: of the panel.
        onChanged: called when a value was changed, or is being typed that cannot be used.

    Attributes:
        chosen: keys that the user has changed, with their values.
        problem: what is wrong with what is being typed; empty where nothing is.
        stale: whether the settings must be asked for again, because one was taken back or over.
    """

    def __init__(self, ui: Any, onChanged: Callable[[], None]) -> None:
        self.ui, self._onChanged = ui, onChanged
        self.chosen: dict[str, Any] = {}
        self.problem = ""
        self.stale = False
        self._settings: list[dict[str, Any]] = []
        self._config: Any = None
        self._said = ""
        self._filling = False
        titles = {
            "training": _("Length and rates"), "losses": _("Loss terms"), "sampling": _("Drawing images"),
            "diffusion": _("Diffusion"), "conditioning": _("Conditions"), "data": _("Grid and split"),
            "network": _("Network"),
        }  # fmt: skip
        for name in SECTIONS:
            ui.sectionCombo.addItem(titles[name], name)
        table = ui.settingsTable
        table.setColumnCount(2)
        table.setHorizontalHeaderLabels([_("Setting"), _("Value")])
        table.verticalHeader().setVisible(False)
        table.verticalHeader().setDefaultSectionSize(ROW_HEIGHT)
        table.horizontalHeader().setSectionResizeMode(1, qt.QHeaderView.Stretch)
        table.setSelectionBehavior(qt.QAbstractItemView.SelectRows)
        table.setSelectionMode(qt.QAbstractItemView.SingleSelection)
        table.setEditTriggers(qt.QAbstractItemView.NoEditTriggers)
        ui.sectionCombo.connect("currentIndexChanged(int)", self._onSection)
        table.connect("itemSelectionChanged()", self._onRow)
        ui.settingEdit.connect("editTextChanged(QString)", self._onText)
        ui.settingResetButton.connect("clicked(bool)", self.onReset)

    def setSettings(self, config: dict[str, Any], settings: list[dict[str, Any]]) -> None:
        """Shows the configuration of a run, with the own choices in it.

        Args:
            config: the whole of it, plain.
            settings: its keys as the core describes them.
        """
        from jsddpm_core.config_tree import parse_config
        from jsddpm_core.training.request import ELSEWHERE

        self._config, self._said = parse_config(config), ""
        self._settings = [setting for setting in settings if setting["key"] not in ELSEWHERE]
        self._fill()

    def forget(self, why: str) -> None:
        """Shows no settings, and why."""
        self._config, self._settings, self._said, self.problem = None, [], why, ""
        self._fill()

    @property
    def config(self) -> Any:
        """The core's configuration that is shown; None where there is none."""
        return self._config

    def set(self, values: dict[str, Any]) -> None:
        """Takes values over, as from a suggestion."""
        self.chosen.update(values)
        self.stale = True

    def clear(self) -> None:
        """Forgets all own choices, because another model has other keys."""
        self.chosen, self.problem, self.stale = {}, "", True

    def type(self, key: str, text: str) -> None:
        """Chooses a setting and types a value, as a user does."""
        section = self.ui.sectionCombo.findData(key.partition(".")[0])
        self.ui.sectionCombo.setCurrentIndex(section)
        rows = [setting["key"] for setting in self._shown()]
        self.ui.settingsTable.setCurrentCell(rows.index(key), 0)
        self.ui.settingEdit.setEditText(text)

    def onReset(self) -> None:
        """The chosen setting is as the preset has it."""
        setting = self._current()
        if setting is not None and self.chosen.pop(setting["key"], None) is not None:
            self.problem, self.stale = "", True
            self._onChanged()

    # ------------------------------------------------------------ what is shown

    def _shown(self) -> list[dict[str, Any]]:
        section = self.ui.sectionCombo.itemData(self.ui.sectionCombo.currentIndex)
        return [setting for setting in self._settings if setting["key"].partition(".")[0] == section]

    def _current(self) -> dict[str, Any] | None:
        shown, row = self._shown(), self.ui.settingsTable.currentRow()
        return shown[row] if 0 <= row < len(shown) else None

    def _fill(self) -> None:
        table, before = self.ui.settingsTable, self._current()
        self._filling = True
        shown = self._shown()
        table.setRowCount(len(shown))
        for row, setting in enumerate(shown):
            own = setting["key"] in self.chosen
            label = setting["key"].partition(".")[2]
            for column, text in enumerate((label, _text(setting["value"]))):
                item = qt.QTableWidgetItem(text)
                item.setToolTip(setting["explanation"] or setting["key"])
                if own:
                    _embolden(item)
                table.setItem(row, column, item)
        table.resizeColumnToContents(0)
        table.setColumnWidth(0, min(table.columnWidth(0), 240))
        fitHeight(table, ROWS_SHOWN)
        keys = [setting["key"] for setting in shown]
        if before is not None and before["key"] in keys:
            table.setCurrentCell(keys.index(before["key"]), 0)
        self._filling = False
        self._showCurrent()

    def _showCurrent(self) -> None:
        ui, setting = self.ui, self._current()
        self._filling = True
        ui.settingEdit.clear()
        if setting is not None:
            choices = list(SWITCH) if setting["type"] == "switch" else list(setting["choices"] or [])
            ui.settingEdit.addItems(choices)
            ui.settingEdit.setEditText(_text(setting["value"]))
            ui.settingExplanation.text = self._explain(setting)
        else:
            ui.settingExplanation.text = self._said or _("Choose a line to read what it does.")
        self._filling = False
        self.problem = ""
        self.refresh()

    @staticmethod
    def _explain(setting: dict[str, Any]) -> str:
        said = setting["explanation"].rstrip(".")
        said = f"{setting['key']}: {said}." if said else f"{setting['key']}."
        low, high = setting["low"], setting["high"]
        if low is not None:
            said += " " + (_("More than {low:g}.") if setting["low_open"] else _("At least {low:g}.")).format(low=low)
        if high is not None:
            said += " " + (_("Less than {high:g}.") if setting["high_open"] else _("At most {high:g}.")).format(
                high=high
            )
        if setting["optional"]:
            said += " " + _("May be left empty.")
        return said

    def refresh(self) -> None:
        """Brings the controls under the table in line."""
        ui, setting = self.ui, self._current()
        own = setting is not None and setting["key"] in self.chosen
        ui.settingMessage.text = self.problem
        show(ui.settingMessage, bool(self.problem))
        ui.settingEdit.enabled = setting is not None
        ui.settingResetButton.enabled = own
        ui.settingResetButton.toolTip = (
            _("Take back what you have changed here.") if own
            else _("Choose a line first.") if setting is None
            else _("It is as the preset has it.")
        )  # fmt: skip

    # ------------------------------------------------------------ what is typed

    def _onSection(self, _index: int) -> None:
        if not self._filling:
            self._fill()

    def _onRow(self) -> None:
        if not self._filling:
            self._showCurrent()
            self._onChanged()

    def _onText(self, text: str) -> None:
        setting = self._current()
        if self._filling or setting is None:
            return
        from jsddpm_core.settings import check_setting, parse_text, with_setting

        self.problem = check_setting(setting["key"], text, self._config) or ""
        if not self.problem:
            value = parse_text(text)
            if value != setting["value"]:
                self.chosen[setting["key"]] = value
                setting["value"] = value
                self._config = with_setting(self._config, setting["key"], value)
                self._showOwn(self.ui.settingsTable.currentRow(), value)
        self.refresh()
        self._onChanged()

    def _showOwn(self, row: int, value: Any) -> None:
        table = self.ui.settingsTable
        table.item(row, 1).setText(_text(value))
        for column in range(2):
            _embolden(table.item(row, column))


def _embolden(item: Any) -> None:
    """Own choices stand out among the preset's."""
    font = item.font()
    font.setBold(True)
    item.setFont(font)


def _text(value: Any) -> str:
    """A value as it is typed."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)

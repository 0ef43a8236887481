"""CTK's widgets, as far as module code may use them here: what `ctk` offers."""

from .choices import (
    ctkCheckBox,
    ctkColorPickerButton,
    ctkComboBox,
    ctkFittedTextBrowser,
    ctkMessageBox,
)
from .collapsible import ctkCollapsibleButton, ctkCollapsibleGroupBox
from .paths import ctkDirectoryButton, ctkPathLineEdit
from .ranges import ctkDoubleRangeSlider, ctkRangeWidget
from .sliders import ctkDoubleSlider, ctkDoubleSpinBox, ctkSliderWidget

WIDGETS = (
    ctkCheckBox,
    ctkCollapsibleButton,
    ctkCollapsibleGroupBox,
    ctkColorPickerButton,
    ctkComboBox,
    ctkDirectoryButton,
    ctkDoubleRangeSlider,
    ctkDoubleSlider,
    ctkDoubleSpinBox,
    ctkFittedTextBrowser,
    ctkMessageBox,
    ctkPathLineEdit,
    ctkRangeWidget,
    ctkSliderWidget,
)

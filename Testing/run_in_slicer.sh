#!/bin/sh
# Runs the conformance script and the module's own test inside a real Slicer.
#   Testing/run_in_slicer.sh /path/to/Slicer
set -eu
if [ $# -ne 1 ] || [ ! -x "$1" ]; then
	echo "usage: Testing/run_in_slicer.sh /path/to/Slicer" >&2
	exit 2
fi
slicer=$1
project=$(cd "$(dirname "$0")/.." && pwd)
options="--testing --no-splash --disable-settings --ignore-slicerrc"

# shellcheck disable=SC2086
"$slicer" $options --no-main-window --python-script "$project/Testing/host/conformance.py"
# The module shows its results: with the main window, and so with views.
# shellcheck disable=SC2086
exec "$slicer" $options --additional-module-path "$project/JSDDPMSlicer" --python-code \
	"import unittest, sys, slicer
import JSDDPMSlicer
case = JSDDPMSlicer.JSDDPMSlicerTest()
try:
    slicer.util.selectModule('JSDDPMSlicer')
    assert 'SyntheticDICOMPlugin' in slicer.modules.dicomPlugins, 'the refusal of DICOM export is not registered'
    case.runTest()
except BaseException:
    import traceback
    traceback.print_exc()
    slicer.util.exit(1)
else:
    print('JSDDPMSlicerTest passed')
    slicer.util.exit(0)"

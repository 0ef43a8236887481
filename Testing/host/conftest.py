"""Tests of the host run in the host."""

from fixtures import app, no_slot_errors, scene  # noqa: F401

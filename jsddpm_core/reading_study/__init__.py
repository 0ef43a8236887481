"""Blinded reading studies: made, read, and analysed."""

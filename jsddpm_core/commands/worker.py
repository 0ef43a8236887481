"""`jsddpm worker`: the warm process behind the Slicer module."""

from __future__ import annotations


def worker() -> None:
    """Serves JSON-RPC 2.0, one message a line, on standard input and output; ends when the input closes."""
    from jsddpm_core.worker.channel import claim_standard_streams

    channel = claim_standard_streams()

    from jsddpm_core.worker.server import Worker

    Worker(channel).serve()

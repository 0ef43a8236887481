"""The warm process behind the Slicer module: JSON-RPC 2.0, one UTF-8 message a line, on stdin and stdout."""

"""The seam to python-socketio: the one place that knows its insides, and nothing of chat."""

from chatio.realtime.server import ack_requested, create_server

__all__ = ["ack_requested", "create_server"]

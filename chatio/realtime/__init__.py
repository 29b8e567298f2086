"""The seam to python-socketio: the one place that knows its insides, and nothing of chat."""

"""Chat.io - Backend: what the product knows. Nothing here knows its handlers, or reads the environment."""

# The version, in one place: pyproject.toml, --version, /healthz and the metrics read it here.
__version__ = "0.9.0"

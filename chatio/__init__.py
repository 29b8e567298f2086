"""Chat.io - Backend: what the product knows. Nothing here knows of its doors, or reads the environment."""

# The one place that says it: pyproject.toml, --version, /healthz and the metrics read it here.
__version__ = "0.9.0"

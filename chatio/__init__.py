"""Chat.io - Backend: what the product knows. Nothing here knows of its doors, or reads the environment."""

__version__ = "0.1.0"

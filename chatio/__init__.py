"""Chat.io - Backend: what the product knows. Nothing here knows of its doors, or reads the environment."""

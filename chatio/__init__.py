"""Chat.io - Backend: what the product knows. Nothing here knows of its doors (`handlers`) or reads the environment."""

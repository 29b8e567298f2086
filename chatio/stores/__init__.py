"""Stores keep state: `base` declares their interface, and each other module is one back end."""

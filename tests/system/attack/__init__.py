"""What strangers and members may try on a running server, while ordinary people chat."""

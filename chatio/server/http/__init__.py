"""HTTP/1.1 under Tornado: connections, heads, and what clients may make the server hold."""

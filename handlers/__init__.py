"""The endpoints: everything that a client can call, over HTTP and over Socket.IO."""

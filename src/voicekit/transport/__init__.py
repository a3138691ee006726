"""The only client-side package that opens sockets."""

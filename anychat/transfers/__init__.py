"""What the two ends of a transfer do: cut content into chunks, take it together.

A transfer carries a buffer or a file from one user to another, or to or from
the server.  Client and server use the same ends; who asks for a transfer, and
which ones there are, is signalling (``core.transfers``).
"""

"""The client library for Python programs on Twisted."""

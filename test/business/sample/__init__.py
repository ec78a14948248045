"""Tests of the sample business server."""

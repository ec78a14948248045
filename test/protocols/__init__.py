"""Tests of the wire formats and protocols."""

"""Tests of ``anychat.load``."""

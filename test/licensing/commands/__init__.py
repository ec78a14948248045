"""Tests of what ``anychat-license`` does."""

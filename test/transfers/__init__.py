"""Tests of the ends of transfers."""

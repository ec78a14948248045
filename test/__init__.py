"""Tests; run as ``python -m twisted.trial test``."""

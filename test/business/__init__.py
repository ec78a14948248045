"""Tests of the SDK for business servers."""

"""Encoded frames to RTP payloads and back, a module for each codec family."""

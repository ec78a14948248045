"""The relay beside other relays, under one generator."""

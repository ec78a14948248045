"""Media of the client: sources, encoders, jitter buffer, decoders, files."""

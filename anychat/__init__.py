"""The AnyChat core server: real-time audio and video on one's own machine."""

__version__ = "0.1.0"

"""RTP, SRTP, STUN and the relay that forwards them."""

"""Wire formats, framing and the Twisted protocols that speak them."""

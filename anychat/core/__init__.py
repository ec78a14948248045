"""The pure core: who is signed in, who is where, who sends what to whom."""

"""What runs: the services that ``anychat.wiring`` puts together."""

"""SDK Filter Plus: plug-ins that decide and hear what the core does."""

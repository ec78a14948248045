"""``anychat-load``: how much a server carries, for people who size one."""

"""The sample business server: users with passwords, and a line for all that happens.

Written to be copied.  `passwords` and `users` keep who may sign in, `server`
answers the core, `command` is the command line and `tap` is what twistd runs.
"""

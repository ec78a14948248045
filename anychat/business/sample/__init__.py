"""The sample business server: users with passwords, and a line for all that happens.

Written to be copied.  `passwords` and `users` keep who may sign in, `server`
answers the core; `console` is the command line, `run` and `tap` run the server
in the foreground and under twistd.
"""

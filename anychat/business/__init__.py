"""The SDK for business servers: the programs that a core server asks and tells.

===================  ========================================================
`server`             `server.BusinessServer`, to be subclassed, on Twisted
`blocking`           the same for programs without Twisted (Flask, Django)
`run`                `run.run`, a whole program around a `BusinessServer`
`settings`           what AnyChatServerSDK.ini says
===================  ========================================================

``docs/business.md`` explains it with examples.
"""

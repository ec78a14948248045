"""Licences of installations (manual, chapter 4).

A licence is an X.509 certificate, ``AnyChat.cer``, beside the configuration.  Its
private extension says for whom it is, what it is bound to and what it grants:

- `licence`, `findings`: what a licence says, and what was found about it; pure;
- `certificate`, `revocation`: read and check certificates and revocation lists;
- `authority`: makes them, for the vendor;
- `fingerprint`, `hardware`, `addresses`, `ukey`: the bindings;
- `judge`: what follows of it all, with warnings and times of grace; pure;
- `check`: holds the bindings against this host, for the server and the commands;
- `memory`, `state_file`: what is kept of the checks across restarts;
- `activation`: how a standby comes to run on its master's licence; pure;
- `service`: checks at the start and later, and tells the core;
- `commands`: ``anychat-license``.
"""

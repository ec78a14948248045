"""Licences of installations (manual, chapter 4).

A licence is an X.509 certificate, ``AnyChat.cer``, beside the configuration.  Its
private extension says for whom it is, what it is bound to and what it grants:

- `licence`, `findings`: what a licence says, and what was found about it; pure;
- `certificate`: reads and checks certificates and revocation lists;
- `authority`: makes them, for the vendor;
- `fingerprint`, `hardware`, `addresses`, `ukey`: the bindings;
- `judge`: what follows of it all, with warnings and times of grace; pure;
- `service`: checks at the start and later, and tells the core.
"""

"""The commands of ``anychat-license``: each module adds its own to the parser.

- `authority`: ``ca`` and ``revoke``, for the vendor;
- `issuing`: ``issue`` and ``renew``, for the vendor;
- `inspecting`: ``inspect``, for both;
- `fingerprinting` and `checking`: ``fingerprint`` and ``check``, for the customer.
"""

"""A business server that lets in "ann" and "bob" and never answers for others.

``python -m test.live.indecisive AnyChatServerSDK.ini`` prints ``asked N`` for
each question that it will not answer.
"""

import sys

from twisted.internet.defer import Deferred

from anychat.business.run import run
from anychat.business.server import BusinessServer, UserVerdict

IDS = {"ann": 1, "bob": 2}


class Indecisive(BusinessServer):
    """See the module."""

    asked = 0

    def verify_user(self, name, password):
        """Friends at once, others never."""
        if name in IDS:
            return UserVerdict(IDS[name])
        self.asked += 1
        print("asked", self.asked, flush=True)
        return Deferred()

    def prepare_enter_room(self, user_id, room_id, room_name, password):
        """Whoever is in may go everywhere."""
        return 0


if __name__ == "__main__":
    run(
        lambda reactor, settings: Indecisive(
            reactor, settings, callback_timeout=60.0, side_by_side=5000
        ),
        sys.argv[1],
    )

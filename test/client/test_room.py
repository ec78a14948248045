"""A member's picture of its room."""

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from anychat.client.room import Room, differences
from anychat.codes import StreamKind
from anychat.messages import (
    CameraState,
    Member,
    MicStateChange,
    OpenStreamInfo,
    RoomMembers,
    TextMessage,
    UserAtRoom,
)

CAMERA = OpenStreamInfo(StreamKind.VIDEO, 0)
MICROPHONE = OpenStreamInfo(StreamKind.AUDIO, 0)


def room(*members):
    """A room with these members."""
    made = Room(1, "one")
    made.add(RoomMembers(1, members))
    return made


class RoomTests(SynchronousTestCase):
    """`Room`."""

    def test_follows(self):
        """Entries, streams and leaves show in the members."""
        seen = room(Member(5, 0, "five"))
        self.assertTrue(seen.follow(UserAtRoom(True, Member(6, 0, "six"))))
        self.assertTrue(seen.follow(CameraState(6, 0, True)))
        self.assertTrue(seen.follow(MicStateChange(6, 0, True)))
        self.assertEqual(seen.members[6].streams, (CAMERA, MICROPHONE))
        self.assertTrue(seen.follow(CameraState(6, 0, False)))
        self.assertEqual(seen.members[6].streams, (MICROPHONE,))
        self.assertTrue(seen.follow(UserAtRoom(False, Member(5, 0, "five"))))
        self.assertEqual(list(seen.members), [6])

    def test_openedTwice(self):
        """A stream that is told open twice is there once."""
        seen = room(Member(5, 0, "five", (CAMERA,)))
        seen.follow(CameraState(5, 0, True))
        self.assertEqual(seen.members[5].streams, (CAMERA,))

    def test_unknown(self):
        """News of strangers change nothing."""
        seen = room()
        self.assertFalse(seen.follow(CameraState(6, 0, True)))
        self.assertFalse(seen.follow(UserAtRoom(False, Member(6, 0, "six"))))
        self.assertFalse(seen.follow(TextMessage(1, 2, False, "x")))

    def test_differencesOfAnotherUser(self):
        """A guest's id that was given to somebody else is not the same member."""
        old, new = room(Member(-2, 0, "ann")), room(Member(-2, 0, "bob"))
        self.assertEqual(
            list(differences(old, new)),
            [
                UserAtRoom(False, Member(-2, 0, "ann")),
                UserAtRoom(True, Member(-2, 0, "bob")),
            ],
        )

    members = st.dictionaries(
        st.integers(1, 4),
        st.tuples(
            st.sampled_from(["ann", "bob"]),
            st.frozensets(st.sampled_from([CAMERA, MICROPHONE])),
        ),
    )

    @settings(deadline=None)
    @given(members, members)
    def test_differencesLead(self, old, new):
        """Following the differences turns the old picture into the new one."""
        before, after = (
            room(*(Member(u, 0, n, tuple(s)) for u, (n, s) in people.items()))
            for people in (old, new)
        )
        for message in list(differences(before, after)):
            self.assertTrue(before.follow(message))

        def picture(seen):
            return {
                user: (member.nickname, frozenset(member.streams))
                for user, member in seen.members.items()
            }

        self.assertEqual(picture(before), picture(after))

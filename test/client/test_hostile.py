"""A server that says anything at all, in any order."""

from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from anychat import messages
from anychat.client.client import Client
from anychat.codes import ResultCode, StreamKind, TransferKind
from anychat.errors import Refused
from anychat.protocols.formats import REGISTRY, Sender
from test.client.fakes import FakeMedia, RecordingEvents
from test.client.server import FakeServer
from test.transfers.bench import at_once

#: Few values, so that messages meet.
IDS = st.sampled_from([0, 1, 2, 5, -2, -1])
CODES = st.sampled_from(
    [ResultCode.SUCCESS, ResultCode.ROOM_NOTIN, ResultCode.KICKOUT, ResultCode.DB_ERROR]
)
NAMES = st.sampled_from(["ann", "bob", ""])
MEMBERS = st.builds(
    messages.Member,
    IDS,
    st.just(0),
    NAMES,
    st.tuples()
    | st.tuples(
        st.builds(messages.OpenStreamInfo, st.sampled_from(StreamKind), st.just(0))
    ),
)
FIELDS = {
    "code": CODES,
    "user_id": IDS,
    "room_id": st.sampled_from([0, 1, 2]),
    "stream_index": st.sampled_from([0, 1]),
    "ssrc": st.sampled_from([9, 10]),
    "member": MEMBERS,
    "members": st.lists(MEMBERS, max_size=3).map(tuple),
    "token": st.sampled_from([b"", bytes(16)]),
    "key": st.sampled_from([b"", bytes(16)]),
    "salt_key": st.sampled_from([b"", bytes(12)]),
    "nickname": NAMES,
    "name": NAMES,
    "format": st.just(messages.StreamFormat(96, 90000, 1)),
    "stun_key": st.just(bytes(16)),
    "rtcp_key": st.just(bytes(16)),
    "rtcp_salt_key": st.just(bytes(12)),
}
BY_TYPE = {
    "int": st.integers(0, 200),
    "bool": st.booleans(),
    "str": st.text("ab", max_size=3),
    "bytes": st.binary(max_size=3),
    "StreamKind": st.sampled_from(StreamKind),
}


TASKS = st.integers(0, 4)
OFFSETS = st.sampled_from([0, 1, 57344, 100_000, 1 << 40])
TRANSFER_FIELDS = {
    messages.TransferPortion: {
        "task_id": TASKS,
        "offset": OFFSETS,
        "digest": st.binary(min_size=32, max_size=32),
        "data": st.binary(min_size=1, max_size=9),
    },
    messages.TransferGrant: {
        "task_id": TASKS,
        "offset": OFFSETS,
        "limit": OFFSETS,
        "restart": st.booleans(),
    },
    messages.TransferBegun: {
        "code": st.sampled_from([0, 0, 205]).map(ResultCode),
        "task_id": TASKS,
    },
    messages.TransferOffered: {
        "task_id": TASKS,
        "source": IDS,
        "kind": st.sampled_from(TransferKind),
        "guid": st.sampled_from(["", "g", "../../g"]),
        "file_name": st.sampled_from(["", "a", "../../etc/passwd"]),
        "length": st.sampled_from([0, 1, 9, 100_000, 1 << 63]),
        "wparam": IDS,
        "lparam": IDS,
        "flags": st.just(0),
        "text": st.just(""),
    },
    messages.TransferEnded: {
        "task_id": TASKS,
        "code": st.sampled_from([0, 6, 715]).map(ResultCode),
    },
    messages.TransferTasks: {"task_ids": st.lists(TASKS, max_size=3).map(tuple)},
}


USER_FIELDS = {
    messages.UserGroups: {
        "groups": st.just((messages.UserGroup(1, "a"), messages.UserGroup(1, ""))),
    },
    messages.UserFriends: {
        "friends": st.just(
            (messages.Friend(5, True, (1, 9)), messages.Friend(5, False))
        ),
    },
    messages.UserInfos: {
        "user_id": IDS,
        "infos": st.just((messages.UserInfoItem(1, "x"),)),
    },
    messages.UserInfoUpdate: {"user_id": IDS, "kind": st.sampled_from([0, 1])},
}


def any_of(kind):
    """Messages of a kind with values that mean something here."""
    fields = {}
    for name, field in kind.__dataclass_fields__.items():
        type_name = getattr(field.type, "__name__", str(field.type))
        if name in FIELDS:
            fields[name] = FIELDS[name]
        elif type_name in BY_TYPE:
            fields[name] = BY_TYPE[type_name]
    if kind is messages.StreamGranted:
        fields["key"], fields["salt_key"] = st.just(bytes(16)), st.just(bytes(12))
    if kind is messages.Resync:
        fields["published"] = st.lists(
            st.builds(
                messages.PublishedStream,
                st.sampled_from(StreamKind),
                st.sampled_from([0, 1]),
                st.sampled_from([9, 10]),
            ),
            max_size=2,
        ).map(tuple)
        fields["subscriptions"] = st.lists(
            st.builds(
                messages.Subscription,
                IDS,
                st.sampled_from(StreamKind),
                st.sampled_from([0, 1]),
            ),
            max_size=2,
        ).map(tuple)
    if kind is messages.LayerGranted:
        fields["key"], fields["salt_key"] = st.just(bytes(16)), st.just(bytes(12))
    if kind in USER_FIELDS:
        fields.update(USER_FIELDS[kind])
    if kind in TRANSFER_FIELDS:
        fields.update(TRANSFER_FIELDS[kind])
    if kind is messages.UserList:
        fields["user_ids"] = st.just((5,))
    if kind is messages.MediaSetup:
        fields["addresses"] = st.just(())
    return st.builds(kind, **fields)


MESSAGES = st.one_of(
    [
        any_of(row.kind)
        for row in REGISTRY
        if row.sender is Sender.SERVER
        and row.kind not in (messages.ServerHello, messages.Connect)
    ]
)
CALLS = st.sampled_from(
    [
        "enter",
        "leave",
        "publish",
        "watch",
        "text",
        "query",
        "unwatch",
        "unpublish",
        "buffer",
        "file",
        "cancel",
    ]
)
STEPS = st.one_of(
    st.tuples(st.just("say"), MESSAGES, st.integers(0, 6)),
    st.tuples(st.just("say"), MESSAGES, st.just(0)),
    st.tuples(st.just("call"), CALLS, st.just(0)),
    st.tuples(st.sampled_from(["cut", "wait"]), st.just(None), st.just(0)),
)


class HostileServerTests(SynchronousTestCase):
    """Nothing a server says breaks the client."""

    directory = None

    def call(self, client, name):
        """Make a call; whatever comes of it."""
        calls = {
            "enter": lambda: client.enter_room(1),
            "leave": client.leave_room,
            "publish": lambda: client.publish(object()),
            "watch": lambda: client.watch(5),
            "text": lambda: client.send_text("x"),
            "query": client.online_users,
            "unwatch": lambda: client.unwatch(5),
            "unpublish": client.unpublish,
            "buffer": lambda: client.transfers.trans_buffer_ex(
                5, bytes(100_000)
            ).done(),
            "file": lambda: client.transfers.trans_file(5, __file__).done(),
            "cancel": lambda: self.cancel(client),
        }
        outcome = calls[name]()
        if outcome is not None:
            outcome.addErrback(self.note)

    def cancel(self, client):
        """Give up what there is."""
        for task in client.transfers.tasks:
            client.transfers.cancel(task)

    def note(self, failure):
        """Calls may be refused, and fail in no other way."""
        if not failure.check(Refused):
            self.faults.append(failure)

    @settings(deadline=None, max_examples=150)
    @given(st.booleans(), st.lists(STEPS, min_size=5, max_size=40))
    def test_anything(self, inside, steps):
        """No exception, no event that raises, nothing left running at the end."""
        self.faults = []
        self.directory = self.directory or self.mktemp()
        clock = Clock()
        server = FakeServer(clock)
        client = Client(
            clock,
            RecordingEvents(),
            plain=True,
            log_path=None,
            random_bytes=bytes,
            uniform=lambda low, high: low,
            endpoint=server.endpoint,
            media=lambda *_: FakeMedia(),
            in_thread=at_once,
        )
        client.transfers.directory = Path(self.directory)
        client.connect("localhost").addErrback(lambda _: None)
        client.login("me").addErrback(lambda _: None)
        server.flush()
        if inside:
            for name in ("enter", "publish", "watch"):
                self.call(client, name)
            server.flush()
            server.side.received[:] = server.side.received[-1:]
            server.let_in(messages.Member(5, 0, "ann"))
        for what, value, number in steps:
            if what == "say" and not server.side.lost:
                server.side.send(value, number)
            elif what == "call":
                self.call(client, value)
            elif what == "cut" and not server.side.lost:
                server.cut()
            elif what == "wait":
                clock.advance(1)
            server.flush()
        client.close()
        server.flush()
        self.assertEqual(clock.getDelayedCalls(), [])
        self.assertEqual(self.faults, [])
        self.assertEqual(self.flushLoggedErrors(), [])

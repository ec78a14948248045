"""Publications and subscriptions, and how they outlive trouble."""

from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from anychat.client.streams import Streams
from anychat.client.wishes import SessionLost
from anychat.codes import ResultCode, StreamKind
from anychat.errors import PeerError, Refused
from anychat.messages import (
    CloseStream,
    LayerGranted,
    Member,
    OpenLayer,
    OpenStream,
    PublishedStream,
    Result,
    StreamEnded,
    StreamOpened,
    Subscription,
    UserCameraControl,
    UserSpeakControl,
)
from test.client.fakes import (
    AUDIO_FORMAT,
    VIDEO_FORMAT,
    FakeMedia,
    FakeStatistics,
    RecordingEvents,
    Requests,
    granted,
)

VIDEO, AUDIO = StreamKind.VIDEO, StreamKind.AUDIO
OK = Result(ResultCode.SUCCESS)
ANN = Member(5, 0, "ann")
BOTH = {VIDEO, AUDIO}


def opened(ssrc, code=ResultCode.SUCCESS):
    """The answer to `OpenStream`."""
    return StreamOpened(code, ssrc, b"k" * 16, b"s" * 12)


class StreamsTests(SynchronousTestCase):
    """`Streams`."""

    def setUp(self):
        """Streams with a server and a media plane that the test plays."""
        self.requests = Requests()
        self.media = FakeMedia()
        self.events = RecordingEvents()
        self.lines = []
        self.streams = Streams(
            self.requests,
            lambda: self.media,
            lambda: None,
            self.events,
            self.lines.append,
        )

    def publish(self, first=100, index=0):
        """Publish a source with both kinds."""
        outcome = self.streams.publish("source", index, None)
        self.requests.answer(opened(first), OpenStream(VIDEO, index, VIDEO_FORMAT))
        self.requests.answer(opened(first + 1), OpenStream(AUDIO, index, AUDIO_FORMAT))
        return self.successResultOf(outcome)

    def watch(self, member=ANN, kinds=BOTH):
        """Watch a member."""
        outcome = self.streams.watch(member, kinds, 0, None)
        for _ in kinds:
            self.requests.answer(OK)
        return self.successResultOf(outcome)

    def code(self, outcome):
        """The code that a call failed with."""
        return self.failureResultOf(outcome, Refused).value.code

    # Publishing.

    def test_publish(self):
        """Each stream of a source is opened and sent under what the server gave."""
        publishing = self.publish()
        self.assertEqual(self.media.sending, [(VIDEO, 100), (AUDIO, 101)])
        self.assertEqual(publishing.opened, {VIDEO: 100, AUDIO: 101})

    def test_layer(self):
        """Where there is to be a smaller layer it is opened after its camera, and
        told to what sends that."""
        self.media.small = replace(VIDEO_FORMAT, width=160, height=120)
        outcome = self.streams.publish("source", 3, None)
        self.requests.answer(opened(100), OpenStream(VIDEO, 3, VIDEO_FORMAT))
        self.requests.answer(opened(101), OpenLayer(3, self.media.small))
        self.requests.answer(opened(102), OpenStream(AUDIO, 3, AUDIO_FORMAT))
        self.successResultOf(outcome)
        (full, _) = self.media.publications
        self.assertEqual(self.media.layers, [(101, self.media.small, full)])

    def test_layerRefused(self):
        """Without it the camera is published all the same."""
        self.media.small = VIDEO_FORMAT
        outcome = self.streams.publish("source", 0, None)
        self.requests.answer(opened(100))
        self.requests.answer(opened(0, ResultCode.FUNCNOTALLOW))
        self.requests.answer(opened(102))
        self.successResultOf(outcome)
        self.assertEqual(self.media.sending, [(VIDEO, 100), (AUDIO, 102)])
        self.assertEqual(self.media.layers, [])
        self.assertIn("the small picture is not published", self.lines[0])

    def test_layerTooLate(self):
        """Who unpublishes meanwhile has no layer left over."""
        self.media.small = VIDEO_FORMAT
        outcome = self.streams.publish("source", 0, None)
        self.requests.answer(opened(100))
        self.streams.unpublish(0)
        self.requests.answer(opened(101))
        self.code(outcome)
        self.assertEqual(self.media.layers, [])

    def test_layerGranted(self):
        """A layer goes to the media plane if its camera is being received."""
        layer = LayerGranted(5, 0, 100, 101, VIDEO_FORMAT, 0, 0, b"k" * 16, b"s" * 12)
        self.streams.layer_granted(layer)
        self.watch()
        self.streams.layer_granted(layer)
        self.streams.granted(granted(5, VIDEO, 100))
        self.streams.layer_granted(layer)
        self.streams.layer_granted(replace(layer, stream_ssrc=99))
        self.assertEqual(self.media.layers, [layer])

    def test_publishRefused(self):
        """A refusal fails the call and closes what was open already."""
        outcome = self.streams.publish("source", 0, None)
        self.requests.answer(opened(100))
        self.requests.answer(opened(0, ResultCode.ROOM_NOTIN))
        self.assertEqual(self.code(outcome), ResultCode.ROOM_NOTIN)
        self.assertEqual(self.requests.messages, [CloseStream(VIDEO, 0)])
        self.assertEqual(self.media.sending, [])
        self.assertEqual(self.streams.publications, ())

    def test_publishWrongReply(self):
        """A server that answers with something else is refused, not trusted."""
        outcome = self.streams.publish("source", 0, None)
        self.requests.answer(OK)
        self.assertEqual(self.code(outcome), ResultCode.PROTOCOLFAIL)

    def test_publishSourceFails(self):
        """What is wrong with the source reaches the caller as it is."""
        self.media.formats = lambda *_: 1 / 0
        outcome = self.streams.publish("source", 0, None)
        self.failureResultOf(outcome, ZeroDivisionError)
        self.assertEqual(self.streams.publications, ())

    def test_badIndex(self):
        """Indexes beyond the protocol's are refused at once."""
        for index in (-1, 16):
            self.assertRaises(Refused, self.streams.publish, "source", index, None)
            self.assertRaises(Refused, self.streams.watch, ANN, BOTH, index, None)

    def test_unpublish(self):
        """Every open stream is closed, here and at the server."""
        self.publish()
        self.streams.unpublish(0)
        self.assertEqual(
            self.requests.messages, [CloseStream(VIDEO, 0), CloseStream(AUDIO, 0)]
        )
        self.assertEqual(self.media.sending, [])
        self.streams.unpublish(0)
        self.assertEqual(len(self.requests.messages), 2)

    def test_unpublishWhileOpening(self):
        """What is withdrawn while it opens is closed when it has opened."""
        outcome = self.streams.publish("source", 0, None)
        self.streams.unpublish(0)
        self.assertEqual(self.code(outcome), ResultCode.CANCEL)
        self.requests.answer(opened(100))
        self.assertEqual(self.requests.messages, [CloseStream(VIDEO, 0)])
        self.assertEqual(self.media.sending, [])

    def test_replace(self):
        """A second source takes the place of one that is still opening."""
        first = self.streams.publish("one", 0, None)
        second = self.streams.publish("two", 0, None)
        self.assertEqual(self.code(first), ResultCode.CANCEL)
        self.requests.answer(opened(100))
        self.assertEqual(
            self.requests.messages,
            [CloseStream(VIDEO, 0), OpenStream(VIDEO, 0, VIDEO_FORMAT)],
        )
        self.requests.answer(OK)
        self.requests.answer(opened(200))
        self.requests.answer(opened(201))
        self.assertEqual(self.successResultOf(second).source, "two")
        self.assertEqual(self.media.sending, [(VIDEO, 200), (AUDIO, 201)])

    # Watching.

    def test_watch(self):
        """A watch subscribes; what is granted is received."""
        outcome = self.streams.watch(ANN, BOTH, 0, None)
        self.assertEqual(
            self.requests.messages,
            [UserCameraControl(5, True, 0), UserSpeakControl(5, True, 0)],
        )
        self.requests.answer(OK)
        self.requests.answer(OK)
        self.successResultOf(outcome)
        self.streams.granted(granted(5, VIDEO, 9))
        self.assertEqual(self.media.receiving, [(5, VIDEO, 9)])
        self.assertEqual(self.events.take(), [("on_stream_granted", 5, VIDEO, 0)])
        self.streams.granted(granted(5, VIDEO, 9))
        self.assertEqual(self.events.take(), [])

    def test_watchRefused(self):
        """A refusal fails the call and takes back the other half."""
        outcome = self.streams.watch(ANN, BOTH, 0, None)
        self.requests.answer(OK)
        self.requests.answer(Result(ResultCode.INVALID_USERID))
        self.assertEqual(self.code(outcome), ResultCode.INVALID_USERID)
        self.assertEqual(
            self.requests.messages,
            [UserCameraControl(5, False, 0), UserSpeakControl(5, False, 0)],
        )
        self.assertEqual(self.streams.watched, ())

    def test_notAsked(self):
        """A grant that nobody asked for, or no more, is not received."""
        self.watch(kinds={VIDEO})
        self.streams.granted(granted(6, VIDEO, 9))
        self.streams.granted(granted(5, AUDIO, 9))
        self.streams.granted(granted(5, VIDEO, 9, stream_index=1))
        self.streams.ended(StreamEnded(6, VIDEO, 0, 9))
        self.assertEqual(self.media.receiving, [])

    def test_reopened(self):
        """A stream that is closed and opened again goes on, its sums too."""
        watching = self.watch(kinds={VIDEO})
        self.streams.granted(granted(5, VIDEO, 9))
        self.media.receptions[0].counts = FakeStatistics(10, 20, 2, 1, 99.5)
        self.streams.ended(StreamEnded(5, VIDEO, 0, 8))
        self.assertEqual(self.media.receiving, [(5, VIDEO, 9)])
        self.streams.ended(StreamEnded(5, VIDEO, 0, 9))
        self.assertEqual(self.media.receiving, [])
        self.streams.granted(granted(5, VIDEO, 10))
        self.media.receptions[0].counts = FakeStatistics(1, 2, 0, 0, 5.0)
        totals = watching.statistics(VIDEO)
        self.assertEqual(
            (totals.frames_decoded, totals.packets, totals.lost, totals.repaired),
            (11, 22, 2, 1),
        )
        self.assertEqual(totals.first_frame_ms, 99.5)
        self.assertEqual(watching.statistics(AUDIO).packets, 0)

    def test_unwatch(self):
        """Ending a watch ends its receptions and tells the server."""
        self.watch()
        self.streams.granted(granted(5, VIDEO, 9))
        self.streams.unwatch(5, 0)
        self.assertEqual(self.media.receiving, [])
        self.assertEqual(
            self.requests.messages,
            [UserCameraControl(5, False, 0), UserSpeakControl(5, False, 0)],
        )

    def test_cannotReceive(self):
        """A codec that cannot be decoded is a warning, not an end."""

        def receive(granted, sink):
            raise PeerError("payload type 77")

        self.media.receive = receive
        self.watch()
        self.streams.granted(granted(5, VIDEO, 9))
        self.assertEqual(
            self.events.take(), [("on_sdk_warning", ResultCode.UNSUPPORTCODEC)]
        )
        self.streams.unwatch(5, 0)

    def test_userLeft(self):
        """Who leaves is watched no longer; waiting calls are told."""
        self.watch()
        self.streams.granted(granted(5, VIDEO, 9))
        pending = self.streams.watch(Member(6, 0, "bob"), {VIDEO}, 0, None)
        self.streams.user_left(5)
        self.streams.user_left(6)
        self.assertEqual(self.code(pending), ResultCode.INVALID_USERID)
        self.assertEqual(self.media.receiving, [])
        self.assertEqual(self.streams.watched, ())
        self.requests.answer(Result(ResultCode.INVALID_USERID))

    def test_frames(self):
        """Without a sink, decoded frames become events."""
        watching = self.watch()
        watching.sink.video_frame("picture", 1.0)
        watching.sink.audio_frame("sound", 1.5)
        self.assertEqual(
            self.events.take(),
            [
                ("on_video_frame", 5, 0, "picture", 1.0),
                ("on_audio_frame", 5, 0, "sound", 1.5),
            ],
        )

    def test_ownSink(self):
        """With a sink, they go there."""
        outcome = self.streams.watch(ANN, {VIDEO}, 0, "sink")
        self.requests.answer(OK)
        self.assertEqual(self.successResultOf(outcome).sink, "sink")
        self.streams.granted(granted(5, VIDEO, 9))
        self.assertEqual(self.media.receptions[0].sink, "sink")

    # A lost session.

    def test_newSession(self):
        """After a new login everything is opened anew, under new SSRCs."""
        self.publish()
        self.watch()
        self.streams.granted(granted(5, VIDEO, 9))
        self.streams.suspend()
        self.assertEqual((self.media.sending, self.media.receiving), ([], []))
        self.assertEqual(self.requests.messages, [])
        self.streams.restore({})
        self.requests.answer(opened(300), OpenStream(VIDEO, 0, VIDEO_FORMAT))
        self.requests.answer(opened(301), OpenStream(AUDIO, 0, AUDIO_FORMAT))
        self.assertEqual(self.media.sending, [(VIDEO, 300), (AUDIO, 301)])
        self.streams.follow({5: ANN})
        self.streams.follow({5: ANN})
        self.assertEqual(
            self.requests.messages,
            [UserCameraControl(5, True, 0), UserSpeakControl(5, True, 0)],
        )

    def test_lostWhileOpening(self):
        """A call whose session is lost is answered by the next session."""
        publishing = self.streams.publish("source", 0, None)
        watching = self.streams.watch(ANN, {VIDEO}, 0, None)
        self.streams.suspend()
        self.requests.fail(SessionLost())
        self.assertNoResult(publishing)
        self.assertNoResult(watching)
        self.streams.restore({5: ANN})
        self.requests.answer(opened(300), OpenStream(VIDEO, 0, VIDEO_FORMAT))
        self.requests.answer(OK, UserCameraControl(5, True, 0))
        self.requests.answer(opened(301), OpenStream(AUDIO, 0, AUDIO_FORMAT))
        self.successResultOf(publishing)
        self.successResultOf(watching)

    def test_lostWhileWaitingForItsTurn(self):
        """A publication behind another one of its index waits for the next session."""
        first = self.streams.publish("one", 0, None)
        second = self.streams.publish("two", 0, None)
        self.code(first)
        self.streams.suspend()
        self.requests.fail(SessionLost())
        self.assertNoResult(second)
        self.streams.restore({})
        self.requests.answer(opened(300))
        self.requests.answer(opened(301))
        self.assertEqual(self.successResultOf(second).source, "two")

    def test_somebodyElse(self):
        """An id that now is somebody else's is not watched."""
        watching = self.watch()
        self.streams.suspend()
        self.streams.restore({5: Member(5, 0, "mallory")})
        self.assertEqual(self.requests.messages, [])
        self.assertEqual(self.streams.watched, (watching,))
        self.streams.unwatch(5, 0)
        self.assertEqual(self.streams.watched, ())
        self.assertEqual(self.requests.messages, [])

    def test_otherIds(self):
        """A server that gives ids anew: users are known by their names."""
        ann, bob = self.watch(), self.watch(Member(6, 0, "bob"))
        self.streams.granted(granted(5, VIDEO, 9))
        self.media.receptions[0].counts = FakeStatistics(10, 20, 2, 1, 99.5)
        self.streams.suspend()
        self.streams.restore({6: Member(6, 0, "ann"), 5: Member(5, 0, "bob")})
        self.assertEqual((ann.user_id, bob.user_id), (6, 5))
        self.assertEqual([m.user_id for m in self.requests.messages], [6, 6, 5, 5])
        self.streams.granted(granted(6, VIDEO, 10))
        self.assertEqual(self.media.receptions[0].sink, ann.sink)
        self.assertEqual(ann.statistics(VIDEO).packets, 20)

    def test_sameNames(self):
        """A name that two have is nobody's, unless the id is right too."""
        watching = self.watch()
        self.streams.suspend()
        twins = {7: Member(7, 0, "ann"), 8: Member(8, 0, "ann")}
        self.streams.restore(twins)
        self.assertEqual(self.requests.messages, [])
        self.streams.follow({**twins, 5: ANN})
        self.assertEqual([m.user_id for m in self.requests.messages], [5, 5])
        self.assertEqual(watching.user_id, 5)

    def test_programWasFaster(self):
        """A program that watches again by itself does not watch twice."""
        self.watch()
        self.streams.suspend()
        again = self.streams.watch(Member(9, 0, "ann"), BOTH, 0, None)
        self.streams.restore({9: Member(9, 0, "ann")})
        self.assertEqual(len(self.requests.messages), 2)
        self.requests.answer(OK)
        self.requests.answer(OK)
        self.assertEqual(self.streams.watched, (self.successResultOf(again),))

    def test_notRestored(self):
        """What the new session refuses is given up with a warning and a line."""
        self.publish()
        self.streams.suspend()
        self.streams.restore({})
        self.requests.answer(opened(0, ResultCode.FUNCNOTALLOW))
        self.assertEqual(
            self.events.take(), [("on_sdk_warning", ResultCode.FUNCNOTALLOW)]
        )
        self.assertEqual(len(self.lines), 1)
        self.assertEqual(self.streams.publications, ())

    def test_roomLeft(self):
        """Leaving the room ends the wishes without a word to the server."""
        self.publish()
        self.watch()
        pending = self.streams.publish("two", 1, None)
        self.streams.forget()
        self.assertEqual(self.code(pending), ResultCode.CANCEL)
        self.assertEqual(self.media.sending, [])
        self.assertEqual(self.streams.publications, ())
        self.requests.waiting.clear()
        self.streams.restore({5: ANN})
        self.assertEqual(self.requests.messages, [])

    # RESYNC.

    def repair(self, published=(), subscriptions=(), open_streams=()):
        """A RESYNC with that state."""
        self.streams.repair(published, subscriptions, lambda user_id: open_streams)

    def test_nothingLost(self):
        """A server that holds everything is asked nothing."""
        self.publish()
        self.watch()
        self.streams.granted(granted(5, VIDEO, 9))
        self.repair(
            [PublishedStream(VIDEO, 0, 100), PublishedStream(AUDIO, 0, 101)],
            [Subscription(5, VIDEO, 0), Subscription(5, AUDIO, 0)],
            [(VIDEO, 0)],
        )
        self.assertEqual(self.requests.messages, [])
        self.assertEqual(self.media.sending, [(VIDEO, 100), (AUDIO, 101)])
        self.assertEqual(self.media.receiving, [(5, VIDEO, 9)])

    def test_publicationLost(self):
        """A stream that the server does not hold, or as another, is opened anew."""
        publishing = self.publish()
        self.repair([PublishedStream(AUDIO, 0, 999)])
        self.requests.answer(opened(300), OpenStream(VIDEO, 0, VIDEO_FORMAT))
        self.requests.answer(opened(301), OpenStream(AUDIO, 0, AUDIO_FORMAT))
        self.assertEqual(self.media.sending, [(VIDEO, 300), (AUDIO, 301)])
        self.assertEqual(publishing.opened, {VIDEO: 300, AUDIO: 301})

    def test_partLost(self):
        """Only what was lost is opened anew; the rest goes on under its keys."""
        self.publish()
        self.repair([PublishedStream(VIDEO, 0, 100)])
        self.requests.answer(opened(301), OpenStream(AUDIO, 0, AUDIO_FORMAT))
        self.assertEqual(self.requests.messages, [])
        self.assertEqual(self.media.sending, [(VIDEO, 100), (AUDIO, 301)])

    def test_subscriptionLost(self):
        """A subscription that the server does not hold is asked for again."""
        self.watch()
        self.repair(subscriptions=[Subscription(5, VIDEO, 0)])
        self.requests.answer(OK, UserSpeakControl(5, True, 0))
        self.assertEqual(self.requests.messages, [])

    def test_tooMuch(self):
        """What the server holds and nobody wants is ended."""
        self.repair([PublishedStream(VIDEO, 3, 100)], [Subscription(6, AUDIO, 2)])
        self.assertEqual(
            self.requests.messages,
            [CloseStream(VIDEO, 3), UserSpeakControl(6, False, 2)],
        )

    def test_closedMeanwhile(self):
        """A stream that was closed while notifications were lost has ended."""
        self.watch()
        self.streams.granted(granted(5, VIDEO, 9))
        self.streams.granted(granted(5, AUDIO, 10))
        self.repair(
            subscriptions=[Subscription(5, VIDEO, 0), Subscription(5, AUDIO, 0)],
            open_streams=[(AUDIO, 0)],
        )
        self.assertEqual(self.media.receiving, [(5, AUDIO, 10)])

    def test_openingGoesOn(self):
        """A publication whose request is under way is left to its reply."""
        outcome = self.streams.publish("source", 0, None)
        self.repair([PublishedStream(VIDEO, 0, 100)])
        self.assertEqual(self.requests.messages, [OpenStream(VIDEO, 0, VIDEO_FORMAT)])
        self.requests.answer(opened(100))
        self.requests.answer(opened(101))
        self.successResultOf(outcome)

    def test_unusedDeferreds(self):
        """Replies to what nobody waits for are ignored, failures too."""
        self.publish()
        self.streams.unpublish(0)
        self.requests.fail(SessionLost())

"""The smaller layer of a camera: who may open one, and who is told."""

from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from anychat.codes import ResultCode, StreamKind
from anychat.core.commands import SessionMessage
from anychat.core.effects import CloseRoute, JoinRoute, OpenRoute, Reply
from anychat.core.hall import Hall
from anychat.core.state import Layer
from anychat.errors import LocalError
from anychat.messages import CloseStream, LeaveRoom, OpenLayer, StreamOpened
from test.core.driver import DEMO, H264, OPUS, Driver

VIDEO = StreamKind.VIDEO
SMALL = replace(H264, width=160, height=120, bitrate=20000)


class LayerTests(SynchronousTestCase):
    """OpenLayer."""

    def setUp(self):
        self.core = Driver()
        self.alice, self.bob, self.carol = self.core.together("alice", "bob", "carol")
        self.camera = self.core.publish(self.alice)[0].ssrc

    def open(self, form=SMALL, index=0):
        """Open a layer of the camera; the effects."""
        return self.core.ask(self.alice, OpenLayer(index, form), request=9)

    def refused(self, *args):
        """The code of the answer, which must be the only effect."""
        (effect,) = self.open(*args)
        self.assertIsInstance(effect, Reply)
        self.assertIsInstance(effect.message, StreamOpened)
        return effect.message.code

    def test_open(self):
        """The route says of which camera it is; watchers are granted both."""
        self.core.watch(self.bob, self.alice)
        opened, join = self.open()
        self.assertEqual(
            opened, OpenRoute(self.alice, 9, opened.ssrc, VIDEO, SMALL, self.camera)
        )
        layer = Layer(opened.ssrc, SMALL)
        self.assertEqual(
            join, JoinRoute(self.bob, self.camera, 1, VIDEO, 0, H264, layer)
        )
        (_, later) = self.core.watch(self.carol, self.alice)
        self.assertEqual(
            later, JoinRoute(self.carol, self.camera, 1, VIDEO, 0, H264, layer)
        )

    def test_endsWithTheCamera(self):
        """Closed, opened anew, or left behind: the layer's route closes too."""
        for last in (CloseStream(VIDEO, 0), None, LeaveRoom(1)):
            layer = self.open()[0].ssrc
            if last is None:
                effects = self.core.publish(self.alice)
            else:
                effects = self.core.ask(self.alice, last)
            self.assertEqual(
                [effect for effect in effects if isinstance(effect, CloseRoute)],
                [CloseRoute(self.camera), CloseRoute(layer)],
            )
            if last is not None:
                self.core.enter(self.alice)
                effects = self.core.publish(self.alice)
            opened = [effect for effect in effects if isinstance(effect, OpenRoute)]
            self.camera = opened[0].ssrc

    def test_refused(self):
        """No such camera, one that has a layer, a format of another kind."""
        self.assertEqual(self.refused(SMALL, 1), ResultCode.DATANOTEXIST)
        self.assertEqual(self.refused(SMALL, 16), ResultCode.FUNCOPTERROR)
        self.assertEqual(self.refused(OPUS), ResultCode.FUNCOPTERROR)
        other = replace(SMALL, payload_type=97)
        self.assertEqual(self.refused(other), ResultCode.FUNCOPTERROR)
        self.open()
        self.assertEqual(self.refused(), ResultCode.DATAEXIST)
        self.core.ask(self.alice, LeaveRoom(1))
        self.assertEqual(self.refused(), ResultCode.ROOM_NOTIN)

    def test_withoutAnswer(self):
        """Without a request number nothing happens: nobody would get the key."""
        self.assertEqual(self.core.ask(self.alice, OpenLayer(0, SMALL), request=0), [])
        command = SessionMessage(self.alice, 3, OpenLayer(0, SMALL))
        with self.assertRaises(LocalError):
            self.core.run(command)

    def test_snapshot(self):
        """A layer is part of the state that is handed on."""
        self.open()
        copy = Hall(DEMO)
        for change in self.core.hall.snapshot():
            copy.apply(change)
        self.assertEqual(copy.state, self.core.state)

"""Video calls: who is told what in which order, who may talk, and in which room."""

from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from anychat import business_messages
from anychat.business_messages import Arbiter, OnVideoCallEvent, Verdict
from anychat.codes import (
    ResultCode,
    StreamKind,
    VideoCallEvent,
    VideoCallStage,
)
from anychat.core.calls import MAX_STEPS
from anychat.core.changes import CallEnded, CallRang, CallStarted
from anychat.core.commands import CallJudged
from anychat.core.effects import (
    AskVideoCall,
    CloseRoute,
    JoinRoute,
    LeaveRoute,
    OpenRoute,
    Reply,
    Send,
)
from anychat.core.hall import Hall
from anychat.messages import (
    EnterRoomByName,
    EnterRoomResult,
    LeaveRoom,
    Logout,
    QueryRoomUsers,
    Result,
    StreamEnded,
    UserSpeakControl,
    VideoCallControl,
    VideoCallNotice,
    VideoCallStatus,
)
from test.core.driver import DEMO, Driver, sent

REQUEST, REPLY, START, FINISH = VideoCallEvent
OK = ResultCode.SUCCESS
CANCEL, REJECT = ResultCode.VIDEOCALL_CANCEL, ResultCode.VIDEOCALL_REJECT
OFFLINE, BUSY = ResultCode.VIDEOCALL_OFFLINE, ResultCode.VIDEOCALL_BUSY
TIMEOUT = ResultCode.VIDEOCALL_TIMEOUT
BROKEN, IDLE = ResultCode.VIDEOCALL_DISCONNECT, ResultCode.VIDEOCALL_NOTINCALL
IN_CALL = ResultCode.VIDEOCALL_INCHAT

LICENSED = replace(DEMO, demo_mode=False)
MARKED = "\x00 sealed \U0001f4de"


class Calls(Driver):
    """A hall whose users call one another."""

    def step(
        self, session, event, target, error=0, *, flags=3, param=0, text="", request=7
    ):
        """A step of a call; its effects."""
        message = VideoCallControl(event, target, ResultCode(error), flags, param, text)
        return self.ask(session, message, request=request)

    def refusal(self, session, event, target, error=0, **more):
        """The code of a step that is answered and has no other effect."""
        (reply,) = self.step(session, event, target, error, **more)
        return reply.message.code

    def ring(self, caller, callee, **more):
        """Call; it must ring."""
        effects = self.step(caller, REQUEST, self.user(callee), **more)
        assert effects[0].message == Result(OK), effects
        return effects

    def talk(self, caller, callee, **more):
        """Call and answer; the number of the room."""
        self.ring(caller, callee, **more)
        effects = self.step(callee, REPLY, self.user(caller))
        (notice,) = sent(effects, caller)
        assert notice.event is START, notice
        return notice.param

    def judge(self, effect, code=OK, **more):
        """The verdict on a step that was put to the arbiter; the effects."""
        return self.run(
            CallJudged(
                effect.session, effect.request, effect.question, Verdict(code, **more)
            )
        )

    def copy(self):
        """A hall made of a snapshot."""
        other = Hall(self.hall.settings)
        for change in self.hall.snapshot():
            other.apply(change)
        return other


class CallTestCase(SynchronousTestCase):
    """Ann, Ben and Cat, users 1, 2 and 3."""

    settings = DEMO

    def setUp(self):
        """Sign them in."""
        self.core = Calls(self.settings)
        self.ann, self.ben, self.cat = map(self.core.login, ("ann", "ben", "cat"))

    def tearDown(self):
        """The snapshot always says everything, and nothing stays behind."""
        copy = self.core.copy()
        self.assertEqual(copy.state, self.core.state)
        self.assertEqual(copy.next_timeout(), self.core.hall.next_timeout())
        for session in list(self.core.state.sessions):
            self.core.ask(session, Logout())
        left, fresh = self.core.state, Hall(self.settings).state
        for name in "calls", "ringing", "call_rooms", "reserved", "rooms", "room_names":
            self.assertEqual(getattr(left, name), getattr(fresh, name), name)
        self.assertEqual(left.free_call_rooms.lowest, fresh.free_call_rooms.lowest)
        self.assertIsNone(self.core.hall.next_timeout())


class RingingTests(CallTestCase):
    """From the REQUEST to its end or START."""

    def test_request(self):
        """The callee is called; then it rings, which the caller is told last."""
        self.assertEqual(
            self.core.step(self.ann, REQUEST, 2, flags=0x303, param=-7, text=MARKED),
            [
                Reply(self.ann, 7, Result(OK)),
                Send((self.ben,), VideoCallNotice(REQUEST, 1, OK, 0x303, -7, MARKED)),
                Send((self.ann,), VideoCallNotice(REPLY, 2, OK, 0x303, -7, "")),
            ],
        )

    def test_answer(self):
        """START goes to both: the room, the REQUEST's flags, the answer's text."""
        self.core.ring(self.ann, self.ben, flags=0x123)
        self.assertEqual(
            self.core.step(self.ben, REPLY, 1, flags=0, param=9, text=MARKED),
            [
                Reply(self.ben, 7, Result(OK)),
                Send((self.ann,), VideoCallNotice(START, 2, OK, 0x123, 3, MARKED)),
                Send((self.ben,), VideoCallNotice(START, 1, OK, 0x123, 3, MARKED)),
            ],
        )
        self.assertIsNone(self.core.hall.next_timeout())

    def test_refuse(self):
        """The callee's code reaches the caller as it is; the callee knows."""
        for code in REJECT, ResultCode(4711):
            self.core.ring(self.ann, self.ben)
            self.assertEqual(
                self.core.step(self.ben, REPLY, 1, code, param=5, text=MARKED),
                [
                    Reply(self.ben, 7, Result(OK)),
                    Send((self.ann,), VideoCallNotice(REPLY, 2, code, 3, 5, MARKED)),
                ],
            )

    def test_giveUp(self):
        """The caller's code reaches the callee."""
        self.core.ring(self.ann, self.ben)
        self.assertEqual(
            self.core.step(self.ann, REPLY, 2, CANCEL),
            [
                Reply(self.ann, 7, Result(OK)),
                Send((self.ben,), VideoCallNotice(REPLY, 1, CANCEL, 3, 0, "")),
            ],
        )

    def test_finishRinging(self):
        """FINISH while it rings is a refusal, or giving up."""
        for ender, other, user_id, code in (
            (self.ann, self.ben, 1, CANCEL),
            (self.ben, self.ann, 2, REJECT),
        ):
            self.core.ring(self.ann, self.ben)
            effects = self.core.step(ender, FINISH, self.core.user(other))
            notice = VideoCallNotice(REPLY, user_id, code, 3, 0, "")
            self.assertEqual(sent(effects, other), [notice])
            self.assertEqual(sent(effects, ender), [])

    def test_nobodyAnswers(self):
        """After the ring time both are told 100105, in the order of calling."""
        dan = self.core.login("dan")
        self.core.ring(self.ann, self.ben)
        self.core.wait(10)
        self.core.ring(self.cat, dan)
        self.assertEqual(self.core.wait(19.9), [])
        self.assertEqual(
            self.core.wait(0.1),
            [
                Send((self.ann,), VideoCallNotice(REPLY, 2, TIMEOUT, 3, 0, "")),
                Send((self.ben,), VideoCallNotice(REPLY, 1, TIMEOUT, 3, 0, "")),
            ],
        )
        self.assertEqual(len(self.core.wait(10)), 2)
        self.assertEqual(self.core.refusal(self.ben, REPLY, 1), IDLE)

    def test_ringTime(self):
        """RingTimeout is the setting's."""
        core = Calls(replace(DEMO, ring_time=5.0))
        ann, ben = core.login("ann"), core.login("ben")
        core.ring(ann, ben)
        self.assertEqual(core.hall.next_timeout(), core.now + 5.0)


class RefusalTests(CallTestCase):
    """What cannot be."""

    def assertNotCalled(self, session, target, code):
        """A REQUEST gets that code, by answer and by notice."""
        self.assertEqual(
            self.core.step(session, REQUEST, target, flags=3, param=4, text="x"),
            [
                Reply(session, 7, Result(code)),
                Send((session,), VideoCallNotice(REPLY, target, code, 3, 4, "")),
            ],
        )

    def test_offline(self):
        """Nobody is there: 100102, whatever the number."""
        for target in 99, -5, 2**31 - 1, -(2**31):
            self.assertNotCalled(self.ann, target, OFFLINE)

    def test_noUser(self):
        """Oneself, -1 and the business server cannot be called."""
        for target in 1, -1, 0:
            self.assertEqual(
                self.core.refusal(self.ann, REQUEST, target), ResultCode.FUNCOPTERROR
            )

    def test_calleeBusy(self):
        """Whoever rings, is rung or talks gets no second call."""
        self.core.ring(self.ann, self.ben)
        for callee in 1, 2:
            self.assertNotCalled(self.cat, callee, BUSY)
        self.core.step(self.ben, REPLY, 1)
        for callee in 1, 2:
            self.assertNotCalled(self.cat, callee, BUSY)

    def test_callerBusy(self):
        """Nor does he call a second one, be he the caller or the callee."""
        self.core.ring(self.ann, self.ben)
        for caller in self.ann, self.ben:
            self.assertNotCalled(caller, 3, BUSY)
            self.assertNotCalled(caller, 99, BUSY)

    def test_calledAlready(self):
        """440: the two are in that call already, which goes on."""
        self.core.ring(self.ann, self.ben)
        self.assertNotCalled(self.ann, 2, IN_CALL)
        self.core.step(self.ben, REPLY, 1)
        self.assertNotCalled(self.ann, 2, IN_CALL)
        self.assertNotCalled(self.ben, 1, IN_CALL)

    def test_bothAtOnce(self):
        """Of two who call one another the first rings, and can be answered."""
        self.core.ring(self.ann, self.ben)
        self.assertNotCalled(self.ben, 1, IN_CALL)
        effects = self.core.step(self.ben, REPLY, 1)
        self.assertEqual(sent(effects, self.ann)[0].event, START)

    def test_idle(self):
        """REPLY and FINISH without such a call: 100107."""
        self.core.ring(self.ann, self.ben)
        for session, target in (
            (self.cat, 1),
            (self.cat, 99),
            (self.ann, 3),
            (self.ben, 3),
        ):
            for event, error in (REPLY, 0), (REPLY, REJECT), (FINISH, 0):
                self.assertEqual(self.core.refusal(session, event, target, error), IDLE)

    def test_ownCall(self):
        """The caller does not answer in the callee's place."""
        self.core.ring(self.ann, self.ben)
        self.assertEqual(self.core.refusal(self.ann, REPLY, 2), ResultCode.FUNCOPTERROR)

    def test_replyInCall(self):
        """After START there is nothing to reply to: 440."""
        self.core.talk(self.ann, self.ben)
        for error in OK, REJECT:
            self.assertEqual(self.core.refusal(self.ben, REPLY, 1, error), IN_CALL)

    def test_misleadingCode(self):
        """Nobody ends a call with 440, which tells of one that goes on."""
        wrong = ResultCode.FUNCOPTERROR
        self.core.ring(self.ann, self.ben)
        for event in REPLY, FINISH:
            for session, target in (self.ben, 1), (self.ann, 2):
                code = self.core.refusal(session, event, target, IN_CALL)
                self.assertEqual(code, wrong)
            call = business_messages.VideoCallControl(event, 1, IN_CALL, 3, 0, "")
            effects, answer = self.core.call(call)
            self.assertEqual((effects, answer.code), ([], wrong))

    def test_start(self):
        """START is the server's."""
        self.core.ring(self.ann, self.ben)
        self.assertEqual(self.core.refusal(self.ben, START, 1), ResultCode.FUNCNOTALLOW)

    def test_storm(self):
        """Everybody calls everybody: each is in one call at most, all get answers."""
        users = [self.ann, self.ben, self.cat]
        users += [self.core.login(f"user {number}") for number in range(37)]
        codes = []
        for caller in users:
            for callee in users:
                if caller != callee:
                    effects = self.core.step(caller, REQUEST, self.core.user(callee))
                    codes.append(effects[0].message.code)
        self.assertEqual(codes.count(OK), 20)
        self.assertEqual(codes.count(IN_CALL), 20)
        self.assertEqual(codes.count(BUSY), 40 * 39 - 40)
        self.assertEqual(len(self.core.state.calls), 20)
        self.assertEqual(len(self.core.wait(30)), 40)
        self.assertEqual(self.core.state.calls, {})


class EndTests(CallTestCase):
    """The ends of a call that was answered, and of sessions."""

    def test_finish(self):
        """FINISH goes to both, with what its sender says."""
        for ender in self.ann, self.ben:
            self.core.talk(self.ann, self.ben)
            other = self.ben if ender == self.ann else self.ann
            effects = self.core.step(
                ender,
                FINISH,
                self.core.user(other),
                4711,
                flags=1,
                param=2,
                text=MARKED,
            )
            error = ResultCode(4711)
            self.assertEqual(
                effects,
                [
                    Reply(ender, 7, Result(OK)),
                    Send((self.ann,), VideoCallNotice(FINISH, 2, error, 1, 2, MARKED)),
                    Send((self.ben,), VideoCallNotice(FINISH, 1, error, 1, 2, MARKED)),
                ],
            )
            self.assertEqual(
                self.core.refusal(ender, FINISH, self.core.user(other)), IDLE
            )

    def test_linkLost(self):
        """A lost link ends the call when the hold time is over, with 100106."""
        room = self.core.talk(self.ann, self.ben)
        self.core.lose(self.ann)
        self.assertEqual(sent(self.core.wait(29.9), self.ben), [])
        self.assertEqual(
            sent(self.core.wait(0.1), self.ben),
            [VideoCallNotice(FINISH, 1, BROKEN, 3, room, "")],
        )
        self.assertEqual(self.core.state.calls, {})

    def test_linkBack(self):
        """Within the hold time it goes on as if nothing had been."""
        self.core.talk(self.ann, self.ben)
        self.core.lose(self.ann)
        self.core.wait(20)
        self.core.resume(self.ann)
        self.assertEqual(self.core.wait(60), [])
        self.assertEqual(len(self.core.state.calls), 1)

    def test_linkLostRinging(self):
        """Either party's loss is the other one's REPLY 100106."""
        for name in "ann", "ben":
            core = Calls(replace(DEMO, ring_time=100.0))
            users = {one: core.login(one) for one in ("ann", "ben")}
            core.ring(users["ann"], users["ben"])
            lost = users.pop(name)
            (other,) = users.values()
            notice = VideoCallNotice(REPLY, core.user(lost), BROKEN, 3, 0, "")
            core.lose(lost)
            self.assertEqual(sent(core.wait(30), other), [notice])

    def test_callHeld(self):
        """Somebody whose link is lost can be called for as long as he is held."""
        self.core.lose(self.ben)
        effects = self.core.ring(self.ann, self.ben)
        self.assertEqual(sent(effects, self.ben)[0].event, REQUEST)

    def test_logout(self):
        """Who logs out while it rings gives up, or is not there; in a call it ends."""
        for leaver, talking, expected in (
            ("ann", False, (REPLY, CANCEL)),
            ("ben", False, (REPLY, OFFLINE)),
            ("ann", True, (FINISH, OK)),
            ("ben", True, (FINISH, OK)),
        ):
            core = Calls()
            users = {name: core.login(name) for name in ("ann", "ben")}
            (core.talk if talking else core.ring)(users["ann"], users["ben"])
            left = users.pop(leaver)
            effects = core.ask(left, Logout())
            (stays,) = users.values()
            notice = sent(effects, stays)[0]
            self.assertEqual((notice.event, notice.error), expected)
            self.assertEqual(core.state.calls, {})

    def test_replaced(self):
        """A new login elsewhere ends the call of the old session: 100106."""
        self.core.talk(self.ann, self.ben)
        effects = self.core.try_login("ann")
        self.assertEqual(sent(effects, self.ben)[0].error, BROKEN)
        self.ann = effects[-1].session
        self.core.ring(self.ben, self.ann)

    def test_resync(self):
        """A client that missed something is told which call it is in."""

        def status(session):
            effects = self.core.resume(session, resync=True)
            return next(m for m in sent(effects, session) if hasattr(m, "stage"))

        stage = VideoCallStage
        self.assertEqual(status(self.ann), VideoCallStatus(stage.NONE, 0, 0, 0, False))
        self.core.ring(self.ann, self.ben, flags=0x21)
        self.assertEqual(
            status(self.ann), VideoCallStatus(stage.CALLING, 2, 0x21, 0, True)
        )
        self.assertEqual(
            status(self.ben), VideoCallStatus(stage.CALLED, 1, 0x21, 0, False)
        )
        self.core.step(self.ben, REPLY, 1)
        self.assertEqual(
            status(self.ben), VideoCallStatus(stage.TALKING, 1, 0x21, 3, False)
        )

    def test_noText(self):
        """What the parties say is never part of a change, so of no journal."""
        self.core.ring(self.ann, self.ben, text=MARKED)
        self.core.step(self.ben, REPLY, 1, text=MARKED)
        self.core.step(self.ben, FINISH, 1, text=MARKED)
        self.assertNotIn(repr(MARKED), repr(self.core.journal))
        kinds = [type(change) for change in self.core.journal[-3:]]
        self.assertEqual(kinds, [CallRang, CallStarted, CallEnded])


class RoomTests(SynchronousTestCase):
    """The numbers of calls' rooms (VideoCallStartRoomId), and who gets in."""

    def start(self, settings=DEMO, users=6):
        """A hall with users, two for each call."""
        self.core = Calls(settings)
        self.users = [self.core.guest(f"guest {number}") for number in range(users)]

    def talk(self, pair):
        """Let a pair talk; their room."""
        return self.core.talk(*self.users[2 * pair : 2 * pair + 2])

    def finish(self, pair):
        """End it."""
        caller, callee = self.users[2 * pair : 2 * pair + 2]
        self.core.step(caller, FINISH, self.core.user(callee))

    def enter(self, number, room_id, **more):
        """The code of an entry."""
        (reply, *_) = self.core.enter(self.users[number], room_id, **more)
        return reply.message.code

    def test_shipped(self):
        """The shipped default never means room 1 or 2, where people meet."""
        for settings in DEMO, LICENSED:
            self.start(settings)
            self.assertEqual([self.talk(pair) for pair in range(3)], [3, 4, 5])

    def test_lowestFree(self):
        """From n up the lowest number without a room is taken, again and again."""
        self.start(replace(LICENSED, first_call_room=500))
        self.assertEqual([self.talk(pair) for pair in range(3)], [500, 501, 502])
        self.finish(0)
        self.finish(2)
        self.assertEqual((self.talk(2), self.talk(0)), (500, 502))

    def test_existing(self):
        """A room that is there, or is about to be, is left alone."""
        self.start(replace(LICENSED, first_call_room=500), users=8)
        self.core.enter(self.users[6], 500)
        self.core.arbiters(admitter=Arbiter.THERE)
        self.core.enter(self.users[7], 501)
        self.assertEqual(self.talk(0), 502)
        self.core.prepare(self.users[7], ResultCode.ROOM_PASSERR)
        self.core.ask(self.users[6], LeaveRoom(500))
        self.assertEqual((self.talk(1), self.talk(2)), (500, 501))

    def test_counted(self):
        """With 0 numbers are counted up from 1, and none comes twice."""
        self.start(replace(LICENSED, first_call_room=0))
        self.assertEqual(self.talk(0), 3)
        self.core.enter(self.users[4], 4)
        for number in range(5, 9):
            self.finish(0)
            self.assertEqual(self.talk(0), number)
        copy = self.core.copy()
        self.assertEqual(copy.state, self.core.state)
        self.finish(0)
        self.assertEqual(self.talk(1), 9)

    def test_notNamed(self):
        """A room made by name gets no number of a call."""
        self.start(replace(LICENSED, first_call_room=10001))
        self.assertEqual(self.talk(0), 10001)
        effects = self.core.ask(self.users[4], EnterRoomByName("tea"))
        self.assertEqual(effects[0].message.room_id, 10002)
        self.assertEqual(self.talk(1), 10003)

    def test_noneLeft(self):
        """Without a number the answer is 23, and the call is over for both."""
        self.start(replace(LICENSED, first_call_room=2**31 - 1))
        self.assertEqual(self.talk(0), 2**31 - 1)
        caller, callee = self.users[2:4]
        self.core.ring(caller, callee)
        effects = self.core.step(callee, REPLY, self.core.user(caller))
        code = ResultCode.NOENOUGHRESOURCE
        self.assertEqual(effects[0].message, Result(code))
        for session in caller, callee:
            self.assertEqual(sent(effects, session)[0].error, code)
        self.assertEqual(len(self.core.state.calls), 1)

    def test_entering(self):
        """Both enter without AutoAddRoom and without a password; nobody else does."""
        self.start(replace(LICENSED, auto_add_room=False))
        room = self.talk(0)
        stranger = ResultCode.ROOM_REJECT
        self.assertEqual(self.enter(4, room), stranger)
        self.assertEqual(self.enter(0, room, password=b"mine"), OK)
        self.assertEqual(self.enter(1, room), OK)
        self.assertEqual(self.enter(4, room), stranger)
        (reply,) = self.core.ask(self.users[4], EnterRoomByName(f"Room {room}"))
        self.assertEqual(reply.message, EnterRoomResult(stranger, 0))
        self.assertEqual(self.enter(4, 77), ResultCode.ROOM_INVALID)

    def test_arbitersGuests(self):
        """Where an arbiter is there it decides about third parties."""
        self.start(replace(LICENSED, auto_add_room=False))
        room = self.talk(0)
        self.core.arbiters(admitter=Arbiter.THERE)
        for number, code in (4, OK), (5, ResultCode.ROOM_REJECT):
            self.core.enter(self.users[number], room)
            effects = self.core.prepare(self.users[number], code)
            self.assertEqual(effects[0].message.code, code)

    def test_afterwards(self):
        """Who stays when the call is over stays in a room like any other."""
        self.start(LICENSED)
        room = self.talk(0)
        self.enter(0, room)
        self.enter(1, room)
        self.finish(0)
        self.assertEqual(self.talk(1), room + 1)
        self.assertEqual(self.enter(4, room), OK)
        answer = self.core.answer(self.users[5], QueryRoomUsers(room))
        self.assertEqual(len(answer.user_ids), 3)
        for number in 0, 1, 4:
            self.core.ask(self.users[number], LeaveRoom(room))
        self.assertEqual(self.talk(0), room)


class DirectionTests(CallTestCase):
    """Flags that forbid what the parties get of one another."""

    def watch(self, watcher, owner, kind):
        """The effects of a subscription."""
        if kind is StreamKind.VIDEO:
            return self.core.watch(watcher, owner)
        message = UserSpeakControl(self.core.user(owner), True)
        return self.core.ask(watcher, message)

    def test_refused(self):
        """Each flag forbids one kind in one direction, and nothing else."""
        forbidden = {
            0x10: (self.ann, StreamKind.AUDIO),
            0x20: (self.ann, StreamKind.VIDEO),
            0x40: (self.ben, StreamKind.AUDIO),
            0x80: (self.ben, StreamKind.VIDEO),
        }
        for flags in (*forbidden, 0x0, 0xF0, 0x303):
            room = self.core.talk(self.ann, self.ben, flags=flags)
            for session in self.ann, self.ben:
                self.core.enter(session, room)
                for kind in StreamKind:
                    self.core.publish(session, kind)
            for flag, (owner, kind) in forbidden.items():
                watcher = self.ben if owner == self.ann else self.ann
                effects = self.watch(watcher, owner, kind)
                if flags & flag:
                    (reply,) = effects
                    self.assertEqual(reply.message, Result(ResultCode.FUNCNOTALLOW))
                else:
                    self.assertIsInstance(effects[-1], JoinRoute)
            self.core.step(self.ann, FINISH, 2)
            for session in self.ann, self.ben:
                self.core.ask(session, LeaveRoom(room))

    def test_watchedBefore(self):
        """What is watched already ends with START, even in another room."""
        for session in self.ann, self.ben, self.cat:
            self.core.enter(session, 1)
        opened = self.core.publish(self.ann)[0]
        self.assertIsInstance(opened, OpenRoute)
        for watcher in self.ben, self.cat:
            self.core.watch(watcher, self.ann)
        self.core.watch(self.ben, self.ann, stream_index=4)
        self.core.ring(self.ann, self.ben, flags=0x20)
        effects = self.core.step(self.ben, REPLY, 1)
        self.assertEqual(effects[1], LeaveRoute(self.ben, opened.ssrc))
        self.assertEqual(
            effects[2],
            Send((self.ben,), StreamEnded(1, StreamKind.VIDEO, 0, opened.ssrc)),
        )
        room = self.core.state.rooms[1]
        self.assertEqual(len(room.members[self.ben].watching), 0)
        self.assertEqual(len(room.members[self.cat].watching), 1)
        reopened = self.core.publish(self.ann)
        joins = [e.session for e in reopened if isinstance(e, JoinRoute)]
        self.assertEqual(joins, [self.cat])
        self.assertIn(CloseRoute(opened.ssrc), reopened)

    def test_afterwards(self):
        """With the end of the call all is allowed again."""
        for session in self.ann, self.ben:
            self.core.enter(session, 1)
        self.core.publish(self.ann)
        self.core.talk(self.ann, self.ben, flags=0xF0)
        self.assertEqual(
            self.core.watch(self.ben, self.ann)[0].message,
            Result(ResultCode.FUNCNOTALLOW),
        )
        self.core.step(self.ann, FINISH, 2)
        self.assertIsInstance(self.core.watch(self.ben, self.ann)[-1], JoinRoute)

    def test_ringing(self):
        """Nothing is forbidden before the call is answered."""
        for session in self.ann, self.ben:
            self.core.enter(session, 1)
        self.core.publish(self.ann)
        self.core.ring(self.ann, self.ben, flags=0xF0)
        self.assertIsInstance(self.core.watch(self.ben, self.ann)[-1], JoinRoute)


class JudgeTests(CallTestCase):
    """A business server that gives the verdict OnVideoCallEvent."""

    def setUp(self):
        """It is there."""
        super().setUp()
        self.core.arbiters(judges_calls=True)

    def asked(self, *step, **more):
        """Take a step; the question that it makes."""
        (effect,) = self.core.step(*step, **more)
        self.assertIsInstance(effect, AskVideoCall)
        return effect

    def ring(self):
        """Ann calls Ben."""
        self.core.judge(self.asked(self.ann, REQUEST, 2))

    def talk(self):
        """And he answers; what is shown of that."""
        self.ring()
        effects = self.core.judge(self.asked(self.ben, REPLY, 1))
        return [effect for effect in effects if isinstance(effect, AskVideoCall)]

    def test_granted(self):
        """Nothing happens before the verdict, everything after it."""
        effect = self.asked(self.ann, REQUEST, 2, flags=3, param=-4, text=MARKED)
        self.assertEqual(effect.question, OnVideoCallEvent(1, 1, 2, OK, 3, -4, MARKED))
        self.assertEqual(
            self.core.judge(effect),
            [
                Reply(self.ann, 7, Result(OK)),
                Send((self.ben,), VideoCallNotice(REQUEST, 1, OK, 3, -4, MARKED)),
                Send((self.ann,), VideoCallNotice(REPLY, 2, OK, 3, -4, "")),
            ],
        )
        self.assertEqual(self.core.judge(effect), [])

    def test_refused(self):
        """The verdict's code returns to the caller; the callee hears nothing."""
        for code in (
            ResultCode(4711),
            ResultCode.SERVERSDK_FAIL,
            ResultCode.SERVERSDK_TIMEOUT,
        ):
            effect = self.asked(self.ann, REQUEST, 2)
            self.assertEqual(
                self.core.judge(effect, code),
                [
                    Reply(self.ann, 7, Result(code)),
                    Send((self.ann,), VideoCallNotice(REPLY, 2, code, 3, 0, "")),
                ],
            )

    def test_askedFirst(self):
        """Whether the callee is there is looked at after the verdict."""
        effect = self.asked(self.ann, REQUEST, 99)
        self.assertEqual(self.core.judge(effect)[0].message, Result(OFFLINE))
        effect = self.asked(self.ann, REQUEST, 2)
        self.core.ask(self.ben, Logout())
        self.assertEqual(self.core.judge(effect)[0].message, Result(OFFLINE))

    def test_waiting(self):
        """Who waits for a verdict is busy; a second REQUEST of his is refused."""
        effect = self.asked(self.ann, REQUEST, 2)
        self.assertEqual(
            self.core.step(self.ann, REQUEST, 2)[0].message, Result(IN_CALL)
        )
        self.assertEqual(self.core.step(self.ann, REQUEST, 3)[0].message, Result(BUSY))
        other = self.asked(self.cat, REQUEST, 1, request=8)
        self.assertEqual(self.core.judge(other)[0].message, Result(BUSY))
        self.core.judge(effect)

    def test_bothAtOnce(self):
        """Of two who wait for their verdicts the second one's call rings."""
        mine = self.asked(self.ann, REQUEST, 2)
        theirs = self.asked(self.ben, REQUEST, 1)
        self.assertEqual(self.core.judge(mine)[0].message, Result(BUSY))
        effects = self.core.judge(theirs)
        self.assertEqual(effects[0].message, Result(OK))
        self.assertEqual(sent(effects, self.ann)[0].event, REQUEST)

    def test_withdrawn(self):
        """A REQUEST can be given up before its verdict, and then never rings."""
        for event, error in (FINISH, 0), (REPLY, CANCEL):
            effect = self.asked(self.ann, REQUEST, 2)
            self.assertEqual(
                self.core.step(self.ann, event, 2, error, request=8),
                [Reply(self.ann, 8, Result(OK))],
            )
            again = self.asked(self.ann, REQUEST, 3, request=9)
            self.assertEqual(
                self.core.judge(effect), [Reply(self.ann, 7, Result(CANCEL))]
            )
            self.core.judge(again, ResultCode(4711))

    def test_noVerdictOnEnds(self):
        """A refusal keeps a call; that nobody answers does not keep it from ending."""
        for code in map(ResultCode, (206, 207, 212)):
            self.talk()
            effect = self.asked(self.ann, FINISH, 2)
            self.assertEqual(
                self.core.judge(effect, ResultCode(4711)),
                [Reply(self.ann, 7, Result(ResultCode(4711)))],
            )
            effect = self.asked(self.ann, FINISH, 2)
            self.assertEqual(
                sent(self.core.judge(effect, code), self.ben)[0].event, FINISH
            )
            self.ring()
            effect = self.asked(self.ben, REPLY, 1)
            self.assertEqual(
                self.core.judge(effect, code), [Reply(self.ben, 7, Result(code))]
            )
            effect = self.asked(self.ben, REPLY, 1, REJECT)
            self.assertEqual(
                sent(self.core.judge(effect, code), self.ann)[0].error, REJECT
            )

    def test_overMeanwhile(self):
        """A verdict on a step of a call that is over meets 100107."""
        self.ring()
        effect = self.asked(self.ben, REPLY, 1)
        self.core.step(self.ann, FINISH, 2)
        self.core.lose(self.ann)
        self.core.wait(30)
        self.assertEqual(self.core.judge(effect), [Reply(self.ben, 7, Result(IDLE))])

    def test_answeredInTime(self):
        """An answer that waits for its verdict when the time is up is none too late."""
        own = ResultCode(4711)
        for code, event, error in (OK, START, OK), (own, REPLY, TIMEOUT):
            self.ring()
            effect = self.asked(self.ben, REPLY, 1)
            self.assertEqual(self.core.wait(30.5), [])
            self.assertEqual(self.core.copy().state, self.core.state)
            effects = self.core.judge(effect, code)
            self.assertIn(Reply(self.ben, 7, Result(code)), effects)
            for session in self.ann, self.ben:
                (notice,) = sent(effects, session)
                self.assertEqual((notice.event, notice.error), (event, error))
            if event is START:
                self.core.judge(self.asked(self.ben, FINISH, 1))
        self.assertEqual(self.core.state.calls, {})

    def test_tooManyAnswers(self):
        """Whatever the callee asks about, it rings no more than twice as long."""
        self.ring()
        self.asked(self.ben, REPLY, 1, request=1)
        self.core.wait(29)
        self.asked(self.ben, REPLY, 1, request=2)
        self.core.wait(1)
        self.assertTrue(self.core.state.ringing)
        self.core.wait(30)
        self.assertEqual(self.core.state.calls, {})

    def test_shown(self):
        """Of START, time-outs and lost links it hears without being waited for."""
        (shown,) = self.talk()
        self.assertEqual(shown.request, 0)
        self.assertEqual(shown.question, OnVideoCallEvent(3, 1, 2, OK, 3, 3, ""))
        self.assertEqual(self.core.judge(shown, ResultCode(4711)), [])
        self.core.lose(self.ben)
        effects = self.core.wait(30)
        self.assertIn(
            OnVideoCallEvent(4, 1, 2, BROKEN, 3, 3, ""),
            [getattr(effect, "question", None) for effect in effects],
        )
        self.core.judge(self.asked(self.ann, REQUEST, 3))
        effects = self.core.wait(30)
        self.assertEqual(
            effects[-1].question, OnVideoCallEvent(2, 1, 3, TIMEOUT, 3, 0, "")
        )

    def test_manySteps(self):
        """So many may wait; further ones are refused."""
        self.ring()
        for number in range(MAX_STEPS):
            self.asked(self.ben, REPLY, 1, request=100 + number)
        self.assertEqual(
            self.core.refusal(self.ben, REPLY, 1), ResultCode.NOENOUGHRESOURCE
        )

    def test_noRequest(self):
        """What wants no answer cannot be judged, and is not done."""
        self.assertEqual(self.core.step(self.ann, REQUEST, 2, request=0), [])
        self.ring()

    def test_gone(self):
        """Without the judge calls work as they do without any business server."""
        self.core.arbiters()
        self.core.talk(self.ann, self.ben)


class ControlTests(CallTestCase):
    """VideoCallControl of a business server."""

    def control(self, event, user_id, error=0, **more):
        """Have it done; the effects before the answer, and its code."""
        call = business_messages.VideoCallControl(
            event, user_id, ResultCode(error), 3, more.get("param", 0), MARKED
        )
        effects, answer = self.core.call(call)
        return effects, answer.code

    def test_finish(self):
        """FINISH ends a call for both, whichever of the two is named."""
        for user_id in 1, 2:
            self.core.talk(self.ann, self.ben)
            effects, code = self.control(FINISH, user_id, 4711, param=2**32 - 1)
            self.assertEqual(code, OK)
            error = ResultCode(4711)
            self.assertEqual(
                effects,
                [
                    Send((self.ann,), VideoCallNotice(FINISH, 2, error, 3, -1, MARKED)),
                    Send((self.ben,), VideoCallNotice(FINISH, 1, error, 3, -1, MARKED)),
                ],
            )

    def test_ringing(self):
        """FINISH, or a REPLY with a code, ends the ringing for both."""
        for event, user_id, error, told in (
            (FINISH, 1, 0, CANCEL),
            (FINISH, 2, 0, REJECT),
            (FINISH, 2, TIMEOUT, TIMEOUT),
            (REPLY, 2, BUSY, BUSY),
        ):
            self.core.ring(self.ann, self.ben)
            effects, code = self.control(event, user_id, error)
            self.assertEqual(code, OK)
            for session in self.ann, self.ben:
                (notice,) = sent(effects, session)
                self.assertEqual((notice.event, notice.error), (REPLY, told))

    def test_answer(self):
        """REPLY 0 answers in the callee's place."""
        self.core.ring(self.ann, self.ben)
        self.assertEqual(self.control(REPLY, 1), ([], ResultCode.FUNCOPTERROR))
        effects, code = self.control(REPLY, 2)
        self.assertEqual(code, OK)
        for session in self.ann, self.ben:
            self.assertEqual(sent(effects, session)[0].event, START)
        self.assertEqual(self.control(REPLY, 2), ([], IN_CALL))

    def test_refused(self):
        """Nobody there, no call, and what is not the business server's to do."""
        self.assertEqual(self.control(FINISH, 99), ([], ResultCode.INVALID_USERID))
        self.assertEqual(self.control(FINISH, 1), ([], IDLE))
        for event in REQUEST, START:
            self.assertEqual(self.control(event, 1), ([], ResultCode.FUNCNOTALLOW))

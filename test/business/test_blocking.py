"""A business server without Twisted, with real threads and a real connection."""

import inspect
import logging
import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from anychat.business.blocking import BlockingServer, StandardLog
from anychat.business.calls import Calls
from anychat.business.settings import Settings
from anychat.errors import ConfigError, LocalError, Refused
from test.business.with_core import run_script

#: Prints what the business server logs.
_LINES = """
            class Lines(logging.Handler):
                def emit(self, record):
                    if "Warning:" in record.getMessage() or "thread" in (
                        record.getMessage()) or record.levelno >= logging.ERROR:
                        print(record.levelname, record.getMessage().splitlines()[0])
            logging.getLogger("anychat.business").addHandler(Lines())
            logging.getLogger("anychat.business").setLevel(logging.INFO)
"""


class BlockingTests(SynchronousTestCase):
    """Each in a process of its own."""

    def test_verdictsAndCalls(self):
        """Callbacks run in other threads, and may call; the process ends at once."""
        lines = run_script(
            """
            server = BlockingServer(core.settings_file(), name="shop")
            main = threading.current_thread()

            @server.callback
            def verify_user(name, password):
                assert threading.current_thread() is not main
                assert server.get_online_users() == [7, 8]
                return UserVerdict(7, 1, name.title()) if password == "x" else 200

            server.start()
            assert server.wait_connected(10) and server.connected
            print(core.ask(VerifyUser("ann", "x")).nickname)
            print(int(core.ask(VerifyUser("ann", "y")).code))
            server.send_buf_to_user(7, b"hello")
            print(core.calls[-1])
            core.answer = Answer(ResultCode.INVALID_USERID)
            for call in (
                lambda: server.send_buf_to_user(9, b"hello"),
                lambda: server.set_sdk_option(31, 9),
                lambda: server.user_info_control(9, 110, text="secret"),
                lambda: server.set_sdk_option(30, "abc"),
            ):
                try:
                    call()
                except Refused as refused:
                    print(str(refused).partition(": ")[2])
            """
        )
        self.assertEqual(
            lines,
            [
                "Ann",
                "200",
                "SendBufToUser(user_id=7, data=b'hello')",
                "user id unknown: send_buf_to_user(user_id=9)",
                "user id unknown: set_sdk_option(option=31)",
                "user id unknown: user_info_control(user_id=9, control_code=110)",
                "bad parameters: value 'abc' is no number",
            ],
        )

    def test_subclass(self):
        """A subclass, as a context; one user's events come one after the other."""
        lines = run_script(
            """
            class Shop(BlockingServer):
                seen = []
                all_seen = threading.Event()

                def on_connected(self):
                    print("connected")

                def on_disconnected(self, code, reason):
                    print("disconnected", int(code))

                def on_user_enter_room_action(self, user_id, room_id):
                    if room_id % 2:
                        threading.Event().wait(0.001)
                    self.seen.append((user_id, room_id))
                    if len(self.seen) == 50:
                        self.all_seen.set()

            with Shop(Settings(server_port=core.port)) as shop:
                assert shop.wait_connected(10)
                core.tell(*[OnUserEnterRoomAction(user, room)
                            for room in range(10) for user in range(5)])
                assert shop.all_seen.wait(10)
                for user in range(5):
                    rooms = [room for other, room in shop.seen if other == user]
                    assert rooms == list(range(10)), rooms
                while core.do(core.service.statistics)["events_under_way"]:
                    pass
            assert not shop.connected
            print("stopped")
            shop.start()
            assert shop.wait_connected(10)
            """
        )
        self.assertEqual(lines[:1], ["connected"])
        self.assertIn("stopped", lines)

    def test_faults(self):
        """What raises is logged by its name, whatever it raises, and answered."""
        lines = run_script(
            f"""
            {_LINES}
            server = BlockingServer(Settings(server_port=core.port))
            @server.callback
            def verify_user(name, password):
                raise dict(ann=KeyError, bob=SystemExit, eve=KeyboardInterrupt)[name]
            server.prepare_enter_room = lambda *values: 0
            server.start()
            server.wait_connected(10)
            for name in ("ann", "bob", "eve"):
                print(int(core.ask(VerifyUser(name, "x")).code))
            print(server.statistics()["failed"])
            print(*[line for line in core.log if "Take no" in line][:1])
            """
        )
        self.assertEqual(
            lines[:-1],
            [line for _ in range(3) for line in ("ERROR verify_user failed", "206")]
            + ["3"],
        )
        self.assertIn("verify_user raised KeyError.(errorcode=206)", lines[-1])

    def test_hanging(self):
        """A callback that never returns keeps its thread; nobody else is blamed."""
        lines = run_script(
            f"""
            {_LINES}
            server = BlockingServer(Settings(server_port=core.port),
                                    callback_timeout=0.2, threads=2)
            called, go_on = [], threading.Event()
            @server.callback
            def verify_user(name, password):
                called.append(name)
                if name.startswith("slow"):
                    go_on.wait()
                return 200
            server.prepare_enter_room = lambda *values: 0
            server.start()
            server.wait_connected(10)
            for name in ("slow1", "slow2"):
                print(int(core.ask(VerifyUser(name, "x")).code))
            print(server.statistics()["held"])
            # Both threads are held: the next waits in vain, and is never called.
            print(int(core.ask(VerifyUser("eve", "x")).code))
            go_on.set()
            while server.statistics()["held"]:
                pass
            print(int(core.ask(VerifyUser("bob", "x")).code))
            print(called, [server.statistics()[key] for key in ("given_up", "expired")])
            """
        )
        given_up = "WARNING Warning:verify_user was not done in 0.2 s and is given up"
        self.assertCountEqual(
            lines,
            [
                given_up,
                f"{given_up} (once more)",
                "207",
                "WARNING Warning:All 2 threads are held by callbacks that were given "
                "up (verify_user: 2), and nothing is called before one of them "
                "returns: give what they wait for a time-out",
                "207",
                "2",
                "WARNING Warning:verify_user was not called: for 1 s others were under "
                "way, and the core waits no longer",
                "207",
                "INFO A thread is free again, callbacks go on",
                "200",
                "['slow1', 'slow2', 'bob'] [2, 1]",
            ],
        )

    def test_eventsOfHeldThreads(self):
        """An event that no thread was free for is told again, and not lost."""
        lines = run_script(
            """
            server = BlockingServer(Settings(server_port=core.port),
                                    callback_timeout=0.2, threads=1)
            seen, go_on = [], threading.Event()
            @server.callback
            def on_user_enter_room_action(user_id, room_id):
                seen.append(room_id)
                go_on.wait()
            server.start()
            server.wait_connected(10)
            core.tell(OnUserEnterRoomAction(7, 1), OnUserEnterRoomAction(8, 2))
            while not server.statistics()["held"]:
                pass
            threading.Event().wait(0.5)
            print(seen, core.do(core.service.statistics)["events_under_way"])
            go_on.set()
            while core.do(core.service.statistics)["events_under_way"]:
                pass
            print(seen)
            """
        )
        self.assertEqual(lines, ["[1] 1", "[1, 2]"])

    def test_notConnected(self):
        """A call without a core fails at once; one before the start says so."""
        lines = run_script(
            """
            server = BlockingServer(Settings(server_port=1))
            for start in (lambda: None, server.start):
                start()
                try:
                    server.get_room_id_list()
                except Refused as refused:
                    print(refused)
            print(server.wait_connected(0.1), server.connected)
            """
        )
        self.assertEqual(
            lines,
            [
                "2 NOTINIT: SDK/system not initialised: the business server is not "
                "started",
                "101 CONNECT_ABORT: connection to server broke: get_room_id_list(): "
                "the core server is not connected",
                "False False",
            ],
        )

    def test_wrongThread(self):
        """A call in the reactor's own thread would wait for itself."""
        lines = run_script(
            """
            server = BlockingServer(Settings(server_port=core.port))
            server.start()
            try:
                core.do(server.get_room_id_list)
            except LocalError as error:
                print(error)
            """
        )
        self.assertEqual(lines, ["this call would wait in the reactor's own thread"])

    def test_fork(self):
        """After a fork a call says what to do, and the process can end."""
        lines = run_script(
            """
            import os, sys
            server = BlockingServer(Settings(server_port=core.port))
            server.start()
            server.wait_connected(10)
            sys.stdout.flush()
            child = os.fork()
            if not child:
                try:
                    server.get_room_id_list()
                except LocalError as error:
                    print(error)
                try:
                    server.start()
                except LocalError as error:
                    print(error)
                print(server.connected)
                try:
                    server.wait_connected(1)
                except LocalError as error:
                    print(error)
                server.stop()
                try:
                    server.start()
                except LocalError as error:
                    print(error)
                sys.exit()
            os.waitpid(child, 0)
            print(server.get_room_id_list())
            """
        )
        forked = (
            "the business server was started before this process was forked: start it "
            "in each process, after the fork"
        )
        self.assertEqual(
            lines,
            [
                forked,
                "the business server has been started already",
                "False",
                forked,
                forked,
                "[7, 8]",
            ],
        )

    def test_reactorOfItsOwn(self):
        """A program that runs the reactor itself is told what to use."""
        lines = run_script(
            """
            from twisted.internet import reactor
            from anychat.business.blocking import BlockingServer
            from anychat.business.settings import Settings
            from anychat.errors import LocalError
            def run():
                try:
                    BlockingServer(Settings()).start()
                except LocalError as error:
                    print(error)
                reactor.stop()
            reactor.callWhenRunning(run)
            reactor.run()
            """,
            prologue="",
        )
        self.assertEqual(
            lines,
            [
                "Twisted's reactor runs in this process already: use "
                "anychat.business.server.BusinessServer with it"
            ],
        )


class DeclarationTests(SynchronousTestCase):
    """Without a thread."""

    def test_everyCall(self):
        """Every call is here, with the same arguments."""
        for name, call in inspect.getmembers(Calls, inspect.isfunction):
            if not name.startswith("_"):
                mine = inspect.signature(getattr(BlockingServer, name))
                theirs = inspect.signature(call)
                self.assertEqual(mine.parameters, theirs.parameters, name)

    def test_settings(self):
        """The file is read by whoever makes the server, with its mistakes."""
        path = Path(self.mktemp())
        path.write_text("[Base Settings]\nServerPort=x\n")
        self.assertRaises(ConfigError, BlockingServer, path)
        self.assertRaises(ConfigError, BlockingServer, Settings("core"))
        self.assertEqual(BlockingServer(Settings(), name="b").settings.name, "b")
        for name in ("", "a\nb", "x" * 65):
            error = self.assertRaises(
                ConfigError, BlockingServer, Settings(), name=name
            )
            self.assertIn("[Base Settings] Name=", str(error))

    def test_options(self):
        """What an option cannot be is told when the server is made."""
        for options in (
            {"threads": 0},
            {"callback_timeout": -1},
            {"call_timeout": "x"},
        ):
            self.assertRaises(ValueError, BlockingServer, Settings(), **options)

    def test_callbacks(self):
        """Only plain functions with the right name and arguments."""
        server = BlockingServer(Settings())

        async def verify_user(name, password):
            return 200

        self.assertRaises(TypeError, server.callback, verify_user)
        self.assertRaises(ValueError, server.callback, os.getpid)

        class Shop(BlockingServer):
            async def verify_user(self, name, password):
                return 200

        self.assertRaises(TypeError, Shop(Settings()).start)
        self.assertRaises(Refused, server.get_online_users)

    def test_stopWithoutStart(self):
        """There is nothing to stop."""
        BlockingServer(Settings()).stop()

    def test_log(self):
        """What somebody should see to is a warning, a failure an error."""
        records = []

        class Records(logging.Handler):
            def emit(self, record):
                records.append((record.levelname, record.getMessage().split("\n")[0]))

        logger = logging.getLogger("anychat.business")
        handler = Records()
        logger.addHandler(handler)
        self.addCleanup(logger.removeHandler, handler)
        self.patch(logger, "propagate", False)
        log = StandardLog()
        log("Success connected to anychatcoreserver")
        log("Warning:100% wrong")
        try:
            raise LocalError
        except LocalError:
            log.failure("verify_user failed")
        self.assertEqual(
            records,
            [("WARNING", "Warning:100% wrong"), ("ERROR", "verify_user failed")],
        )

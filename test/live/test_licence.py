"""The licence of a real server, as its users and its operator see it."""

import json
from urllib.request import urlopen

from twisted.internet.threads import deferToThread

from anychat.codes import ResultCode
from test.licences import make_licence
from test.live.call import pause, until
from test.live.server import free_ports
from test.live.test_client import LiveClientCase

#: Seconds within which a new file is taken up: two looks, and some to spare.
TAKEN_UP = 15.0


class LicenceTests(LiveClientCase):
    """Outside demo mode."""

    async def connected(self, server):
        """A client that has not signed in."""
        client = self.client()
        await client.connect("127.0.0.1", server.tcp_port)
        return client

    async def standing(self, http):
        """What ``/health`` says of the licence."""

        def read():
            with urlopen(f"http://127.0.0.1:{http}/health", timeout=10) as answer:
                return json.load(answer)["licence"]

        return await deferToThread(read)

    async def test_life(self):
        """The ports open without one; it is taken up, and renewed, while it runs."""
        http, _ = free_ports()
        server = await self.start(
            Base={"DemoMode": 0, "LicenseCA": "licence-ca.pem"},
            Http={"ListenPort": http},
        )
        before, opened, _ = server.text.partition("Start TCP Server Successed")
        self.assertTrue(opened)
        self.assertIn("Read certification file failed.(errorcode=711)", before)
        early = await self.connected(server)
        self.assertEqual(
            await self.code(early.login("ann", "")), ResultCode.CERTVERIFYFAILED
        )
        standing = await self.standing(http)
        self.assertEqual((standing["standing"], standing["code"]), ("refused", 711))

        make_licence(server.directory, max_users=1)
        await until(
            lambda: "Authorized certification success!" in server.text, TAKEN_UP
        )
        await early.login("ann", "")
        late = await self.connected(server)
        self.assertEqual(
            await self.code(late.login("ben", "")), ResultCode.CONNECT_OVERFLOW
        )
        standing = await self.standing(http)
        self.assertEqual((standing["standing"], standing["max_users"]), ("valid", 1))
        await early.logout()
        await late.login("ben", "")

    async def test_nobodyIsCut(self):
        """Whatever becomes of the licence, who is there stays and goes on."""
        http, _ = free_ports()
        server = await self.start(Base={"DemoMode": 0}, Http={"ListenPort": http})
        ann, ben, cat = [await self.connected(server) for _ in range(3)]
        for client, name in (ann, "ann"), (ben, "ben"):
            await client.login(name, "")
            await client.enter_room(1)
        make_licence(server.directory, max_users=1)
        while (await self.standing(http))["max_users"] != 1:
            await pause(0.2)
        self.assertEqual(
            await self.code(cat.login("cat", "")), ResultCode.CONNECT_OVERFLOW
        )
        (server.directory / "AnyChat.cer").write_bytes(b"nonsense")
        await until(lambda: "(errorcode=802)" in server.text, TAKEN_UP)
        self.assertEqual((await self.standing(http))["standing"], "grace")
        await ben.leave_room()
        await ben.enter_room(1)
        await ann.trans_buffer(b"still here")
        self.assertEqual((ann.room_id, ben.room_id), (1, 1))

"""Buffers and files through a server in a process of its own."""

import hashlib
import os
import subprocess
from pathlib import Path

from twisted.internet import reactor
from twisted.trial.unittest import SkipTest

from anychat.business.server import BusinessServer
from anychat.business.settings import Settings
from anychat.codes import ResultCode, TransTaskInfo
from anychat.log import Log
from test.live.call import until
from test.live.server import free_ports
from test.live.test_client import LiveClientCase

MB = 1 << 20


class Shop(BusinessServer):
    """A business server that takes what is sent to it."""

    def __init__(self, port):
        super().__init__(reactor, Settings(server_port=port), log=Log())
        self.buffers = {}
        self.files = []

    def on_trans_buffer_ex(
        self, user_id, wparam, lparam, task_id, length, offset, data
    ):
        """Put a buffer together."""
        self.buffers[task_id] = self.buffers.get(task_id, b"") + data

    async def on_trans_file(
        self, user_id, file_name, temp_path, length, wparam, lparam, task_id
    ):
        """Fetch a file."""
        data = b""
        while len(data) < length:
            data += (await self.fetch_file(task_id, len(data))).data
        self.files.append((user_id, file_name, temp_path, data))


class TransferTests(LiveClientCase):
    """What users send each other, and the server."""

    async def setUp(self):
        self.channel = free_ports()[0]
        self.server = await self.start(
            Function={"SDKFilterPlus": "libipcfilterplus.so"},
            Business={"ListenPort": self.channel, "RequireBusiness": 0},
            Transfer={"MaxFileSize": 64, "UserQuota": 40},
        )
        self.ann, self.ben = await self.user("ann"), await self.user("ben")

    async def user(self, name):
        """A user who is logged in."""
        # The pauses before somebody comes back are not the subject here.
        client = self.client(uniform=lambda low, high: 0.05)
        client.transfers.directory = Path(self.mktemp())
        await client.connect("127.0.0.1", self.server.tcp_port)
        await client.login(name, "x")
        return client

    async def shop(self):
        """A business server that is connected."""
        shop = Shop(self.channel)
        shop.startService()
        self.addCleanup(shop.stopService)
        await until(lambda: shop.connected)
        return shop

    def file(self, length, name="a.bin"):
        """A file of that many random bytes."""
        directory = Path(self.mktemp())
        directory.mkdir()
        path = directory / name
        path.write_bytes(os.urandom(length))
        return path

    def told(self, client, name):
        """The arguments of a client's events of that name."""
        return [item[1:] for item in client.events.seen if item[0] == name]

    async def test_buffer(self):
        """The largest buffer there is, and the smallest."""
        for data in (os.urandom(MB), b"x"):
            task = self.ann.transfers.trans_buffer_ex(self.ben.user_id, data, 1, -1)
            await task.done()
            ((source, got, *rest),) = self.told(self.ben, "on_trans_buffer_ex")
            self.assertEqual((source, got), (self.ann.user_id, data))
            self.assertEqual(rest, [1, -1, task.task_id])
            del self.ben.events.seen[:]

    async def test_file(self):
        """A file arrives whole, under a name that is safe."""
        path = self.file(5 * MB + 7)
        evil = path.with_name("..\\..\\boot.ini")
        path.rename(evil)
        task = await self.ann.transfers.trans_file(self.ben.user_id, evil).done()
        ((source, name, got, *_),) = self.told(self.ben, "on_trans_file")
        self.assertEqual((source, name), (self.ann.user_id, evil.name))
        self.assertEqual(Path(got).name, "boot.ini")
        self.assertEqual(Path(got).read_bytes(), evil.read_bytes())
        self.assertEqual(task.query(TransTaskInfo.PROGRESS), 100)

    async def test_cuts(self):
        """Links that are cut again and again cost a window each, and no byte."""
        path = self.file(20 * MB)
        task = self.ann.transfers.trans_file(self.ben.user_id, path)
        cuts = 20
        for cut in range(1, cuts + 1):
            await until(
                lambda at=cut: task.over or task.offset >= at * 20 * MB // (cuts + 1),
                step=0.001,
            )
            client = self.ann if cut % 2 else self.ben
            client._session.connection.link.transport.abortConnection()
        await task.done()
        ((_, _, got, *_),) = self.told(self.ben, "on_trans_file")
        self.assertEqual(Path(got).read_bytes(), path.read_bytes())
        self.assertLessEqual(task.sent_again, cuts * MB)
        self.assertNotIn("Traceback", self.server.text)

    async def test_manyAtOnce(self):
        """Many at once, both ways, beside other requests."""
        data = os.urandom(3000)
        tasks = [
            sender.transfers.trans_buffer_ex(receiver.user_id, data)
            for _ in range(150)
            for sender, receiver in ((self.ann, self.ben), (self.ben, self.ann))
        ]
        for task in tasks:
            await task.done()
        for client in (self.ann, self.ben):
            buffers = self.told(client, "on_trans_buffer_ex")
            self.assertEqual({data for _, data, *_ in buffers}, {data})
            self.assertEqual(len(buffers), 150)

    async def test_toBusinessServer(self):
        """Files and buffers for user 0 reach the business server."""
        transfers = self.ann.transfers
        code = await self.code(transfers.trans_buffer_ex(0, b"x").done())
        self.assertEqual(code, ResultCode.SERVERSDK_FAIL)
        shop = await self.shop()
        data = os.urandom(200_000)
        await transfers.trans_buffer_ex(0, data).done()
        path = self.file(3 * MB, "../../etc/passwd".rpartition("/")[2])
        await transfers.trans_file(0, path).done()
        await until(lambda: shop.files)
        self.assertEqual(list(shop.buffers.values()), [data])
        ((user_id, name, where, got),) = shop.files
        self.assertEqual((user_id, name), (self.ann.user_id, "passwd"))
        self.assertEqual(got, path.read_bytes())
        temp = self.server.directory / "temp" / str(user_id)
        self.assertEqual(Path(where).parent, temp.resolve())
        self.assertEqual(os.listdir(temp), ["passwd"])
        code = await self.code(shop.fetch_file(999))
        self.assertEqual(code, ResultCode.TRANSFILE_NOTASK)

    async def test_largestToBusinessServer(self):
        """The largest buffers reach the business server whole, one after the other."""
        shop = await self.shop()
        sent = [os.urandom(MB) for _ in range(4)]
        for task in [self.ann.transfers.trans_buffer_ex(0, data) for data in sent]:
            await task.done()
        await until(lambda: sum(map(len, shop.buffers.values())) == 4 * MB)
        self.assertEqual(sorted(shop.buffers.values()), sorted(sent))

    async def test_ofBusinessServer(self):
        """A business server sends files and buffers as user 0."""
        shop = await self.shop()
        data, path = os.urandom(200_000), self.file(2 * MB)
        await shop.trans_buffer_ex(self.ann.user_id, data, 1, 2, 3)
        await shop.trans_file(self.ann.user_id, path, 1, 2, 3)
        await until(lambda: self.told(self.ann, "on_trans_file"))
        ((source, got, *words),) = self.told(self.ann, "on_trans_buffer_ex")
        self.assertEqual((source, got, words[:2]), (0, data, [1, 2]))
        ((source, _, where, *_),) = self.told(self.ann, "on_trans_file")
        self.assertEqual(source, 0)
        self.assertEqual(Path(where).read_bytes(), path.read_bytes())
        code = await self.code(shop.trans_buffer_ex(99, b"x"))
        self.assertEqual(code, ResultCode.INVALID_USERID)

    async def test_refused(self):
        """Wrong targets and sizes have their codes, and cost nothing."""
        transfers, path = self.ann.transfers, self.file(9)
        for target, code in ((99, 205), (-1, 205), (self.ann.user_id, 21)):
            for task in (
                transfers.trans_file(target, path),
                transfers.trans_buffer_ex(target, b"x"),
            ):
                self.assertEqual(await self.code(task.done()), code)
        large = self.file(1)
        os.truncate(large, 65 * MB)
        task = transfers.trans_file(self.ben.user_id, large)
        self.assertEqual(await self.code(task.done()), 712)
        os.truncate(large, 41 * MB)
        task = transfers.trans_file(0, large)
        self.assertEqual(await self.code(task.done()), 43)

    async def test_vanished(self):
        """A receiver that logs out in the middle is the sender's 715."""
        self.ann.transfers.bitrate_cap = 8 * MB
        task = self.ann.transfers.trans_file(self.ben.user_id, self.file(10 * MB))
        await until(lambda: task.offset > 0)
        await self.ben.logout()
        self.assertEqual(await self.code(task.done()), 715)
        await self.ann.send_text("still here", self.ann.user_id)

    async def test_cancelled(self):
        """Either side may cancel; nothing stays at the receiver."""
        self.ann.transfers.bitrate_cap = 8 * MB
        for side in (self.ann, self.ben):
            task = self.ann.transfers.trans_file(self.ben.user_id, self.file(10 * MB))
            await until(lambda task=task: task.offset > 0)
            side.transfers.cancel(task.task_id)
            self.assertEqual(await self.code(task.done()), 6)
            await until(lambda: not os.listdir(self.ben.transfers.directory))

    async def test_newSession(self):
        """After a lost session only the rest is sent."""
        self.ann.transfers.bitrate_cap = 80 * MB
        path = self.file(20 * MB)
        task = self.ann.transfers.trans_file(self.ben.user_id, path)
        await until(lambda: task.offset > 5 * MB)
        # A token that the server does not know: the client logs in anew.
        self.ann._session._token = bytes(16)
        self.ann._session.connection.link.transport.abortConnection()
        await task.done()
        ((_, _, got, *_),) = self.told(self.ben, "on_trans_file")
        digest = hashlib.sha256(Path(got).read_bytes())
        self.assertEqual(digest.digest(), hashlib.sha256(path.read_bytes()).digest())
        self.assertLess(task.sent_again, 2 * MB)


class FullDiskTests(LiveClientCase):
    """A server whose disk is full."""

    async def test_fullDisk(self):
        """715 to the sender, no .part stays, and the server goes on."""
        disk = Path(self.mktemp()).resolve()
        disk.mkdir()
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=3m", "none", disk],
            capture_output=True,
            check=False,
        )
        if mounted.returncode:
            raise SkipTest("needs root: mounts a small file system")
        self.addCleanup(subprocess.run, ["umount", disk], check=True)
        server = await self.start(Function={"TempFilePath": disk})
        self.addCleanup(server.stop)
        client = self.client()
        await client.connect("127.0.0.1", server.tcp_port)
        await client.login("ann", "x")
        path = Path(self.mktemp())
        path.write_bytes(os.urandom(2 * MB))
        tasks = [client.transfers.trans_file(0, path) for _ in range(3)]
        codes = []
        for task in tasks:
            try:
                await task.done()
                codes.append(0)
            except Exception:
                codes.append(int(task.code))
        self.assertEqual(set(codes) - {0}, {715})
        await until(lambda: not list(disk.rglob("*.part")))
        for file in disk.rglob("*"):
            if file.is_file():
                file.unlink()
        await client.transfers.trans_file(0, path).done()
        self.assertNotIn("Traceback", server.text)

"""What an application has encrypted passes through a server bit by bit.

The encryption callback (CBTYPE 15) works between clients: to the server texts,
buffers and files are noise.  That media is, too, `test.live.test_call` and
`test.media.test_native` show: the server has no key that it uses, and forwards
the very bytes.
"""

import os
from base64 import b64encode

from test.live.call import until
from test.live.test_client import LiveClientCase

#: Every byte, and then noise.
NOISE = bytes(range(256)) + os.urandom(700)
#: What a cipher makes of a text: BMP, astral and control characters.
SEALED = "".join(map(chr, [*range(0xD800), *range(0xE000, 0xFFFE), 0x1F510]))[:5000]
SEALED_BYTES = b64encode(os.urandom(9000)).decode()


class PayloadTests(LiveClientCase):
    """Two users whose application encrypts."""

    async def test_untouched(self):
        """Texts, buffers, big buffers and what is said in calls arrive as sent."""
        server = await self.start()
        ann, ben = self.client(), self.client()
        for client, name in (ann, "ann"), (ben, "ben"):
            await client.connect("127.0.0.1", server.tcp_port)
            await client.login(name, "x")
            await client.enter_room(1)
        told = []
        ben.events.on_text_message = lambda *told_of: told.append(told_of[3])
        ben.events.on_trans_buffer = lambda source, data: told.append(data)
        ben.events.on_trans_buffer_ex = lambda source, data, *_: told.append(data)
        ben.events.on_video_call_event = lambda *told_of: told.append(told_of[5])
        for text in SEALED, SEALED[::-1], SEALED_BYTES:
            await ann.send_text(text)
            await ann.send_text(text, ben.user_id, secret=True)
        await ann.trans_buffer(NOISE, ben.user_id)
        await ann.trans_buffer(NOISE[::-1])
        await ann.video_calls.request(ben.user_id, text=SEALED)
        big = os.urandom(1 << 20)
        await ann.transfers.trans_buffer_ex(ben.user_id, big).done()
        await until(lambda: len(told) == 10)
        texts = [SEALED] * 2 + [SEALED[::-1]] * 2 + [SEALED_BYTES] * 2
        self.assertEqual(told[:9], [*texts, NOISE, NOISE[::-1], SEALED])
        self.assertEqual(told[9], big)

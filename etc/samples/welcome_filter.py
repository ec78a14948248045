"""A plug-in for the AnyChat core server, to copy and change.

It lets in who is in `USERS` with the right password, greets everybody who signs
in, and sends back what clients send to it.  In AnyChatCoreServer.ini:

    [Function Settings]
    SDKFilterPlus=/path/to/welcome_filter.py

The server calls the functions below, all in its own thread: each should return
at once.  What takes time belongs into another thread, as in `verify_user`, or
into a coroutine.  A function that is left out is not used: without
`prepare_enter_room`, say, the server decides itself who enters which room.
"""

import hashlib
import hmac

from twisted.internet.threads import deferToThread
from twisted.logger import Logger

#: Writes into the server's log, which shows what is of the namespace "anychat".
log = Logger(namespace="anychat.welcome_filter")

#: What `verify_user` and `prepare_enter_room` may answer besides 0, which means
#: yes.  Any other number does, too: it reaches the client as it is.
CERTIFY_FAIL, ROOM_PASSERR = 200, 301


def hashed(password, salt):
    """What is kept instead of a password."""
    return hashlib.scrypt(password.encode(), salt=salt, n=16384, r=8, p=1, dklen=32)


#: Who may sign in: name -> (id, level, salt, hash).  Ids are positive and unique.
#: The hash of another password is printed by
#:     python3 -c "import welcome_filter as w; print(w.hashed('secret', b'salt').hex())"
USERS = {
    "alice": (
        1001,
        5,
        b"h7Qx2u",
        "c73793e8ca088a3d1316ed7553f0c3b68ffd02a3aaa93ddc5323ec48227f9ee5",
    ),
    "bob": (
        1002,
        0,
        b"Zk09aw",
        "47221a615db4a7feaffc757c1b0f3a8c3e7c58bf249921eea2009e0ed6ad3814",
    ),
}

#: The handle of everybody who is signed in.  It stands for the session: what is
#: sent with an old handle reaches nobody.
handles = {}

#: Sends data to a client: send(user_id, handle, data).  May be called from
#: anywhere, other threads included.
send = None


def get_version():
    """What the server's log calls the plug-in."""
    return "welcome_filter.py 1.0"


def init_filter(send_callback):
    """The server has started.  True: the plug-in is ready."""
    global send
    send = send_callback
    return True


def check(name, password):
    """Whether that is the password; takes a while, as it should."""
    user_id, level, salt, wanted = USERS.get(name, (0, 0, b"nobody", ""))
    right = hmac.compare_digest(hashed(password, salt).hex(), wanted)
    return (0, user_id, level, name.title()) if right else CERTIFY_FAIL


def verify_user(name, password):
    """May this user sign in?  (0, user id, level, nickname), or a code: no."""
    return deferToThread(check, name, password)


def prepare_enter_room(user_id, room_id, room_name, password):
    """May this user enter that room?  0, or a code: no."""
    # Rooms from 1000 on want a password; everybody may enter the others.
    if room_id >= 1000 and password != "open sesame":
        return ROOM_PASSERR
    return 0


def on_user_login_action(user_id, name, level, ip, handle):
    """A user has signed in; guests have negative ids."""
    handles[user_id] = handle
    send(user_id, handle, f"Welcome, {name}!".encode())


def on_user_logout_action(user_id):
    """A user has signed out, or the connection is lost."""
    handles.pop(user_id, None)


def on_user_enter_room_action(user_id, room_id):
    """A user has entered a room."""
    log.info("user {user} is in room {room}", user=user_id, room=room_id)


def on_user_leave_room_action(user_id, room_id):
    """A user has left a room."""
    log.info("user {user} is no more in room {room}", user=user_id, room=room_id)


def on_recv_user_filter_data(user_id, data):
    """A client has sent us data: send it back."""
    send(user_id, handles[user_id], data)


def on_recv_user_text_msg(room_id, source_id, target_id, secret, text):
    """A user has written to another one, or (target_id -1) to the whole room."""
    log.info("user {source} wrote to {target}", source=source_id, target=target_id)


def release_filter():
    """The server ends."""
    handles.clear()

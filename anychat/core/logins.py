"""Logins: granted at once, put to an arbiter, or refused.

::

    LinkLogin --> guest, or nobody to ask ----------------> granted or refused
        |
        | named, and an arbiter is there
        v
    VERIFYING --UserVerified--> granted or refused
        |
        | LoginDropped
        v
    forgotten

A user whose login is being verified is not signed in: it has no id yet, and
nobody can see or reach it.
"""

from anychat.business_messages import (
    MAX_LEVEL,
    MAX_USER_ID,
    Arbiter,
    Verdict,
    VerifyUser,
)
from anychat.codes import ResultCode
from anychat.core.changes import Change, LoginAsked, LoginSettled
from anychat.core.commands import LinkLogin, LoginDropped, UserVerified
from anychat.core.effects import (
    AskVerifyUser,
    QuestionClosed,
    RefuseLogin,
    WithdrawQuestion,
)
from anychat.core.licence import refuse_beyond_seats, refuse_login
from anychat.core.names import folded, is_blank, is_fit
from anychat.core.roster import make_way, start, start_guest, start_named
from anychat.core.state import PendingLogin, Session, State
from anychat.core.turn import ChangeTable, CommandTable, Turn
from anychat.errors import LocalError, Refused
from anychat.ids import UserId
from anychat.messages import Login


def login(turn: Turn, command: LinkLogin) -> None:
    """Grant or refuse a login, or ask whoever decides about it."""
    message = command.message
    asked = PendingLogin(
        command.session,
        command.link,
        command.request,
        message.name,
        command.address,
        message.local_address,
        command.device,
        command.secure,
    )
    try:
        _check(turn, message)
        if not message.password:
            start_guest(turn, asked)
        elif turn.state.verifier is Arbiter.THERE:
            _ask(turn, asked, message.password)
        else:
            start_named(turn, asked)
    except Refused as refused:
        _refuse(turn, asked, refused)


def dropped(turn: Turn, command: LoginDropped) -> None:
    """Nobody waits for the verdict any more."""
    asked = turn.state.verifying.get(command.session)
    if asked is not None:
        turn.changes.append(LoginSettled(asked.session))
        turn.effects.append(WithdrawQuestion(asked.session, asked.address))


def verified(turn: Turn, command: UserVerified) -> None:
    """Take the verdict on a login, if somebody still waits for it."""
    asked = turn.state.verifying.get(command.session)
    if asked is None:
        turn.effects.append(QuestionClosed(command.session))
        return
    turn.changes.append(LoginSettled(asked.session))
    verdict = command.verdict
    try:
        if verdict.code != ResultCode.SUCCESS:
            raise Refused(verdict.code)
        refuse_login(turn)
        _check_verdict(turn.state, asked, verdict)
        user_id = UserId(verdict.user_id)
        make_way(turn, user_id)
    except Refused as refused:
        _refuse(turn, asked, refused)
        return
    nickname = verdict.nickname
    if is_blank(nickname) or not is_fit(nickname):
        nickname = asked.name
    start(turn, asked, user_id, verdict.level, nickname)


def _check(turn: Turn, message: Login) -> None:
    refuse_login(turn)
    if is_blank(message.name):
        raise Refused(ResultCode.LOGIN_EMPTYNAME)
    if not is_fit(message.name) or not is_fit(message.local_address):
        raise Refused(ResultCode.FUNCOPTERROR)
    if turn.settings.demo_mode:
        return
    if not message.password:
        if not turn.settings.allow_guest_login:
            raise Refused(ResultCode.VISITOR_DENY)
    elif turn.state.verifier is not Arbiter.THERE:
        # Only an arbiter can tell whether the password is right.
        raise Refused(ResultCode.SERVERSDK_FAIL)


def _check_verdict(state: State, asked: PendingLogin, verdict: Verdict) -> None:
    """Refuse what no session can be made of; the operator is told why."""
    user_id, level = verdict.user_id, verdict.level
    fault = ""
    if not 1 <= user_id <= MAX_USER_ID:
        fault = f"id {user_id}, ids are 1 to {MAX_USER_ID}"
    elif not 0 <= level <= MAX_LEVEL:
        fault = f"level {level}, levels are 0 to {MAX_LEVEL}"
    else:
        owner = state.session_of(user_id)
        if owner is not None and not _may_take_over(state, owner, asked.name):
            fault = f"id {user_id}, which is that of {owner.name} who is online"
    if fault:
        raise Refused(
            ResultCode.INVALID_USERID,
            f"VerifyUser gave user {asked.name} the {fault}",
        )


def _may_take_over(state: State, owner: Session, name: str) -> bool:
    """Whether that can be the owner of an id once more, and no second user.

    Applications take a name in several spellings; and a session without a link
    never stands in the way.
    """
    return owner.id in state.held or folded(owner.name) == folded(name)


def _ask(turn: Turn, asked: PendingLogin, password: str) -> None:
    state = turn.state
    if asked.name not in state.by_name:
        # A full server does not have passwords looked at in vain.  Whether it is
        # the owner of a session once more, only the verdict tells for certain.
        refuse_beyond_seats(turn)
    if asked.session in state.sessions or asked.session in state.verifying:
        raise LocalError(f"session id {asked.session} is not fresh")
    turn.changes.append(LoginAsked(asked))
    turn.effects.append(AskVerifyUser(asked.session, VerifyUser(asked.name, password)))


def _refuse(turn: Turn, asked: PendingLogin, refused: Refused) -> None:
    turn.effects.append(
        RefuseLogin(asked.link, asked.request, refused.code, refused.reason)
    )


def _apply_asked(state: State, change: LoginAsked) -> None:
    login = change.login
    if login.session in state.verifying or login.session in state.sessions:
        raise LocalError(f"login {login.session} is there already")
    state.verifying[login.session] = login


def _apply_settled(state: State, change: LoginSettled) -> None:
    del state.verifying[change.session]


def snapshot(state: State) -> list[Change]:
    """The changes that bring back which logins wait for a verdict."""
    return [LoginAsked(login) for login in state.verifying.values()]


#: What is decided here, by the type of the command.
COMMANDS: CommandTable = {
    LinkLogin: login,
    LoginDropped: dropped,
    UserVerified: verified,
}

#: What is folded here, by the type of the change.
CHANGES: ChangeTable = {LoginAsked: _apply_asked, LoginSettled: _apply_settled}

"""What the licence lets the core do.

It keeps out who would come, and never sends away who is there: a session goes on,
held or not, whatever the terms become.  Who signs in again in place of his own
session takes no seat.
"""

from anychat.codes import ResultCode
from anychat.core.changes import Change, TermsSet
from anychat.core.commands import TermsChanged
from anychat.core.state import State
from anychat.core.turn import ChangeTable, CommandTable, Turn
from anychat.errors import Refused


def terms_changed(turn: Turn, command: TermsChanged) -> None:
    """Obey other terms from now on."""
    if command.terms != turn.state.terms:
        turn.changes.append(TermsSet(command.terms))


def refuse_login(turn: Turn) -> None:
    """Refuse a login while nobody new may sign in.

    :raises Refused: 28, 33.
    """
    if turn.state.terms.login_refusal != ResultCode.SUCCESS:
        raise Refused(turn.state.terms.login_refusal)


def refuse_beyond_seats(turn: Turn) -> None:
    """Refuse a login that takes a seat while there is none.

    :raises Refused: 104, in demo mode 105.
    """
    terms = turn.state.terms
    if terms.max_users and len(turn.state.users) >= terms.max_users:
        raise Refused(terms.overflow)


def refuse_entry(turn: Turn) -> None:
    """Refuse an entry or a call while there may be no new ones.

    :raises Refused: 28, 33.
    """
    if turn.state.terms.entry_refusal != ResultCode.SUCCESS:
        raise Refused(turn.state.terms.entry_refusal)


def _apply_set(state: State, change: TermsSet) -> None:
    state.terms = change.terms


def snapshot(state: State) -> list[Change]:
    """The change that brings the terms back."""
    return [TermsSet(state.terms)]


#: What is decided here, by the type of the command.
COMMANDS: CommandTable = {TermsChanged: terms_changed}

#: What is folded here, by the type of the change.
CHANGES: ChangeTable = {TermsSet: _apply_set}

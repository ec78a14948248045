"""The table of hooks."""

from dataclasses import fields

from twisted.trial.unittest import SynchronousTestCase

from anychat.business_messages import (
    OnUserLoginAction,
    OnUserLogoutActionEx,
    VerifyUser,
)
from anychat.codes import ResultCode
from anychat.filters.hooks import HANDLE, HOOK_OF, HOOKS, KINDS


class HookTests(SynchronousTestCase):
    """Names and arguments, as the product has them."""

    def test_exports(self):
        """The functions are those of SDK Filter Plus."""
        self.assertEqual(
            [hook.export for hook in HOOKS],
            [
                "BRFP_VerifyUser",
                "BRFP_PrepareEnterRoom",
                "BRFP_OnUserLoginAction",
                "BRFP_OnUserLogoutAction",
                "BRFP_OnUserEnterRoomAction",
                "BRFP_OnUserLeaveRoomAction",
                "BRFP_OnRecvUserFilterData",
                "BRFP_OnRecvUserTextMsg",
            ],
        )
        self.assertEqual([hook.name for hook in HOOKS if hook.asks], [
            "verify_user", "prepare_enter_room",
        ])  # fmt: skip

    def test_arguments(self):
        """Every argument is a field of the message, or the handle at the end."""
        for hook in HOOKS:
            names = {field.name for field in fields(hook.message)}
            for at, name in enumerate(hook.arguments):
                self.assertIn(name, KINDS)
                if name == HANDLE:
                    self.assertEqual(at, len(hook.arguments) - 1)
                else:
                    self.assertIn(name, names)

    def test_values(self):
        """The values come in the order of the parameters."""
        login = HOOK_OF[OnUserLoginAction]
        event = OnUserLoginAction(7, "ann", 3, "10.0.0.1")
        self.assertEqual(login.values(event, 9), (7, "ann", 3, "10.0.0.1", 9))
        logout = HOOK_OF[OnUserLogoutActionEx]
        self.assertEqual(
            logout.values(OnUserLogoutActionEx(7, ResultCode.SUCCESS)), (7,)
        )
        verify = HOOK_OF[VerifyUser]
        self.assertEqual(verify.values(VerifyUser("ann", "x")), ("ann", "x"))

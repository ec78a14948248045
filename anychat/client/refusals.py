"""Which refusals are a server's last word, and which may pass."""

from anychat.codes import ResultCode

#: With these codes a server will say no again: no use in coming back.
FINAL = frozenset(
    {
        ResultCode.PROTOCOLFAIL,
        ResultCode.FUNCNOTALLOW,
        ResultCode.VERSIONNOTMATCH,
        ResultCode.CERTVERIFYFAIL,
        ResultCode.CERTHIGHSECURITY,
        ResultCode.CONNECT_AUTHFAIL,
        ResultCode.CONNECT_FUNCLIMIT,
        ResultCode.CONNECT_INTRANET,
        ResultCode.CONNECT_OLDVERSION,
        ResultCode.CONNECT_DEVICELIMIT,
        ResultCode.CONNECT_IPFORBID,
        ResultCode.CONNECT_TYPEWRONG,
        ResultCode.LOGIN_NEWLOGIN,
        ResultCode.KICKOUT,
        ResultCode.FORBIDDEN,
    }
)

#: Refusals of a new login that may pass; all others are final.
PASSING = frozenset(
    {
        ResultCode.EXCEPTION,
        ResultCode.NOENOUGHRESOURCE,
        ResultCode.CERTVERIFYFAILED,
        ResultCode.CERTFAILSECOND,
        ResultCode.CONNECT_OVERFLOW,
        ResultCode.CONNECT_PAUSED,
        ResultCode.CONNECT_HOTSERVER,
        ResultCode.CONNECT_NOTWORK,
        ResultCode.CONNECT_OFFLINE,
        ResultCode.CONNECT_NOMASTER,
        ResultCode.CONNECT_NOSTATUS,
        ResultCode.CONNECT_DATAPREPARE,
        ResultCode.COLDSTANDBY_SLEEP,
        ResultCode.SERVERSDK_FAIL,
        ResultCode.SERVERSDK_TIMEOUT,
        ResultCode.SERVER_RESTART,
    }
)

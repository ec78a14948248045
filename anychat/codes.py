"""Numbers and names, exactly as AnyChat gives them.

Nothing here may be renumbered: clients, business servers and operators know
these values.  Every number that travels on a wire is also pinned by
``test/golden/codes.txt``.
"""

from enum import IntEnum, IntFlag

#: The highest result code: they are unsigned 32-bit numbers.
MAX_CODE = 2**32 - 1


class ResultCode(IntEnum):
    """Result codes (``AC_ERROR_...`` of the product); ``text`` explains one."""

    text: str

    def __new__(cls, value: int, text: str) -> "ResultCode":
        member = int.__new__(cls, value)
        member._value_ = value
        member.text = text
        return member

    @classmethod
    def _missing_(cls, value: object) -> "ResultCode | None":
        """A number that is not AnyChat's: a business server's own refusal.

        Such codes reach the client as they are, so they have to be codes; they
        are no members of the list, and equal to whatever has their number.
        """
        if not isinstance(value, int) or not 0 < value <= MAX_CODE:
            return None
        code = int.__new__(cls, value)
        code._name_ = "APPLICATION"
        code._value_ = value
        code.text = "code of the application"
        return code

    SUCCESS = 0, "ok"
    DB_ERROR = 1, "database fault"
    NOTINIT = 2, "SDK/system not initialised"
    NOTINROOM = 3, "caller is not in a room"
    MEMORYFAIL = 4, "out of memory"
    EXCEPTION = 5, "unexpected exception"
    CANCEL = 6, "operation was cancelled"
    PROTOCOLFAIL = 7, "protocol fault"
    SESSIONNOTEXIST = 8, "session unknown"
    DATANOTEXIST = 9, "data missing"
    DATAEXIST = 10, "data already present"
    INVALIDGUID = 11, "GUID not valid"
    RESOURCERECOVER = 12, "resource has been reclaimed"
    RESOURCEUSED = 13, "resource in use"
    JSONFAIL = 14, "JSON cannot be parsed"
    OBJECTDELETE = 15, "object was deleted"
    SESSIONEXIST = 16, "session already there"
    SESSIONNOTINIT = 17, "session not initialised"
    DATANOTPREPARE = 18, "data not ready yet"
    SIGTERM = 19, "process got SIGTERM"
    FUNCNOTALLOW = 20, "function not permitted"
    FUNCOPTERROR = 21, "bad parameters"
    DEVICEOPENFAIL = 22, "device cannot be opened / absent"
    NOENOUGHRESOURCE = 23, "resources exhausted"
    PIXFMTNOTSUPPORT = 24, "display device lacks the pixel format"
    NOTMULTICASTADDR = 25, "address is not a multicast address"
    MULTIRUNERROR = 26, "second instance not supported"
    FILETRUSTFAILED = 27, "file signature check failed"
    CERTVERIFYFAILED = 28, "licence check failed"
    CERTUSERFAILED = 29, "licence user-count check failed"
    MASTERISSLAVE = 30, "configured master is itself a standby; chaining refused"
    MASTERNOTCREDIT = 31, "master has no licence, so no standby for it"
    VERSIONNOTMATCH = 32, "versions do not match"
    CERTFAILSECOND = 33, "second (repeat) licence check failed"
    SERVERVERIFYFAIL = 34, "server security check failed"
    CLIENTCERTFAILED = 35, "client licence check failed"
    CERTSUMFAILED = 36, "licensed-function checksum failed"
    REMOTECTRL = 37, "remote control"
    DUPLICATESERVICEID = 38, "duplicate service GUID"
    DIRENTERROR = 39, "directory fault"
    EXTRACTFILEERROR = 40, "unpack failed"
    STARTPROCESSFAILED = 41, "child process start failed"
    SERVICEISRUNNING = 42, "service already running"
    DISKSPACELIMITED = 43, "disk space short"
    REQUESTFAILED = 44, "business service request failed"
    INVALIDMACHINE = 45, "machine object not valid"
    GETCERTINFOFAILED = 46, "licence info cannot be fetched"
    CLUSTERNOTMATCH = 47, "cluster attribute mismatch"
    NONECLUSTERID = 48, "cluster id empty"
    CREATESERVICE_MORE = 49, "same service twice on one machine"
    COPYFILEFAILED = 50, "file copy failed"
    CLOUDNATIVEDBFAIL = 51, "cloud internal DB fault"
    CLOUDOSSUPLOADFAIL = 52, "cloud OSS upload failed"
    SERVICEBINDCHANGE = 53, "service binding changed"
    SERVICENOTBIND = 54, "service not bound"
    SERVICEBINDFAIL = 55, "service bind failed"
    PIPELINEUSERFAIL = 56, "pipeline user id fault"
    PIPELINESESSFAIL = 57, "pipeline session fault"
    SERVICECLOSED = 58, "service closed"
    FILEENCRYPTED = 59, "file already encrypted"
    FILEHEADINVAILD = 60, "decrypt: header check failed"
    FILEDECODE_PASSERR = 61, "decrypt: probably wrong password"
    OVERFLOW = 62, "buffer too long"
    OLDSERVER = 63, "server too old"
    UNSUPPORTFILETYPE = 64, "file type unsupported"
    FILECONTENTFAIL = 65, "file content fault"
    KEYVERIFYFAILED = 66, "key check failed"
    NOCERTCHAIN = 67, "certificate chain missing"
    CERTVERIFYFAIL = 68, "certificate check failed"
    CERTDATEFAIL = 69, "certificate date check failed"
    CERTURLFAIL = 70, "certificate URL check failed"
    CERTPUBLICKEYFAIL = 71, "public key missing"
    CERTPRIVATEKEYFAIL = 72, "server lacks the SSL private key"
    CERTFILENOTCONFIG = 73, "server lacks an SSL certificate"
    CERTHIGHSECURITY = 74, "refused by security level"
    SECURITYBREAK = 75, "security negotiation failed"
    CERTALGORITHMFAIL = 76, "algorithm negotiation failed"
    LOSSCERTHELPER = 77, "CertHelper library missing"
    SECURITYTIMEOUT = 78, "security negotiation timed out"
    MEMORYTOOSMALL = 79, "supplied buffer too small"
    UNSUPPORTCODEC = 80, "codec unsupported"
    APPTYPEOVERFLOW = 81, "connection quota for that application type is full"
    CONNECT_TIMEOUT = 100, "connect timed out"
    CONNECT_ABORT = 101, "connection to server broke"
    CONNECT_AUTHFAIL = 102, "server auth password wrong (SDKAuthPass)"
    CONNECT_DNSERROR = 103, "DNS failure at connect"
    CONNECT_OVERFLOW = 104, "more users than licensed"
    CONNECT_FUNCLIMIT = 105, "function limited by demo mode"
    CONNECT_INTRANET = 106, "usable on intranet only"
    CONNECT_OLDVERSION = 107, "client version too old"
    CONNECT_SOCKETERR = 108, "socket fault"
    CONNECT_DEVICELIMIT = 109, "device class not licensed (embedded / mobile)"
    CONNECT_PAUSED = 110, "service paused"
    CONNECT_HOTSERVER = 111, "standby refuses while master is alive"
    CONNECT_ERRCERUSER = 112, "licensed-user counter tampered"
    CONNECT_IPFORBID = 113, "IP is blocked"
    CONNECT_TYPEWRONG = 114, "connection type not supported"
    CONNECT_ERRORIP = 115, "server address wrong"
    CONNECT_SELFCLOSE = 116, "closed by own side"
    CONNECT_NOSVRLIST = 117, "no server list obtained"
    CONNECT_LBTIMEOUT = 118, "load balancer timed out"
    CONNECT_NOTWORK = 119, "server not in working state"
    CONNECT_OFFLINE = 120, "server offline"
    CONNECT_NETLIMITED = 121, "bandwidth limited"
    CONNECT_LOWTRAFFIC = 122, "traffic allowance used up"
    CONNECT_IPV6FAIL = 123, "IPv6-only network unsupported"
    CONNECT_NOMASTER = 124, "no master online"
    CONNECT_NOSTATUS = 125, "working state not reported"
    CONNECT_DATAPREPARE = 126, "data not ready"
    COLDSTANDBY_SLEEP = 127, "cold standby asleep"
    CERTIFY_FAIL = 200, "wrong user name or password"
    ALREADY_LOGIN = 201, "user already logged in"
    ACCOUNT_LOCK = 202, "account locked for now"
    IPADDR_LOCK = 203, "IP locked for now"
    VISITOR_DENY = 204, "guests forbidden (empty password)"
    INVALID_USERID = 205, "user id unknown"
    SERVERSDK_FAIL = 206, "business server not connected, so no authentication"
    SERVERSDK_TIMEOUT = 207, "business server did not answer in time"
    NOTLOGIN = 208, "not logged in"
    LOGIN_NEWLOGIN = 209, "same user logged in elsewhere (link is dropped)"
    LOGIN_EMPTYNAME = 210, "user name empty"
    KICKOUT = 211, "kicked out by server"
    SERVER_RESTART = 212, "business server restarted"
    FORBIDDEN = 213, "forbidden / no permission"
    SIGSTREMPTY = 214, "signature empty"
    SIGVERIFYFAIL = 215, "signature wrong"
    SIGPUBLICKEYEMPTY = 216, "public key for signature missing"
    SIGPRIVATEKEYEMPTY = 217, "private key for signature missing"
    SIGPARAMEMPTY = 218, "signature parameter empty"
    SIGPARAMFAIL = 219, "signature parameter wrong"
    SIGTIMEFAILURE = 220, "signature time out of range"
    APPNOTACTIVE = 221, "app not activated"
    APPPAUSED = 222, "app paused by its owner"
    APPLOCKED = 223, "app locked"
    APPEXPIRED = 224, "app expired"
    APPUNKNOWSTATUS = 225, "app state unknown"
    SIGALREADYUSED = 226, "signature already used"
    USERROLE_FAIL = 227, "role lookup failed"
    INVALID_AGENT = 228, "agent unknown"
    SERVERSIGFAIL = 229, "client rejects server signature"
    ROOM_LOCK = 300, "room locked"
    ROOM_PASSERR = 301, "room password wrong"
    ROOM_FULLUSER = 302, "room full"
    ROOM_INVALID = 303, "room unknown"
    ROOM_EXPIRE = 304, "room service expired"
    ROOM_REJECT = 305, "owner refuses entry"
    ROOM_OWNERBEOUT = 306, "owner absent"
    ROOM_ENTERFAIL = 307, "entry not possible"
    ROOM_ALREADIN = 308, "already in a room; request ignored"
    ROOM_NOTIN = 309, "not in a room; room call fails"
    STREAM_OLDPACK = 350, "late packet"
    STREAM_SAMEPAK = 351, "duplicate packet"
    STREAM_PACKLOSS = 352, "packet lost"
    STREAM_MISTAKE = 353, "packet out of step (frame number)"
    STREAM_LACKBUFFER = 354, "stream buffer time too short"
    ROOM_PRINULL = 401, "private chat: user left"
    ROOM_REJECTPRI = 402, "private chat: refused"
    ROOM_PRIDENY = 403, "private chat: not allowed"
    ROOM_PRIREQIDERR = 420, "private chat: request id wrong"
    ROOM_PRIALRCHAT = 421, "private chat: already in list"
    ROOM_PRITIMEOUT = 431, "private chat: timed out"
    ROOM_PRICHATBUSY = 432, "private chat: peer busy"
    ROOM_PRIUSERCLOSE = 433, "private chat: peer closed"
    ROOM_PRISELFCLOSE = 434, "private chat: self closed"
    ROOM_PRIREQCANCEL = 435, "private chat: cancelled"
    VIDEOCALL_INCHAT = 440, "already in a call"
    MICLOSE_TIMEOUT = 500, "speaking time used up"
    MICLOSE_HIGHUSER = 501, "higher-ranked user takes the floor"
    COMMBUS_SELFMASTER = 610, "own bus is master"
    COMMBUS_OTHERMASTER = 611, "other bus exists"
    COMMBUS_LOWPRIORITY = 612, "priority too low"
    TRANSBUF_CREATEFAIL = 700, "transfer task cannot be created"
    TRANSBUF_NOTASK = 701, "transfer task unknown or done"
    TRANSFILE_OPENFAIL = 710, "file cannot be opened"
    TRANSFILE_ZEROLEN = 711, "file missing/zero length (log at start: licence file)"
    TRANSFILE_TOOLARGE = 712, "file too large"
    TRANSFILE_READFAIL = 713, "file read fault"
    TRANSFILE_DOWNLOADING = 714, "file is still downloading"
    TRANSFILE_FAILED = 715, "download failed"
    TRANSFILE_NOTASK = 716, "file task unknown or done"
    RECORD_NOTASK = 720, "no record task"
    RECORD_CREATEFAIL = 721, "record task cannot be created"
    RECORD_WAITINFO = 722, "waiting for user info; cannot record yet"
    QUEUE_INVALID = 750, "queue id not valid"
    QUEUE_PREPARESERVICE = 751, "leaves queue because service is being prepared"
    QUEUE_TIMEOUT = 752, "waiting limit of the queue is over"
    WARNING_UDPFAIL = 780, "warning: UDP to server is broken"
    WARNING_MISCUTILFAIL = 781, "warning: MiscUtil library missing"
    WARNING_MEDIAUTILFAIL = 782, "warning: MediaUtil library missing"
    WARNING_MEDIACOREFAIL = 783, "warning: MediaCore library missing"
    WARNING_MEDIASHOWFAIL = 784, "warning: MediaShow library missing"
    CERTFILE_GETINFOFAILED = 800, "licence info cannot be read"
    CERTFILE_EXPIRED = 801, "licence expired"
    CERTFILE_DECODEFAIL = 802, "licence cannot be decoded"
    CERTFILE_HDSIGFAIL = 810, "hardware signature in licence cannot be parsed"
    CERTFILE_CPUNUMFAIL = 811, "CPU count differs"
    CERTFILE_CPUFREQFAIL = 812, "CPU clock differs"
    CERTFILE_RAMSIZEFAIL = 813, "RAM size differs"
    CERTFILE_MACADDRFAIL = 814, "MAC address differs"
    CERTFILE_CPUMODELFAIL = 815, "CPU model differs"
    CERTFILE_DRIVERIDFAIL = 816, "disk id differs"
    CERTFILE_UKEYSIGFAIL = 830, "UKey info abnormal"
    CERTFILE_UKEYNOTFOUND = 831, "UKey not found"
    CERTFILE_UKEYREADERR = 832, "UKey read failed"
    CERTFILE_UKEYNOTMATCH = 833, "other UKey than the bound one"
    CERTFILE_UKEYDLLFAIL = 834, "UKey library cannot be loaded"
    CERTFILE_URLVERIFYFAIL = 840, "domain resolves to another address"
    CERTFILE_DNSFAIL = 842, "domain cannot be resolved"
    CERTFILE_BINDIPFAIL = 850, "bound IP differs from local IP"
    CERTFILE_DOMAINFAIL = 860, "domain info wrong"
    CERTFILE_UKEYFAIL = 861, "UKey info wrong"
    CERTFILE_IPADDRFAIL = 862, "IP info wrong"
    PLAY_INVALIDSTREAM = 20000, "play: invalid stream"
    STREAM_SESSIONFAILED = 30000, "stream session cannot be created"
    VIDEOCALL_CANCEL = 100101, "caller gave up"
    VIDEOCALL_OFFLINE = 100102, "callee offline"
    VIDEOCALL_BUSY = 100103, "callee busy"
    VIDEOCALL_REJECT = 100104, "callee refused"
    VIDEOCALL_TIMEOUT = 100105, "call request timed out"
    VIDEOCALL_DISCONNECT = 100106, "network broke"
    VIDEOCALL_NOTINCALL = 100107, "user not in a call"
    OBJECT_EXISTAREA = 100201, "already in a service area"
    OBJECT_EXISTQUEUE = 100202, "already in a queue"
    APPID_DEFAULTNOTSUPPORT = 100300, "empty app id unsupported"
    APPID_SIGNEED = 100301, "app needs signature login"
    APPID_SIGFAILED = 100302, "app signature wrong"
    APPID_NOTEXIST = 100303, "app id unknown"
    APPID_SYSLOCK = 100304, "app id locked by system"
    APPID_NOTMATCH = 100305, "app id does not fit this service"
    APPID_NOTCLOUDSERVER = 100306, "server is not a cloud server"
    APPID_CHARGEMACHINELACK = 100307, "charging machines short"
    APPID_CHARGEMODECHANGE = 100308, "charging mode changed"
    USERCFG_PASSWDLEN_SMALL = 100400, "password too short"
    USERCFG_USERNAME_SAME = 100401, "user name taken"
    USERCFG_ACCESSLIMIT = 100402, "access limited"
    USERCFG_USERNAME_LIMIT = 100403, "user name not permitted"
    BUSINESS_PARAM_INVALID = 100701, "business API: bad parameter"
    BUSINESS_APPID_NOTEXIST = 100702, "business API: app id unknown"
    BUSINESS_BODY_INVALID = 100703, "business API: bad body"
    BUSINESS_SIGVERIFYFAIL = 100704, "business API: signature wrong"
    BUSINESS_SIGTIMEINVALID = 100705, "business API: timestamp wrong"
    BUSINESS_MEMORYFAIL = 100706, "business API: out of memory"
    BUSINESS_EXCEPTION = 100707, "business API: exception"
    BUSINESS_PROTOCOLFAIL = 100708, "business API: protocol fault"
    BUSINESS_TIMEOUT = 100709, "business API: timeout"
    BUSINESS_FILENOEXIST = 100710, "business API: file absent"
    DB_EXECUTE_ERROR = 100801, "DB execute fault"
    DB_SELECT_NODATA = 100802, "DB no rows"
    DB_FETCH_ERROR = 100803, "DB fetch fault"
    DB_EXCEPTION = 100804, "DB exception"
    DB_CONNECT_ERROR = 100805, "DB connect fault"


class Notification(IntEnum):
    """Client notifications, as added to the product's ``WM_GV`` base."""

    CONNECT = 1
    LOGINSYSTEM = 2
    ENTERROOM = 3
    MICSTATECHANGE = 4
    USERATROOM = 5
    LINKCLOSE = 6
    ONLINEUSER = 7
    CAMERASTATE = 11
    ACTIVESTATE = 13
    P2PCONNECTSTATE = 14
    VIDEOSIZECHG = 15
    USERINFOUPDATE = 16
    FRIENDSTATUS = 17
    OBJECTEVENT = 18
    SESSIONKEEP = 19
    SERVERCFGUPDATE = 24
    SDKWARNING = 41


class StreamKind(IntEnum):
    """What a publication carries."""

    VIDEO = 1
    AUDIO = 2


class DeviceState(IntEnum):
    """State of a user's camera or microphone (user-state kinds 1 and 2)."""

    NONE = 0
    CLOSED = 1
    OPEN = 2


class UserState(IntEnum):
    """Kinds of ``QueryUserState``."""

    CAMERA = 1
    MICROPHONE = 2
    VOLUME = 3
    RECORDING = 4
    LEVEL = 5
    NICKNAME = 6
    LOCAL_IP = 7
    INTERNET_IP = 8
    VIDEO_BITRATE = 9
    AUDIO_BITRATE = 10
    P2P = 11
    NETWORK_QUALITY = 12
    VIDEO_SIZE = 13
    PACKET_LOSS = 14
    DEVICE = 15
    SELF_STATUS = 16
    SELF_ID = 17
    VIDEO_ROTATION = 18
    VIDEO_MIRROR = 19
    AUDIO_CODEC = 20
    VIDEO_CODEC = 21
    LOSS_AFTER_REPAIR = 22


class SelfStatus(IntEnum):
    """Values of ``UserState.SELF_STATUS``."""

    UNKNOWN = 0
    CONNECTED = 1
    LOGGED_IN = 2
    IN_ROOM = 3
    LOGGED_OUT = 4
    LINK_CLOSED = 5


class RoomState(IntEnum):
    """Kinds of ``QueryRoomState``; the count leaves the asker out."""

    NAME = 1
    ONLINE_USERS = 2


class DeviceType(IntEnum):
    """What a client runs on (user-state kind 15)."""

    UNKNOWN = 0
    WINDOWS = 1
    ANDROID = 2
    IOS = 3
    WEB = 4
    LINUX = 5
    MAC = 6
    WINPHONE = 7
    WINCE = 8


class VideoCodec(IntEnum):
    """AnyChat's video codec numbers."""

    NONE = 0
    H264 = 1
    MJPEG = 2
    VP8 = 101


class AudioCodec(IntEnum):
    """AnyChat's audio codec numbers; from 100 on they are our own."""

    NONE = 0
    AMR_NB = 10
    AMR_WB = 11
    MP3 = 12
    AAC = 13
    MP2 = 14
    CELT = 15
    SPEEX = 16
    OPUS = 100
    PCMU = 101
    PCMA = 102


class Capability(IntFlag):
    """What a side says in its hello that it can do."""

    MEDIA = 1
    RESUME = 2


class LicenceMode(IntEnum):
    """What a server says in its hello about its licence."""

    DEMO = 0
    LICENSED = 1
    NOT_CHECKED = 2
    """Of servers before licences."""


class TransferKind(IntEnum):
    """What a transfer carries, by the call that begins it."""

    BUFFER = 1
    """TransBufferEx."""
    FILE = 2
    """TransFile."""
    FILE_EX = 3
    """TransFileEx."""


class TransTaskInfo(IntEnum):
    """Kinds of ``QueryTransTaskInfo``."""

    PROGRESS = 1
    BITRATE = 2
    STATUS = 3
    SAVE_AS_PATH = 4
    SOURCE_FILE = 5
    JSON_STATUS = 6


class TransTaskStatus(IntEnum):
    """Values of ``TransTaskInfo.STATUS``."""

    PREPARE = 1
    RUNNING = 2
    DONE = 3
    CANCELLED = 4


class SignatureScheme(IntEnum):
    """How a signed login is signed; see ``protocols.signature``."""

    RSA_MD5 = 0
    """RSA PKCS#1 v1.5 over MD5, as the product's tools sign."""
    RSA_PSS_SHA256 = 1
    ED25519 = 2


class UserControl(IntEnum):
    """Codes of ``UserInfoControl``; from 100 on they are the application's."""

    KICKOUT = 1
    SYNCDATA = 2
    BLOCK_IP = 4
    UNBLOCK_IP = 5
    ROTATION = 8
    ADDGROUP = 20
    DELGROUP = 21
    ADDFRIEND = 22
    DELFRIEND = 23
    SETGROUPRELATION = 24


class ServerQuery(IntEnum):
    """Kinds of ``QueryInfoFromServer``."""

    ID_BY_NAME = 1
    ID_BY_STRING_ID = 2
    STRING_ID_BY_ID = 3
    NAME_BY_ID = 4
    NAME_BY_STRING_ID = 5
    USER_INFO_BY_ID = 6
    RUNNING_STATUS = 200
    ONLINE_USERS = 201


class SDKOption(IntEnum):
    """Options of ``SetSDKOption``."""

    VIDEO_BITRATE = 30
    VIDEO_QUALITY = 31
    VIDEO_GOP = 32
    VIDEO_FPS = 33
    VIDEO_PRESET = 34
    APPLY_PARAMETERS = 35
    VIDEO_WIDTH = 38
    VIDEO_HEIGHT = 39
    P2P_POLICY = 40
    TRANSFER_BITRATE = 46
    VIDEO_CODEC = 93
    KICK_USER = 110
    QUERY_TIMEOUT = 213
    ADAPTIVE_STREAM = 228
    MAX_FILE_SIZE = 229
    SERVER_TIME = 230


class StreamInfo(IntEnum):
    """Kinds of ``GetUserStreamInfo``."""

    VIDEO_WIDTH = 180
    VIDEO_HEIGHT = 181
    VIDEO_FPS = 182
    VIDEO_BITRATE = 183
    VIDEO_CODEC = 184
    VIDEO_LOSS = 185
    VIDEO_DEVICE = 186
    AUDIO_SAMPLE_RATE = 190
    AUDIO_CHANNELS = 191
    AUDIO_SAMPLE_BITS = 192
    AUDIO_BITRATE = 193
    AUDIO_CODEC = 194
    AUDIO_LOSS = 195


#: The first control code that is the application's.
FIRST_OWN_CONTROL = 100

#: Target of a text or a buffer that goes to the whole room.
WHOLE_ROOM = -1
#: "Myself" where a call names a user.
SELF = -1
#: The business server, where a call names a user.
BUSINESS_SERVER = 0
#: The first id that is given to a guest; the next ones count down.
FIRST_GUEST_ID = -2


class StreamTransMode(IntEnum):
    """StreamTransMode: how media goes between client and server."""

    UDP = 0
    TCP = 1
    UDP_THEN_TCP = 2
    """TCP where UDP does not pass."""


class TraceMode(IntEnum):
    """What a member does in UDP traces (options 160 and 163)."""

    OFF = 0
    LISTEN = 1
    """Gets the probes of others."""
    SEND = 2
    """And sends its own."""


class VideoCallEvent(IntEnum):
    """Events of video calls."""

    REQUEST = 1
    REPLY = 2
    START = 3
    FINISH = 4


class VideoCallFlag(IntFlag):
    """What a video call is to be; the source is who calls."""

    AUDIO = 0x1
    VIDEO = 0x2
    FORBID_SOURCE_AUDIO = 0x10
    FORBID_SOURCE_VIDEO = 0x20
    FORBID_TARGET_AUDIO = 0x40
    FORBID_TARGET_VIDEO = 0x80
    REMOTE_ASSISTANCE = 0x100
    REMOTE_CONTROL = 0x200


class VideoCallStage(IntEnum):
    """How far a user's video call is."""

    NONE = 0
    CALLING = 1
    """It rings at the other party."""
    CALLED = 2
    """It rings at the user's."""
    TALKING = 3

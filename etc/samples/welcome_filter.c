/* A compiled plug-in for the AnyChat core server, to copy and change.
 *
 * It lets in who is in `users` with the right password, greets everybody who
 * signs in, and sends back what clients send to it.  Build it:
 *
 *     cc -shared -fPIC -O2 -Wall -o welcome_filter.so welcome_filter.c
 *
 * In AnyChatCoreServer.ini:
 *
 *     [Function Settings]
 *     SDKFilterPlus=/path/to/welcome_filter.so
 *
 * The server loads it into a process of its own and calls the BRFP_ functions
 * there, one after the other, all in one thread.  One that is left out is not
 * used: without BRFP_PrepareEnterRoom, say, the server decides itself who enters
 * which room.  One that takes longer than AnswerTimeout (5 s) is taken for hung:
 * then the process is ended and started again, as after a crash.  What is printed
 * appears in the server's log.
 *
 * Strings are UTF-8 and end with a NUL.  Guests have negative ids, which look
 * like 4294967294 here.
 */

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What BRFP_VerifyUser and BRFP_PrepareEnterRoom may answer besides 0, which
 * means yes.  Any other number does, too: it reaches the client as it is. */
enum { CERTIFY_FAIL = 200, ROOM_PASSERR = 301 };

/* Sends data to a client, 1 to 60000 bytes.  May be called from inside of every
 * BRFP_ function and from threads of your own. */
typedef void (*send_callback)(uint32_t user_id, uint32_t handle, const char *buf,
                              uint32_t len, void *user_value);

static send_callback send_data;
static void *send_value;

/* Who may sign in.  Ids are positive and unique.  This is where your program
 * asks its database, which of course keeps no passwords, only hashes of them. */
static const struct {
    const char *name, *password, *nickname;
    uint32_t id, level;
} users[] = {
    {"alice", "wonderland", "Alice", 1001, 5},
    {"bob", "builder", "Bob", 1002, 0},
};

/* The handle of everybody who is signed in.  It stands for the session: what is
 * sent with an old handle reaches nobody. */
struct session {
    uint32_t user_id, handle;
    struct session *next;
};

static struct session *sessions;

/* Where the session of a user hangs in the list, or the list's end. */
static struct session **find(uint32_t user_id)
{
    struct session **at = &sessions;

    while (*at != NULL && (*at)->user_id != user_id)
        at = &(*at)->next;
    return at;
}

static void forget(uint32_t user_id)
{
    struct session **at = find(user_id), *gone = *at;

    if (gone != NULL) {
        *at = gone->next;
        free(gone);
    }
}

/* What the server's log calls the plug-in. */
void BRFP_GetVersion(char *version, uint32_t capacity)
{
    snprintf(version, capacity, "welcome_filter.c 1.0");
}

/* The plug-in is loaded.  1: it is ready, 0: it cannot be used. */
int32_t BRFP_InitFilter(send_callback callback, void *user_value)
{
    send_data = callback;
    send_value = user_value;
    return 1;
}

/* May this user sign in?  0 and who it is, or a code: no. */
uint32_t BRFP_VerifyUser(const char *name, const char *password, uint32_t *user_id,
                         uint32_t *level, char *nickname, uint32_t capacity)
{
    for (size_t i = 0; i < sizeof users / sizeof users[0]; i++) {
        if (strcmp(name, users[i].name) != 0)
            continue;
        if (strcmp(password, users[i].password) != 0)
            break;
        *user_id = users[i].id;
        *level = users[i].level;
        snprintf(nickname, capacity, "%s", users[i].nickname);
        return 0;
    }
    return CERTIFY_FAIL;
}

/* May this user enter that room?  0, or a code: no. */
uint32_t BRFP_PrepareEnterRoom(uint32_t user_id, uint32_t room_id,
                               const char *room_name, const char *password)
{
    (void)user_id, (void)room_name;
    /* Rooms from 1000 on want a password; everybody may enter the others. */
    if (room_id >= 1000 && strcmp(password, "open sesame") != 0)
        return ROOM_PASSERR;
    return 0;
}

/* A user has signed in.  After the plug-in was started again this is called for
 * all who are signed in already, and so is BRFP_OnUserEnterRoomAction. */
void BRFP_OnUserLoginAction(uint32_t user_id, const char *name, uint32_t level,
                            const char *ip, uint32_t handle)
{
    struct session *session = malloc(sizeof *session);
    char text[600];
    int length;

    (void)level, (void)ip;
    if (session == NULL)
        return;
    forget(user_id);
    session->user_id = user_id;
    session->handle = handle;
    session->next = sessions;
    sessions = session;
    length = snprintf(text, sizeof text, "Welcome, %s!", name);
    send_data(user_id, handle, text, (uint32_t)length, send_value);
}

/* A user has signed out, or the connection is lost. */
void BRFP_OnUserLogoutAction(uint32_t user_id)
{
    forget(user_id);
}

/* A user has entered a room. */
void BRFP_OnUserEnterRoomAction(uint32_t user_id, uint32_t room_id)
{
    printf("user %d is in room %u\n", (int32_t)user_id, room_id);
}

/* A user has left a room. */
void BRFP_OnUserLeaveRoomAction(uint32_t user_id, uint32_t room_id)
{
    printf("user %d is no more in room %u\n", (int32_t)user_id, room_id);
}

/* A client has sent us data: send it back. */
void BRFP_OnRecvUserFilterData(uint32_t user_id, const char *buf, uint32_t len)
{
    struct session *session = *find(user_id);

    if (session != NULL)
        send_data(user_id, session->handle, buf, len, send_value);
}

/* A user has written to another one, or (target_id -1) to the whole room. */
void BRFP_OnRecvUserTextMsg(uint32_t room_id, uint32_t source_id, uint32_t target_id,
                            int32_t secret, const char *text, uint32_t len)
{
    (void)room_id, (void)secret, (void)text;
    printf("user %d wrote %u bytes to %d\n", (int32_t)source_id, len,
           (int32_t)target_id);
}

/* The server ends. */
void BRFP_ReleaseFilter(void)
{
    while (sessions != NULL)
        forget(sessions->user_id);
}

/* A plug-in that misbehaves: what it does wrong is chosen by the names, texts and
 * passwords that it is called with.  The tests compile it. */

#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef void (*send_callback)(uint32_t, uint32_t, const char *, uint32_t, void *);

static send_callback send_data;
static void *send_value;
static uint32_t last_user, last_handle;
#ifdef CRASH_EVERY
static int calls;
#endif

__attribute__((constructor)) static void loaded(void)
{
    printf("standard output of a constructor\n");
}

static void do_wrong(const char *what)
{
    char big[1] = {'x'};

    if (strcmp(what, "crash") == 0)
        raise(SIGSEGV);
    else if (strcmp(what, "abort") == 0)
        abort();
    else if (strcmp(what, "exit") == 0)
        exit(3);
    else if (strcmp(what, "hang") == 0)
        for (;;)
            pause();
    else if (strcmp(what, "spin") == 0)
        for (volatile int i = 0;; i++)
            ;
    else if (strcmp(what, "print") == 0)
        printf("standard output of a hook\n");
    else if (strcmp(what, "flood") == 0)
        for (int i = 0; i < 100000; i++)
            printf("line %d\n", i);
    else if (strcmp(what, "close") == 0)
        for (int fd = 0; fd < 64; fd++)
            close(fd);
    else if (strcmp(what, "garbage") == 0)
        for (int fd = 3; fd < 64; fd++)
            (void)!write(fd, "\xff\xff nonsense", 11);
    else if (strcmp(what, "orphan") == 0)
        (void)!system("sleep 60 &");
    else if (strcmp(what, "long") == 0)
        send_data(last_user, last_handle, big, 0xFFFFFFFF, send_value);
    else if (strcmp(what, "empty") == 0)
        send_data(last_user, last_handle, big, 0, send_value);
    else if (strcmp(what, "null") == 0)
        send_data(last_user, last_handle, NULL, 5, send_value);
    else if (strcmp(what, "stale") == 0)
        send_data(last_user, last_handle + 1, big, 1, send_value);
}

#define THREADS 4
#define SENDS 2000

static void *send_often(void *number)
{
    char text[16];

    for (int i = 0; i < SENDS; i++) {
        int length = snprintf(text, sizeof text, "%d %d", (int)(intptr_t)number, i);
        send_data(last_user, last_handle, text, (uint32_t)length, send_value);
    }
    return NULL;
}

void BRFP_GetVersion(char *version, uint32_t capacity)
{
    memset(version, 'v', capacity); /* no NUL */
}

int32_t BRFP_InitFilter(send_callback callback, void *user_value)
{
    const char *fault = getenv("ANYCHAT_TEST_INIT");

    send_data = callback;
    send_value = user_value;
    if (fault != NULL && strcmp(fault, "refuse") == 0)
        return 0;
    do_wrong(fault != NULL ? fault : "");
    return 1;
}

uint32_t BRFP_VerifyUser(const char *name, const char *password, uint32_t *user_id,
                         uint32_t *level, char *nickname, uint32_t capacity)
{
#ifdef CRASH_EVERY
    if (++calls % CRASH_EVERY == 0)
        *(volatile int *)NULL = 1;
#endif
    do_wrong(name);
    *user_id = 7;
    *level = 3;
    if (strcmp(name, "gbk") == 0)
        strcpy(nickname, "\xc0\xee\xc0\xd7");
    else if (strcmp(name, "neither") == 0)
        strcpy(nickname, "\xff\xff\xff");
    else if (strcmp(name, "full") == 0)
        memset(nickname, 'n', capacity); /* no NUL */
    else if (strcmp(name, "over") == 0)
        memset(nickname, 'o', capacity + 1000);
    else if (strcmp(name, "huge") == 0)
        *user_id = *level = 0xFFFFFFFF;
    else if (strcmp(name, "number") == 0)
        *user_id = (uint32_t)atoi(password);
    else if (strcmp(name, "code") == 0)
        return (uint32_t)strtoul(password, NULL, 10);
    else
        snprintf(nickname, capacity, "%s/%s", name, password);
    return 0;
}

uint32_t BRFP_PrepareEnterRoom(uint32_t user_id, uint32_t room_id, const char *room_name,
                               const char *password)
{
    do_wrong(room_name);
    if (strcmp(room_name, "sum") == 0)
        return user_id + room_id + (uint32_t)strlen(password);
    return 0;
}

void BRFP_OnUserLoginAction(uint32_t user_id, const char *name, uint32_t level,
                            const char *ip, uint32_t handle)
{
    char text[256];
    int length = snprintf(text, sizeof text, "login %s %u %s", name, level, ip);

    last_user = user_id;
    last_handle = handle;
    send_data(user_id, handle, text, (uint32_t)length, send_value);
}

void BRFP_OnUserEnterRoomAction(uint32_t user_id, uint32_t room_id)
{
    char text[64];
    int length = snprintf(text, sizeof text, "enter %u", room_id);

    send_data(user_id, last_handle, text, (uint32_t)length, send_value);
}

void BRFP_OnRecvUserFilterData(uint32_t user_id, const char *buf, uint32_t len)
{
    pthread_t threads[THREADS];

    int wait = len == 7 && memcmp(buf, "threads", 7) == 0;

    if (wait || (len == 10 && memcmp(buf, "background", 10) == 0))
        for (intptr_t i = 0; i < THREADS; i++)
            pthread_create(&threads[i], NULL, send_often, (void *)i);
    if (wait)
        for (int i = 0; i < THREADS; i++)
            pthread_join(threads[i], NULL);
    send_data(user_id, last_handle, buf, len, send_value);
}

void BRFP_OnRecvUserTextMsg(uint32_t room_id, uint32_t source_id, uint32_t target_id,
                            int32_t secret, const char *text, uint32_t len)
{
    char line[256];
    int length = snprintf(line, sizeof line, "text %u %d %d %d %u", room_id,
                          (int32_t)source_id, (int32_t)target_id, secret, len);

    do_wrong(text);
    send_data(last_user, last_handle, line, (uint32_t)length, send_value);
}

void BRFP_ReleaseFilter(void)
{
    const char *fault = getenv("ANYCHAT_TEST_RELEASE");

    printf("released\n");
    do_wrong(fault != NULL ? fault : "");
}

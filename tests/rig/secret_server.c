/* A server that answers everything with whose it is: `user=alice;` and its container's name, over kept-alive HTTP and over WebSockets
 * (a frame every 20 ms). For tests/rig/reuse_part.py, which builds it into an image of its own. */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

static char secret[120];

static void on_sigterm(int signal_number) { (void)signal_number; _exit(0); }

static int say(int fd, const char *bytes, size_t length) { return send(fd, bytes, length, MSG_NOSIGNAL) == (ssize_t)length; }

static void *serve(void *argument) {
    int fd = (int)(intptr_t)argument;
    char head[16384], out[400];
    size_t filled = 0, length = strlen(secret);
    for (;;) {
        ssize_t got = recv(fd, head + filled, sizeof head - 1 - filled, 0);
        if (got <= 0) break;
        filled += got;
        head[filled] = 0;
        char *end = strstr(head, "\r\n\r\n");
        if (!end) { if (filled == sizeof head - 1) break; continue; }
        end[2] = 0;
        if (strcasestr(head, "\r\nupgrade: websocket")) {
            static const char yes[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
            if (!say(fd, yes, sizeof yes - 1)) break;
            char frame[124] = { (char)0x81, (char)length };
            memcpy(frame + 2, secret, length);
            while (say(fd, frame, length + 2)) usleep(20000);
            break;
        }
        int n = snprintf(out, sizeof out, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\n\r\n%s", length, secret);
        if (!say(fd, out, n)) break;
        size_t used = end + 4 - head;
        memmove(head, head + used, filled - used);
        filled -= used;
    }
    close(fd);
    return NULL;
}

int main(void) {
    signal(SIGTERM, on_sigterm);
    const char *user = getenv("JUPYTERHUB_USER");
    char host[64] = "";
    gethostname(host, sizeof host - 1);
    snprintf(secret, sizeof secret, "user=%.30s;on=%.60s", user ? user : "", host);
    int listener = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(8888) };
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 512)) return 1;
    pthread_attr_t small;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 64 * 1024);
    pthread_attr_setdetachstate(&small, PTHREAD_CREATE_DETACHED);
    for (;;) {
        int fd = accept(listener, NULL, NULL);
        pthread_t thread;
        if (fd < 0) continue;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        if (pthread_create(&thread, &small, serve, (void *)(intptr_t)fd)) close(fd);
    }
}

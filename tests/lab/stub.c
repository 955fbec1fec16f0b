/* What stands in the place of a Jupyter server where a test measures Slipway and not Python.
 *
 * One static program, three images (tests/lab/build.sh). The mode is the image's SLIPWAY_STUB and not an
 * argument, so that it holds when the spawner passes a command of its own:
 *   instant  answers every request with 200 at once; a path that ends in /exit ends the program with status 3
 *   exits    says three lines on stderr and ends with status 7
 *   deaf     starts and never listens
 *
 * It is process 1 of its container, where SIGTERM without a handler is ignored: each mode installs one,
 * or every `docker stop` would cost its ten seconds of grace.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

/* 1,000 connections of the herd test, the listener, and room. */
#define MOST_CONNECTIONS 1200
/* A request head is larger only in a test that means it to be: that connection is closed. */
#define HEAD_BYTES 16384

struct connection {
    int fd;
    size_t filled;       /* bytes of `head` in use */
    size_t body_left;    /* bytes of a request's body still to be thrown away */
    char head[HEAD_BYTES];
};

static struct connection *connections[MOST_CONNECTIONS];
static struct pollfd polled[MOST_CONNECTIONS + 1];
static int count;

static void on_sigterm(int signal_number) {
    (void)signal_number;
    _exit(0);
}

/* The hub says where to listen in JUPYTERHUB_SERVICE_URL (http://0.0.0.0:8888/user/alice/); 8888 without it. */
static int port_asked_for(void) {
    const char *url = getenv("JUPYTERHUB_SERVICE_URL");
    const char *host = url ? strstr(url, "://") : NULL;
    const char *colon = host ? strchr(host + 3, ':') : NULL;
    int port = colon ? atoi(colon + 1) : 0;
    return port > 0 && port < 65536 ? port : 8888;
}

static void close_connection(int index) {
    close(connections[index]->fd);
    free(connections[index]);
    count--;
    connections[index] = connections[count];
    polled[index + 1] = polled[count + 1];
}

/* Finds a header's value in a head that ends in a NUL; NULL when it is not there. */
static const char *header(const char *head, const char *name) {
    size_t length = strlen(name);
    for (const char *line = strstr(head, "\r\n"); line; line = strstr(line + 2, "\r\n"))
        if (strncasecmp(line + 2, name, length) == 0 && line[2 + length] == ':') {
            const char *value = line + 3 + length;
            while (*value == ' ') value++;
            return value;
        }
    return NULL;
}

/* Answers one request. Returns 0 when the connection is to be closed. */
static int answer(struct connection *c, const char *head) {
    static const char body[] = "ok\n";
    char out[256];
    int is_head = strncmp(head, "HEAD ", 5) == 0;
    const char *path = strchr(head, ' ');
    size_t path_length = path ? strcspn(path + 1, " ?\r") : 0;
    const char *connection = header(head, "connection");
    int keep = !(connection && strncasecmp(connection, "close", 5) == 0)
        && strstr(head, " HTTP/1.1\r\n") != NULL && !header(head, "transfer-encoding");

    if (path && path_length >= 5 && strncmp(path + 1 + path_length - 5, "/exit", 5) == 0) {
        fprintf(stderr, "instant: asked to exit\n");
        _exit(3);
    }
    const char *length = header(head, "content-length");
    c->body_left = length ? strtoul(length, NULL, 10) : 0;

    int n = snprintf(out, sizeof out,
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\n%s\r\n%s",
        sizeof body - 1, keep ? "" : "Connection: close\r\n", is_head ? "" : body);
    return send(c->fd, out, n, MSG_NOSIGNAL) == n && keep;
}

/* Reads what has come and answers every whole request in it. Returns 0 when the connection is to be closed. */
static int serve(struct connection *c) {
    ssize_t got = recv(c->fd, c->head + c->filled, HEAD_BYTES - 1 - c->filled, 0);
    if (got <= 0) return got < 0 && (errno == EAGAIN || errno == EINTR);
    c->filled += got;
    for (;;) {
        size_t skipped = c->body_left < c->filled ? c->body_left : c->filled;
        memmove(c->head, c->head + skipped, c->filled - skipped);
        c->filled -= skipped;
        c->body_left -= skipped;
        c->head[c->filled] = 0;
        char *end = strstr(c->head, "\r\n\r\n");
        if (c->body_left || !end) break;
        end[2] = 0; /* the head, and nothing of what follows */
        if (!answer(c, c->head)) return 0;
        size_t used = end + 4 - c->head;
        memmove(c->head, c->head + used, c->filled - used);
        c->filled -= used;
    }
    return c->filled < HEAD_BYTES - 1;
}

static int instant(void) {
    int port = port_asked_for(), on = 1, off = 0;
    int listener = socket(AF_INET6, SOCK_STREAM, 0);
    struct sockaddr_in6 address = { .sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = in6addr_any };
    struct sockaddr_in address4 = { .sin_family = AF_INET, .sin_port = htons(port) };
    int bound;
    if (listener >= 0) {
        setsockopt(listener, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
        setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        bound = bind(listener, (struct sockaddr *)&address, sizeof address);
    } else { /* a kernel or container without IPv6 */
        listener = socket(AF_INET, SOCK_STREAM, 0);
        setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        bound = bind(listener, (struct sockaddr *)&address4, sizeof address4);
    }
    if (bound || listen(listener, 1024)) {
        perror("instant: cannot listen");
        return 1;
    }
    fprintf(stderr, "instant: listening on port %d\n", port);

    polled[0].fd = listener;
    polled[0].events = POLLIN;
    for (;;) {
        if (poll(polled, count + 1, -1) < 0) continue;
        /* Backwards, because closing moves the last connection into the hole. */
        for (int i = count - 1; i >= 0; i--)
            if (polled[i + 1].revents && !serve(connections[i])) close_connection(i);
        if (polled[0].revents && count < MOST_CONNECTIONS) {
            int fd = accept(listener, NULL, NULL);
            struct connection *c = fd < 0 ? NULL : malloc(sizeof *c);
            if (!c) {
                if (fd >= 0) close(fd);
                continue;
            }
            setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
            c->fd = fd;
            c->filled = c->body_left = 0;
            connections[count] = c;
            polled[count + 1].fd = fd;
            polled[count + 1].events = POLLIN;
            polled[count + 1].revents = 0;
            count++;
        }
    }
}

int main(void) {
    const char *mode = getenv("SLIPWAY_STUB");
    signal(SIGTERM, on_sigterm);
    signal(SIGINT, on_sigterm);
    if (mode && strcmp(mode, "exits") == 0) {
        fprintf(stderr, "exits: reading the settings\nexits: the settings make no sense\nexits: giving up\n");
        return 7;
    }
    if (mode && strcmp(mode, "deaf") == 0) {
        fprintf(stderr, "deaf: started, and not going to listen\n");
        for (;;) pause();
    }
    return instant();
}

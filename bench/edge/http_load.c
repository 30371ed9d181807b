/* Load for an HTTP tracker: one request under way on each of CONNECTIONS connections for SECONDS, replies are counted.
 *
 * http_load HOST PORT SECONDS CONNECTIONS REQUESTS
 * REQUESTS are sent in turn (load.h). A server that ends a connection gets a new one, so requests that ask for that are
 * answered on one connection each. A reply that is not 200, or that holds a `failure reason`, is counted as a failure.
 */
#include "load.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MOST_CONNECTIONS = 4096, LONGEST = 16384, EVENTS = 256 };

struct connection {
    int fd, have, whole; /* bytes read, bytes of the whole reply (0: not known yet) */
    int answered, ends;  /* the reply was counted; the server ends the connection after it */
    int replies;         /* on this connection */
    char in[LONGEST + 1];
};

static struct connection connections[MOST_CONNECTIONS];
static struct sockaddr_in server;
static int poller;
static long replies, failures, lost;
static double bytes;
static int always_ends; /* the server ends every connection without saying so in its replies, as opentracker does */

static void ask(struct connection *c) {
    const struct request *r = next_request();
    c->have = c->whole = c->answered = c->ends = 0;
    if (send(c->fd, r->bytes, r->size, MSG_NOSIGNAL) != r->size) lost++; /* requests are smaller than any buffer */
}

static void open_one(struct connection *c) {
    int one = 1;
    struct epoll_event wanted = {.events = EPOLLIN, .data.ptr = c};
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(c->fd, (void *)&server, sizeof server)) { perror("connect"); exit(1); } /* at once on one machine */
    epoll_ctl(poller, EPOLL_CTL_ADD, c->fd, &wanted);
    c->replies = 0;
    ask(c);
}

static void reopen(struct connection *c) {
    close(c->fd);
    open_one(c);
}

static void read_head(struct connection *c) {
    char *end = strstr(c->in, "\r\n\r\n");
    if (!end) return;
    *end = 0;
    char *length = strcasestr(c->in, "\r\ncontent-length:"), *connection = strcasestr(c->in, "\r\nconnection:");
    int old = !strncmp(c->in, "HTTP/1.0", 8);
    c->ends = always_ends || (connection ? strcasestr(connection, "close") != NULL : old);
    c->whole = length ? (int)(end - c->in) + 4 + atoi(length + 17) : LONGEST;
    if (strncmp(c->in + 8, " 200", 4) || !strncmp(end + 4, "d14:failure", 11)) failures++;
}

static void take(struct connection *c) {
    int n = recv(c->fd, c->in + c->have, LONGEST - c->have, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n <= 0) {
        if (!c->answered && c->replies && !c->have) always_ends = 1; /* what was asked after the reply was not read */
        else if (!c->answered) lost++;
        reopen(c);
        return;
    }
    c->have += n;
    c->in[c->have] = 0;
    if (!c->whole) read_head(c);
    if (!c->whole || c->have < c->whole || c->answered) return;
    c->answered = 1;
    c->replies++;
    replies++;
    bytes += c->have;
    if (!c->ends) ask(c); /* otherwise its end comes next */
}

int main(int count, char **v) {
    struct epoll_event found[EVENTS];
    if (count != 6) { fprintf(stderr, "usage: see the head of http_load.c\n"); return 2; }
    double seconds = atof(v[3]);
    int wanted = atoi(v[4]) < MOST_CONNECTIONS ? atoi(v[4]) : MOST_CONNECTIONS;
    server = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(atoi(v[2]))};
    inet_pton(AF_INET, v[1], &server.sin_addr);
    read_requests(v[5]);
    poller = epoll_create1(0);
    double began = now();
    for (int i = 0; i < wanted; i++) open_one(connections + i);
    while (now() < began + seconds) {
        int n = epoll_wait(poller, found, EVENTS, 100);
        for (int i = 0; i < n; i++) take(found[i].data.ptr);
    }
    print_figures(began, replies, bytes, failures, lost);
    return 0;
}

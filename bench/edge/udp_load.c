/* Load for a UDP tracker: keeps WINDOW announces under way on each of SOCKETS sockets for SECONDS, counts the replies.
 *
 * udp_load HOST PORT SECONDS WINDOW SOCKETS REQUESTS
 * REQUESTS are datagrams that are sent in turn (load.h); connection and transaction ids are written into them here. A
 * reply that is no announce reply is counted as a failure.
 */
#include "load.h"
#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MOST_SOCKETS = 64, BATCH = 32, LONGEST = 2048 };

static int connect_to(const char *host, int port, unsigned char *id) {
    static const unsigned char ask[16] = {0, 0, 4, 0x17, 0x27, 0x10, 0x19, 0x80, 0, 0, 0, 0, 0, 0, 0, 1};
    struct sockaddr_in server = {.sin_family = AF_INET, .sin_port = htons(port)};
    int one = socket(AF_INET, SOCK_DGRAM, 0), size = 4 << 20;
    unsigned char reply[64];
    inet_pton(AF_INET, host, &server.sin_addr);
    setsockopt(one, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    if (connect(one, (void *)&server, sizeof server)) { perror("connect"); exit(1); }
    for (int try = 0; try < 50; try++) {
        struct pollfd ready = {one, POLLIN, 0};
        send(one, ask, sizeof ask, 0);
        if (poll(&ready, 1, 200) > 0 && recv(one, reply, sizeof reply, 0) >= 16) { memcpy(id, reply + 8, 8); return one; }
        usleep(20000);
    }
    fprintf(stderr, "no answer to the connect\n");
    exit(1);
}

static int prepare(unsigned char *out, const unsigned char *id) {
    static uint32_t transaction;
    const struct request *r = next_request();
    memcpy(out, r->bytes, r->size);
    memcpy(out, id, 8);
    memcpy(out + 12, &(uint32_t){++transaction}, 4);
    return r->size;
}

int main(int count, char **v) {
    static unsigned char out[BATCH][LONGEST], in[BATCH][LONGEST];
    struct mmsghdr sending[BATCH], receiving[BATCH];
    struct iovec from[BATCH], to[BATCH];
    struct pollfd ready[MOST_SOCKETS];
    unsigned char ids[MOST_SOCKETS][8];
    long under_way[MOST_SOCKETS] = {0}, replies = 0, failures = 0, lost = 0;
    double bytes = 0;
    if (count != 7) { fprintf(stderr, "usage: see the head of udp_load.c\n"); return 2; }
    double seconds = atof(v[3]);
    int window = atoi(v[4]), sockets = atoi(v[5]) < MOST_SOCKETS ? atoi(v[5]) : MOST_SOCKETS;
    read_requests(v[6]);
    for (int i = 0; i < sockets; i++) ready[i] = (struct pollfd){connect_to(v[1], atoi(v[2]), ids[i]), POLLIN, 0};
    for (int j = 0; j < BATCH; j++) {
        to[j] = (struct iovec){in[j], LONGEST};
        receiving[j] = (struct mmsghdr){.msg_hdr = {.msg_iov = &to[j], .msg_iovlen = 1}};
    }
    double began = now(), end = began + seconds;
    while (now() < end) {
        for (int i = 0; i < sockets; i++)
            while (under_way[i] < window) {
                int n = window - under_way[i] < BATCH ? window - under_way[i] : BATCH;
                for (int j = 0; j < n; j++) {
                    from[j] = (struct iovec){out[j], prepare(out[j], ids[i])};
                    sending[j] = (struct mmsghdr){.msg_hdr = {.msg_iov = &from[j], .msg_iovlen = 1}};
                }
                n = sendmmsg(ready[i].fd, sending, n, 0);
                if (n <= 0) break;
                under_way[i] += n;
            }
        if (poll(ready, sockets, 1000) <= 0) { /* nothing for a second, which no disk takes: it is lost */
            for (int i = 0; i < sockets; i++) { lost += under_way[i]; under_way[i] = 0; }
            continue;
        }
        for (int i = 0; i < sockets; i++) {
            int n;
            while ((n = recvmmsg(ready[i].fd, receiving, BATCH, MSG_DONTWAIT, NULL)) > 0) {
                for (int j = 0; j < n; j++) {
                    if (receiving[j].msg_len >= 20 && in[j][3] == 1) replies++, bytes += receiving[j].msg_len;
                    else failures++;
                }
                under_way[i] = under_way[i] > n ? under_way[i] - n : 0;
            }
        }
    }
    print_figures(began, replies, bytes, failures, lost);
    return 0;
}

/* Load for a UDP tracker: keeps WINDOW announces under way on each of SOCKETS sockets for SECONDS, counts the replies.
 *
 * udp_load HOST PORT SECONDS WINDOW SOCKETS TORRENTS PEERS NUMWANT KEYS
 * KEYS is a file with one announce key a line (BEP 41), "-" sends none. Every peer keeps its id, its port, its torrent
 * and its user. A reply that is no announce reply is counted as an error. Prints: replies/s, bytes a reply, errors.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MOST_SOCKETS = 64, MOST_KEYS = 100000, BATCH = 32, KEY = 32, FIXED = 98, LONGEST = 2048 };

static char keys[MOST_KEYS][KEY];
static int key_count;
static uint64_t state = 88172645463325252ULL;

static uint32_t draw(void) { /* xorshift64 */
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state >> 11;
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + 1e-9 * t.tv_nsec;
}

static void read_keys(const char *path) {
    char line[256];
    FILE *file = strcmp(path, "-") ? fopen(path, "r") : NULL;
    if (!file) return;
    while (key_count < MOST_KEYS && fgets(line, sizeof line, file))
        if (strlen(line) >= KEY) memcpy(keys[key_count++], line, KEY);
    fclose(file);
}

static void put32(unsigned char *to, uint32_t value) { value = htonl(value); memcpy(to, &value, 4); }

static int connect_to(const char *host, int port, unsigned char *id) {
    static const unsigned char ask[16] = {0, 0, 4, 0x17, 0x27, 0x10, 0x19, 0x80, 0, 0, 0, 0, 0, 0, 0, 1};
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons(port)};
    int is_six = inet_pton(AF_INET6, host, &six.sin6_addr) == 1;
    int one = socket(is_six ? AF_INET6 : AF_INET, SOCK_DGRAM, 0), size = 4 << 20;
    unsigned char reply[64];
    inet_pton(AF_INET, host, &four.sin_addr);
    setsockopt(one, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    if (connect(one, is_six ? (void *)&six : (void *)&four, is_six ? sizeof six : sizeof four)) { perror("connect"); exit(1); }
    for (int try = 0; try < 50; try++) {
        struct pollfd ready = {one, POLLIN, 0};
        send(one, ask, sizeof ask, 0);
        if (poll(&ready, 1, 200) > 0 && recv(one, reply, sizeof reply, 0) >= 16) { memcpy(id, reply + 8, 8); return one; }
        usleep(20000);
    }
    fprintf(stderr, "no answer to the connect\n");
    exit(1);
}

static int announce(unsigned char *p, const unsigned char *id, int torrents, uint32_t peers, int numwant) {
    uint32_t peer = draw() % peers, torrent = peer % torrents;
    memcpy(p, id, 8);
    put32(p + 8, 1);
    put32(p + 12, draw());
    memset(p + 16, 0xab, 20);
    p[16] = torrent >> 8;
    p[17] = torrent;
    memcpy(p + 36, "-qB5100-00000000", 16);
    put32(p + 52, peer);
    memset(p + 56, 0, 32);
    put32(p + 68, peer % 3 ? 1000 : 0); /* left: one in three seeds */
    put32(p + 88, peer);
    put32(p + 92, numwant);
    p[96] = 0x1a + peer % 64;
    p[97] = peer;
    if (!key_count) return FIXED;
    p[98] = 2;
    p[99] = 10 + KEY;
    memcpy(p + 100, "/announce/", 10);
    memcpy(p + 110, keys[peer % key_count], KEY);
    return FIXED + 2 + 10 + KEY;
}

int main(int count, char **v) {
    static unsigned char out[BATCH][256], in[BATCH][LONGEST];
    struct mmsghdr sending[BATCH], receiving[BATCH];
    struct iovec from[BATCH], to[BATCH];
    struct pollfd ready[MOST_SOCKETS];
    unsigned char ids[MOST_SOCKETS][8];
    long under_way[MOST_SOCKETS] = {0}, replies = 0, errors = 0, lost = 0;
    double bytes = 0, seconds;
    if (count != 10) { fprintf(stderr, "usage: see the head of udp_load.c\n"); return 2; }
    seconds = atof(v[3]);
    int window = atoi(v[4]), sockets = atoi(v[5]), torrents = atoi(v[6]), peers = atoi(v[7]), numwant = atoi(v[8]);
    if (sockets > MOST_SOCKETS) sockets = MOST_SOCKETS;
    read_keys(v[9]);
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
                    from[j] = (struct iovec){out[j], announce(out[j], ids[i], torrents, peers, numwant)};
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
                    else errors++;
                }
                under_way[i] = under_way[i] > n ? under_way[i] - n : 0;
            }
        }
    }
    printf("%.0f %.0f %ld %ld\n", replies / (now() - began), replies ? bytes / replies : 0, errors, lost);
    return 0;
}

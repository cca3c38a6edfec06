/* Copyright: Stowage contributors
 * GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
 *
 * usage: get --sleep            stay, so that `docker exec ... /get NAME` can be used
 *        get --lookup NAME      print NAME's addresses, one a line
 *        get NAME[:PORT][/PATH] print the addresses, then what an HTTP GET answers
 * Ends with 0, or 1 if the name is unknown, nobody listens, or the answer is no 2xx.
 */
#include <arpa/inet.h>
#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

static struct addrinfo *lookup(const char *name, const char *port)
{
    struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM}, *found = NULL;
    int error = getaddrinfo(name, port, &hints, &found);
    if (error) {
        fprintf(stderr, "%s: %s\n", name, gai_strerror(error));
        exit(1);
    }
    for (struct addrinfo *at = found; at; at = at->ai_next) {
        char text[INET_ADDRSTRLEN];
        inet_ntop(AF_INET, &((struct sockaddr_in *)at->ai_addr)->sin_addr, text, sizeof text);
        puts(text);
    }
    fflush(stdout);
    return found;
}

static int reach(const struct addrinfo *found)
{
    const struct timeval patience = {.tv_sec = 5};
    for (; found; found = found->ai_next) {
        int line = socket(found->ai_family, SOCK_STREAM, 0);
        setsockopt(line, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
        setsockopt(line, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        if (line >= 0 && connect(line, found->ai_addr, found->ai_addrlen) == 0)
            return line;
        perror("connect");
        close(line);
    }
    exit(1);
}

static int get(int line, const char *host, const char *path)
{
    char text[4096], status = 0;
    long seen = 0;
    ssize_t size = snprintf(text, sizeof text, "GET /%s HTTP/1.0\r\nHost: %s\r\nConnection: close\r\n\r\n", path, host);
    if (size >= (ssize_t)sizeof text || write(line, text, size) != size)
        return 1;
    while ((size = read(line, text, sizeof text)) > 0) {
        /* "HTTP/1.x 200": the ninth byte is the class of the status. */
        if (seen <= 9 && seen + size > 9)
            status = text[9 - seen];
        seen += size;
        fwrite(text, 1, size, stdout);
    }
    return status != '2';
}

int main(int count, char **words)
{
    signal(SIGTERM, _exit);
    signal(SIGINT, _exit);
    if (count < 2 || !strcmp(words[1], "--sleep"))
        for (;;)
            pause();
    if (!strcmp(words[1], "--lookup") && count > 2) {
        lookup(words[2], "80");
        return 0;
    }
    char *path = strchr(words[1], '/'), *port = NULL;
    if (path)
        *path++ = 0;
    if ((port = strchr(words[1], ':')))
        *port++ = 0;
    return get(reach(lookup(words[1], port ? port : "80")), words[1], path ? path : "");
}

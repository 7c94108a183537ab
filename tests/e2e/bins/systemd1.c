// SPDX-License-Identifier: Apache-2.0
// A double of systemd's manager for a box in which no systemd is pid 1: the real logind asks it, on the system bus, whether a target can be
// loaded and to start it; the agent asks it, on the private socket, for its state. `systemd1 BUS_SOCKET PRIVATE_SOCKET` prints a line for each
// unit that it is told to start; from then on, and after SIGUSR1, the state is "stopping".
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>
#include <unistd.h>

static const char *state = "running";
static sd_event *loop;

static int give_state(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply, void *data,
                      sd_bus_error *error) {
  (void)bus, (void)path, (void)interface, (void)property, (void)data, (void)error;
  return sd_bus_message_append(reply, "s", state);
}

static int give_loaded(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply, void *data,
                       sd_bus_error *error) {
  (void)bus, (void)path, (void)interface, (void)property, (void)data, (void)error;
  return sd_bus_message_append(reply, "s", "loaded");
}

static int subscribe(sd_bus_message *call, void *data, sd_bus_error *error) {
  (void)data, (void)error;
  return sd_bus_reply_method_return(call, "");
}

static int start_unit(sd_bus_message *call, void *data, sd_bus_error *error) {
  (void)data, (void)error;
  const char *unit, *mode;
  int read = sd_bus_message_read(call, "ss", &unit, &mode);
  if (read < 0) return read;
  printf("start %s\n", unit);
  fflush(stdout);
  state = "stopping";
  return sd_bus_reply_method_return(call, "o", "/org/freedesktop/systemd1/job/1");
}

static const sd_bus_vtable manager[] = {
    SD_BUS_VTABLE_START(0), SD_BUS_PROPERTY("SystemState", "s", give_state, 0, 0),
    SD_BUS_METHOD("Subscribe", "", "", subscribe, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD("StartUnit", "ss", "o", start_unit, SD_BUS_VTABLE_UNPRIVILEGED), SD_BUS_VTABLE_END};
static const sd_bus_vtable unit[] = {SD_BUS_VTABLE_START(0), SD_BUS_PROPERTY("LoadState", "s", give_loaded, 0, 0), SD_BUS_VTABLE_END};

static int must(int done, const char *what) {
  if (done >= 0) return done;
  fprintf(stderr, "%s: %s\n", what, strerror(-done));
  _exit(1);
}

static void offer(sd_bus *bus) {
  must(sd_bus_add_object_vtable(bus, NULL, "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager", manager, NULL), "manager");
  must(sd_bus_add_fallback_vtable(bus, NULL, "/org/freedesktop/systemd1/unit", "org.freedesktop.systemd1.Unit", unit, NULL, NULL), "unit");
  must(sd_bus_attach_event(bus, loop, 0), "attach");
}

static int on_peer(sd_event_source *source, int fd, unsigned events, void *data) {
  (void)source, (void)events, (void)data;
  int peer = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (peer < 0) return 0;
  sd_bus *bus = NULL;
  sd_id128_t id;
  sd_id128_randomize(&id);
  must(sd_bus_new(&bus), "bus");
  must(sd_bus_set_fd(bus, peer, peer), "fd");
  must(sd_bus_set_server(bus, 1, id), "server");
  must(sd_bus_start(bus), "start");
  offer(bus);
  return 0;
}

static int on_signal(sd_event_source *source, const struct signalfd_siginfo *info, void *data) {
  (void)source, (void)info, (void)data;
  state = "stopping";
  return 0;
}

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  sigprocmask(SIG_BLOCK, &set, NULL);
  must(sd_event_default(&loop), "loop");
  must(sd_event_add_signal(loop, NULL, SIGUSR1, on_signal, NULL), "signal");
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  strncpy(address.sun_path, argv[2], sizeof(address.sun_path) - 1);
  int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (bind(listener, (struct sockaddr *)&address, sizeof(address)) != 0 || listen(listener, 8) != 0) must(-errno, argv[2]);
  must(sd_event_add_io(loop, NULL, listener, 1 /* EPOLLIN */, on_peer, NULL), "listen");
  sd_bus *bus = NULL;
  char where[256];
  snprintf(where, sizeof(where), "unix:path=%s", argv[1]);
  must(sd_bus_new(&bus), "bus");
  must(sd_bus_set_address(bus, where), "address");
  must(sd_bus_set_bus_client(bus, 1), "client");
  must(sd_bus_start(bus), "start");
  offer(bus);
  must(sd_bus_request_name(bus, "org.freedesktop.systemd1", 0), "name");
  printf("ready\n");
  fflush(stdout);
  return sd_event_loop(loop) < 0;
}

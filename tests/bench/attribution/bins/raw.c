// SPDX-License-Identifier: Apache-2.0
// Sockets below TCP and UDP. Root.
//   raw icmp ADDRESS COUNT SIZE                 echo requests of SIZE bytes, each answer awaited in
//   a window of 16 raw proto253 ADDRESS COUNT SIZE             an experimental IP protocol raw syn
//   ADDRESS PORT COUNT SPREAD           bare SYNs from changing sources of 198.51.100.0/24; SPREAD
//   ports raw link|bypass INTERFACE MAC ADDRESS PORT COUNT SIZE
//                                               whole frames (UDP) through a packet socket, bypass:
//                                               past the queues
// tx and rx are bytes behind the IP header, but 0 for SYNs; link: L3 bytes.
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <netinet/udp.h>

#include "tests/bench/attribution/bins/gen.h"

static struct report r;
static unsigned char packet[2048];

static unsigned short checksum(const void* data, size_t bytes, unsigned long sum) {
  const unsigned short* words = data;
  for (; bytes > 1; bytes -= 2) sum += *words++;
  if (bytes == 1) sum += *(const unsigned char*)words;
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  return (unsigned short)~sum;
}

static void icmp(const char* address, long count, long size) {
  const struct endpoint to = endpoint_of(address, 0);
  const int fd = open_socket(&to, SOCK_RAW, IPPROTO_ICMP);
  struct icmphdr* head = (struct icmphdr*)packet;
  long open = 0;
  for (long i = 0; i < count || open > 0;) {
    if (i < count && open < 16) {
      memset(packet, 0, (size_t)size);
      head->type = ICMP_ECHO;
      head->un.echo.id = htons((unsigned short)getpid());
      head->un.echo.sequence = htons((unsigned short)i++);
      head->checksum = checksum(packet, (size_t)size, 0);
      if (sendto(fd, packet, (size_t)size, 0, &to.any, to.length) != size) die("sendto");
      r.tx += size;
      r.tx_packets += 1;
      open += 1;
      continue;
    }
    const ssize_t n = recv(fd, packet, sizeof packet, 0);
    if (n < 20) die("recv");
    r.rx += n - 20;
    r.rx_packets += 1;
    open -= 1;
  }
}

static void proto253(const char* address, long count, long size) {
  const struct endpoint to = endpoint_of(address, 0);
  const int fd = open_socket(&to, SOCK_RAW, 253);
  for (long i = 0; i < count; ++i) {
    if (sendto(fd, packet, (size_t)size, 0, &to.any, to.length) != size) die("sendto");
    r.tx += size;
    r.tx_packets += 1;
    if (i % 32 == 0) usleep(300);
  }
}

static void fill_ip(struct iphdr* ip, int protocol, size_t length, unsigned from, unsigned to) {
  memset(ip, 0, sizeof *ip);
  ip->version = 4;
  ip->ihl = 5;
  ip->ttl = 64;
  ip->protocol = (unsigned char)protocol;
  ip->tot_len = htons((unsigned short)length);
  ip->saddr = from;
  ip->daddr = to;
  ip->check = checksum(ip, sizeof *ip, 0);
}

static void syn(const char* address, int port, long count, long spread) {
  const struct endpoint to = endpoint_of(address, 0);
  const int fd = open_socket(&to, SOCK_RAW, IPPROTO_RAW);
  struct iphdr* ip = (struct iphdr*)packet;
  struct tcphdr* tcp = (struct tcphdr*)(packet + sizeof *ip);
  for (long i = 0; i < count; ++i) {
    fill_ip(ip, IPPROTO_TCP, sizeof *ip + sizeof *tcp, htonl(0xc6336400U | (unsigned)(1 + i % 254)),
            to.v4.sin_addr.s_addr);
    memset(tcp, 0, sizeof *tcp);
    tcp->source = htons((unsigned short)(1024 + i % 60000));
    tcp->dest = htons((unsigned short)(port + i % spread));
    tcp->seq = htonl((unsigned)i);
    tcp->doff = 5;
    tcp->syn = 1;
    tcp->window = htons(1024);
    const unsigned long pseudo = (ip->saddr & 0xffff) + (ip->saddr >> 16) + (ip->daddr & 0xffff) +
                                 (ip->daddr >> 16) + htons(IPPROTO_TCP) + htons(sizeof *tcp);
    tcp->check = checksum(tcp, sizeof *tcp, pseudo);
    if (sendto(fd, packet, sizeof *ip + sizeof *tcp, 0, &to.any, to.length) < 0) die("sendto");
    r.tx_packets += 1;
    if (i % 32 == 0) usleep(300);
  }
}

static void frames(char** argv, int bypass) {
  const long count = atol(argv[6]), size = atol(argv[7]);
  const size_t l3 = sizeof(struct iphdr) + sizeof(struct udphdr) + (size_t)size,
               whole = ETH_HLEN + l3;
  struct sockaddr_ll to = {
      .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_IP), .sll_halen = ETH_ALEN};
  struct ether_header* ether = (struct ether_header*)packet;
  struct udphdr* udp = (struct udphdr*)(packet + ETH_HLEN + sizeof(struct iphdr));
  const int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
  if (fd < 0 || whole > sizeof packet) die("packet socket");
  if (bypass && setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &bypass, sizeof bypass) != 0)
    die("PACKET_QDISC_BYPASS");
  to.sll_ifindex = (int)if_nametoindex(argv[2]);
  if (sscanf(argv[3], "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", &to.sll_addr[0], &to.sll_addr[1],
             &to.sll_addr[2], &to.sll_addr[3], &to.sll_addr[4], &to.sll_addr[5]) != 6)
    exit(2);
  memcpy(ether->ether_dhost, to.sll_addr, ETH_ALEN);
  ether->ether_shost[0] = 2;
  ether->ether_type = htons(ETH_P_IP);
  fill_ip((struct iphdr*)(packet + ETH_HLEN), IPPROTO_UDP, l3, inet_addr("192.0.2.1"),
          inet_addr(argv[4]));
  udp->source = htons(40001);
  udp->dest = htons((unsigned short)atoi(argv[5]));
  udp->len = htons((unsigned short)(sizeof *udp + (size_t)size));
  for (long i = 0; i < count; ++i) {
    if (sendto(fd, packet, whole, 0, (struct sockaddr*)&to, sizeof to) != (ssize_t)whole)
      die("sendto");
    r.tx += (long)l3;
    r.tx_packets += 1;
    if (i % 32 == 0) usleep(300);
  }
}

int main(int argc, char** argv) {
  if (argc < 5) return 2;
  const char* mode = argv[1];
  wait_if_asked();
  if (strcmp(mode, "icmp") == 0) {
    icmp(argv[2], atol(argv[3]), atol(argv[4]));
  } else if (strcmp(mode, "proto253") == 0) {
    proto253(argv[2], atol(argv[3]), atol(argv[4]));
  } else if (strcmp(mode, "syn") == 0 && argc == 6) {
    syn(argv[2], atoi(argv[3]), atol(argv[4]), atol(argv[5]));
  } else if (argc == 8) {
    frames(argv, strcmp(mode, "bypass") == 0);
  } else {
    return 2;
  }
  print_report(&r);
  return 0;
}

// SPDX-License-Identifier: Apache-2.0
// What a program tries: to connect, to guess, to send to whoever is there.
#include <spdlog/fmt/fmt.h>

#include "tests/collector/detect/scenarios.h"

namespace culprit::testing {
namespace {

void Contacts(HostScript& host, int failed, int answered) {
  const auto process = host.Process("/usr/bin/tool");
  for (int i = 0; i < failed + answered; ++i) {
    host.Ended(process, Net(i), 8000, i >= failed);
    host.Wait(0.2);
  }
}

void Pings(HostScript& host, int targets, int answered) {
  const auto process = host.Process("/usr/bin/fping");
  for (int i = 0; i < targets; ++i) {
    host.Flow({.process = process,
               .remote = Net(i),
               .remote_port = 0,
               .protocol = IPPROTO_ICMP,
               .rx_packets = i < answered ? 1U : 0U});
    host.Wait(0.5);
  }
}

// Counters alone, as for attempts that are too many to have rows.
void Counted(HostScript& host, std::uint64_t a_second, std::uint64_t addresses, std::uint64_t ok,
             int seconds) {
  v1::ProcessCounters counters;
  counters.set_process_id(host.Process("/usr/bin/tool"));
  for (int i = 0; i < seconds; ++i) {
    host.Wait(1);
    counters.set_tcp_attempts(counters.tcp_attempts() + a_second);
    counters.set_first_contacts(counters.first_contacts() + std::min(a_second, addresses));
    counters.set_first_contacts_ok(counters.first_contacts_ok() + ok);
    counters.set_ok(counters.ok() + ok);
    counters.set_suppressed_flows(counters.suppressed_flows() + 1);
    counters.set_window_addresses(addresses);
    counters.set_window_ports(1);
    host.Counters(counters);
  }
}

// Thirty places within a second, of which `ok` answer, and then some time at those.
void Burst(HostScript& host, std::uint64_t ok) {
  v1::ProcessCounters counters;
  counters.set_process_id(host.Process("/usr/bin/tool"));
  counters.set_first_contacts(30);
  counters.set_first_contacts_ok(ok);
  counters.set_suppressed_flows(1);
  counters.set_window_addresses(30);
  counters.set_window_ports(1);
  for (int i = 0; i < 6; ++i) {
    host.Wait(1);
    counters.set_tx_packets(counters.tx_packets() + 30);
    host.Counters(counters);
  }
}

// Of `names` names each of `addresses` addresses is tried, and none of them answers.
void Resolved(HostScript& host, int names, int addresses) {
  const auto process = host.Process("/usr/bin/apt");
  for (int name = 0; name < names; ++name) {
    std::vector<std::string> answers;
    for (int i = 0; i < addresses; ++i) answers.push_back(Net(name * addresses + i));
    host.Ask(process, "mirror" + std::to_string(name) + ".example", 1, answers);
    for (const std::string& address : answers) {
      host.Ended(process, address, 443, false);
      host.Wait(0.2);
    }
  }
}

// Of connections that stand one way was seen.
void HalfSeen(HostScript& host, int connections, std::uint32_t protocol) {
  const auto process = host.Process("/usr/bin/tool");
  for (int i = 0; i < connections; ++i) {
    host.Flow({.process = process,
               .remote = Net(i),
               .protocol = static_cast<std::uint8_t>(protocol),
               .state = v1::FLOW_STATE_CLOSED,
               .tx = 500,
               .tx_packets = 6,
               .lived = 4 * kSecond});
    host.Wait(0.2);
  }
}

void Packets(HostScript& host, std::uint64_t a_second, std::uint64_t answers, int seconds) {
  v1::ProcessCounters counters;
  counters.set_process_id(host.Process("/usr/bin/tool"));
  for (int i = 0; i < seconds; ++i) {
    host.Wait(1);
    counters.set_tx_packets(counters.tx_packets() + a_second);
    counters.set_rx_packets(counters.rx_packets() + answers);
    host.Counters(counters);
  }
}

// A fast upload: next to nothing but acknowledgements comes back, and few of those.
void Stream(HostScript& host, std::uint64_t a_second, int seconds) {
  v1::ProcessCounters counters;
  counters.set_process_id(host.Process("/usr/bin/tool"));
  std::uint64_t flow = 0;
  for (int i = 1; i <= seconds; ++i) {
    const auto n = static_cast<std::uint64_t>(i);
    flow = host.Flow({.process = counters.process_id(),
                      .remote = "203.0.113.9",
                      .tx = 1000,
                      .tx_packets = a_second * n,
                      .rx_packets = 10 * n,
                      .lived = n * kSecond,
                      .flow = flow});
    host.Wait(1);
    counters.set_tx_packets(a_second * n);
    counters.set_rx_packets(10 * n);
    host.Counters(counters);
  }
}

void Guesses(HostScript& host, int tries, std::uint64_t bytes, std::uint16_t port,
             std::uint64_t process = 0, const char* net = nullptr) {
  if (process == 0) process = host.Process("/usr/bin/client");
  for (int i = 0; i < tries; ++i) {
    host.Flow({.process = process,
               .remote = net == nullptr ? "198.51.100.9" : fmt::format("{}{}", net, i + 1),
               .remote_port = port,
               .state = v1::FLOW_STATE_CLOSED,
               .tx = bytes / 2,
               .rx = bytes / 2,
               .tx_packets = 10,
               .rx_packets = 10,
               .lived = 2 * kSecond});
    host.Wait(3);
  }
}

std::uint64_t OfLogin(HostScript& host) {
  const auto sshd = host.Process("/usr/sbin/sshd", host.Process("/usr/sbin/sshd"));
  return host.Process("/usr/bin/client", host.Process("/bin/bash", sshd));
}

// UDP to port after port of one address, without an answer.
void Datagrams(HostScript& host, std::uint16_t first, int ports) {
  const auto process = host.Process("/usr/bin/tool");
  for (int i = 0; i < ports; ++i) {
    host.Flow({.process = process,
               .remote = "198.51.100.9",
               .remote_port = static_cast<std::uint16_t>(first + i),
               .protocol = IPPROTO_UDP});
    host.Wait(0.1);
  }
}

}  // namespace

std::vector<Scenario> Attempts() {
  return {
      {"nine_new_addresses_refuse", "scan", [](auto& h) { Contacts(h, 9, 0); }},
      {"eight_new_addresses_refuse", "", [](auto& h) { Contacts(h, 8, 0); }},
      {"forty_new_addresses_answer", "", [](auto& h) { Contacts(h, 2, 40); }},
      {"thirty_pings_without_an_answer", "scan", [](auto& h) { Pings(h, 30, 0); }},
      {"pings_of_which_a_third_answers", "", [](auto& h) { Pings(h, 45, 15); }},
      {"counted_scan_of_many_addresses", "scan", [](auto& h) { Counted(h, 400, 400, 0, 6); }},
      {"counted_client_of_many_that_answer", "", [](auto& h) { Counted(h, 60, 60, 60, 6); }},
      {"mirrors_of_which_no_address_answers", "", [](auto& h) { Resolved(h, 4, 4); }},
      {"mirrors_each_with_one_address", "scan", [](auto& h) { Resolved(h, 12, 1); }},
      {"one_name_with_very_many_addresses", "scan", [](auto& h) { Resolved(h, 1, 30); }},
      {"counted_burst_that_is_answered", "", [](auto& h) { Burst(h, 30); }},
      {"counted_burst_of_which_a_third_is", "", [](auto& h) { Burst(h, 11); }},
      {"counted_burst_that_is_not_answered", "scan", [](auto& h) { Burst(h, 1); }},
      {"connections_of_which_half_was_seen", "", [](auto& h) { HalfSeen(h, 40, IPPROTO_TCP); }},
      {"datagrams_of_which_half_was_seen", "scan", [](auto& h) { HalfSeen(h, 40, IPPROTO_UDP); }},
      {"counted_attempts_at_one_target", "flood", [](auto& h) { Counted(h, 120, 1, 0, 6); }},
      {"counted_attempts_below_the_rate", "", [](auto& h) { Counted(h, 90, 1, 0, 6); }},
      {"packets_that_nobody_answers", "flood", [](auto& h) { Packets(h, 6000, 10, 5); }},
      {"packets_that_are_acknowledged", "", [](auto& h) { Packets(h, 60000, 30000, 5); }},
      {"many_packets_for_two_seconds", "flood", [](auto& h) { Packets(h, 12'000, 10, 2); }},
      {"many_packets_for_a_second", "", [](auto& h) { Packets(h, 60'000, 10, 1); }},
      {"upload_with_few_acknowledgements", "", [](auto& h) { Stream(h, 60'000, 6); }},
      {"packets_for_two_seconds", "", [](auto& h) { Packets(h, 6000, 10, 2); }},
      {"six_short_connections_to_ssh", "brute-force", [](auto& h) { Guesses(h, 6, 6000, 22); }},
      {"twenty_short_commands_by_ssh", "", [](auto& h) { Guesses(h, 19, 7600, 22); }},
      {"five_short_connections_to_ssh", "", [](auto& h) { Guesses(h, 5, 6000, 22); }},
      {"sessions_that_got_in", "", [](auto& h) { Guesses(h, 12, 40'000, 22); }},
      {"short_connections_to_a_web_server", "", [](auto& h) { Guesses(h, 19, 6000, 443); }},
      {"lookups_of_a_service_at_its_database", "", [](auto& h) { Guesses(h, 19, 600, 6379); }},
      {"guesses_at_a_database_by_somebody", "brute-force",
       [](auto& h) { Guesses(h, 19, 600, 5432, OfLogin(h)); }},
      {"questions_of_somebody_that_say_much", "",
       [](auto& h) { Guesses(h, 19, 14'000, 5432, OfLogin(h)); }},
      {"a_service_at_eight_public_databases", "brute-force",
       [](auto& h) { Guesses(h, 9, 600, 3306, 0, "203.0.113."); }},
      {"a_service_at_eight_databases_of_the_house", "",
       [](auto& h) { Guesses(h, 9, 600, 3306, 0, "10.1.2."); }},
      {"thirty_silent_ports", "scan", [](auto& h) { Datagrams(h, 2000, 30); }},
      {"traceroute_through_silence", "", [](auto& h) { Datagrams(h, 33434, 90); }},
  };
}

}  // namespace culprit::testing

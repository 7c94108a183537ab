// SPDX-License-Identifier: Apache-2.0
#include "tests/collector/detect/scenarios.h"

#include <spdlog/fmt/fmt.h>

namespace culprit::testing {
namespace {

std::string Net(int i) { return fmt::format("198.51.100.{}", i % 250 + 1); }

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
    counters.set_window_addresses(addresses);
    counters.set_window_ports(1);
    host.Counters(counters);
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

// What a client asked for: a film by UDP, a file of which the network card sums up the
// acknowledgements.
void Served(HostScript& host, std::uint8_t protocol, std::uint64_t questions) {
  v1::ProcessCounters counters;
  counters.set_process_id(host.Process("/usr/bin/server"));
  std::uint64_t flow = 0;
  for (std::uint64_t i = 1; i <= 6; ++i) {
    flow = host.Flow({.process = counters.process_id(),
                      .remote = "203.0.113.9",
                      .protocol = protocol,
                      .direction = v1::FLOW_DIRECTION_INBOUND,
                      .tx = 9'000'000 * i,
                      .tx_packets = 9000 * i,
                      .rx_packets = questions * i,
                      .lived = i * kSecond,
                      .flow = flow,
                      .local_port = 9443});
    host.Wait(1);
    counters.set_tx_packets(9000 * i);
    counters.set_rx_packets(questions * i);
    host.Counters(counters);
  }
}

void SshForward(HostScript& host, const std::string& program, std::uint16_t port) {
  const auto listener = host.Process("/usr/sbin/sshd");
  const auto login = host.Process("/usr/sbin/sshd", listener);
  const auto process =
      program == "/usr/sbin/sshd" ? host.Process(program, login) : host.Process(program, login);
  host.Flow({.process = process,
             .remote = "203.0.113.9",
             .remote_port = port,
             .tx = 500,
             .rx = 500,
             .rx_packets = 4});
  host.Wait(1);
}

// The sshd of a login, with a connection to `port` that is not its own.
void SshServes(HostScript& host, std::uint16_t port) {
  const auto listener = host.Process("/usr/sbin/sshd");
  const auto login = host.Process("/usr/sbin/sshd", listener);
  const auto client = host.Flow({.process = listener,
                                 .remote = "198.51.100.7",
                                 .remote_port = 50000,
                                 .direction = v1::FLOW_DIRECTION_INBOUND,
                                 .rx_packets = 2,
                                 .local_port = 22});
  host.Wait(1);
  host.Flow({.process = login,
             .remote = "198.51.100.7",
             .remote_port = 50000,
             .direction = v1::FLOW_DIRECTION_INBOUND,
             .rx_packets = 9,
             .flow = client,
             .local_port = 22});
  host.Wait(1);
  host.Flow({.process = login,
             .remote = "198.51.100.8",
             .remote_port = 50001,
             .direction = v1::FLOW_DIRECTION_INBOUND,
             .tx = 500,
             .rx = 500,
             .rx_packets = 9,
             .local_port = port});
  host.Wait(1);
}

void ProxyAsked(HostScript& host, int asked, int reached, bool told_late = false) {
  const auto process = host.Process("/usr/bin/proxy");
  const auto client = host.Flow({.process = process,
                                 .remote = "198.51.100.7",
                                 .remote_port = 50000,
                                 .direction = v1::FLOW_DIRECTION_INBOUND,
                                 .rx_packets = 2,
                                 .local_port = 1080});
  for (int i = 0; i < asked; ++i) {
    const std::string to = fmt::format("203.0.113.{}", i + 1);
    const auto ask = [&] { host.Name(process, client, v1::NAME_SOURCE_SOCKS, to, 443); };
    if (!told_late) ask();
    host.Wait(0.1);
    if (i < reached) host.Ended(process, to, 443, true);
    host.Wait(0.1);
    if (told_late) ask();
  }
}

// A server by UDP whose child connects the socket to the client, as socat's does, and passes on.
void ConnectedLegs(HostScript& host, int clients, std::uint16_t listens_at) {
  const auto listener = host.Process("/usr/bin/socat", 0, 50);
  for (int i = 0; i < clients; ++i) {
    FlowSpec leg{.process = listener,
                 .remote = "198.51.100.7",
                 .remote_port = static_cast<std::uint16_t>(50000 + i),
                 .protocol = IPPROTO_UDP,
                 .direction = v1::FLOW_DIRECTION_INBOUND,
                 .rx = 1000,
                 .tx_packets = 0,
                 .rx_packets = 1,
                 .local_port = 7000};
    host.Flow(leg);
    leg.process = host.Process("/usr/bin/socat", listener);
    leg.direction = v1::FLOW_DIRECTION_OUTBOUND;
    leg.tx = leg.rx = 300'000;
    leg.tx_packets = leg.rx_packets = 300;
    leg.local_port = listens_at;
    host.Flow(leg);
    leg.remote = fmt::format("203.0.113.{}", i + 1);
    leg.remote_port = 5300;
    leg.local_port = 40001;
    host.Flow(leg);
    host.Wait(2);
  }
}

// A connection of a relay: from its client, or to the place that it is for.
void Near(HostScript& host, std::uint64_t process, int i, std::uint64_t tx, std::uint64_t rx) {
  host.Flow({.process = process,
             .remote = "198.51.100.7",
             .remote_port = static_cast<std::uint16_t>(50000 + i),
             .direction = v1::FLOW_DIRECTION_INBOUND,
             .tx = tx,
             .rx = rx,
             .tx_packets = tx / 1400 + 1,
             .rx_packets = rx / 1400 + 1,
             .local_port = 8080});
}
void Far(HostScript& host, std::uint64_t process, int i, std::uint64_t tx, std::uint64_t rx) {
  host.Flow({.process = process,
             .remote = fmt::format("203.0.113.{}", i + 1),
             .tx = tx,
             .rx = rx,
             .tx_packets = tx / 1400 + 1,
             .rx_packets = rx / 1400 + 1});
}

// Bytes in on one side and out on the other, for `destinations` places.
void Conserved(HostScript& host, int destinations, std::uint64_t out_of_hundred,
               const std::string& program = "/usr/bin/relay", bool of_login = false) {
  const auto process = host.Process(program, 0, 0, of_login);
  constexpr std::uint64_t kEach = 400'000;
  const std::uint64_t out = kEach * out_of_hundred / 100;
  for (int i = 0; i < destinations; ++i) {
    Near(host, process, i, kEach, kEach);
    Far(host, process, i, out, out);
    host.Wait(2);
  }
}

// The same of downloads, whose far sides are told first.
void FarSideFirst(HostScript& host, int destinations, std::uint64_t served) {
  const auto process = host.Process("/usr/bin/relay");
  for (int i = 0; i < destinations; ++i) Far(host, process, i, 60, 400'000);
  host.Wait(2);
  for (int i = 0; i < destinations; ++i) Near(host, process, i, served, 70);
  host.Wait(2);
}

// Downloads through a proxy: what goes up is requests, and half of that is for the proxy.
void Fetched(HostScript& host, int destinations, std::uint64_t up) {
  const auto process = host.Process("/usr/bin/relay");
  for (int i = 0; i < destinations; ++i) {
    Near(host, process, i, 400'000, up);
    Far(host, process, i, up / 2, 400'000);
    host.Wait(2);
  }
}

void Upload(HostScript& host, std::uint64_t bytes, std::uint64_t fetched, int seconds) {
  const auto process = host.Process("/usr/bin/upload");
  std::uint64_t flow = 0;
  for (int i = 1; i <= seconds; ++i) {
    const auto n = static_cast<std::uint64_t>(i);
    flow = host.Flow({.process = process,
                      .remote = "203.0.113.9",
                      .tx = bytes * n / static_cast<std::uint64_t>(seconds),
                      .rx = fetched * n / static_cast<std::uint64_t>(seconds),
                      .tx_packets = 10 * n,
                      .rx_packets = n,
                      .lived = n * kSecond,
                      .flow = flow});
    host.Wait(1);
  }
}

// At most a second beside the minute, or as people do: often soon, seldom late.
void Calls(HostScript& host, int calls, bool regular) {
  const auto process = host.Process("/tmp/.x/agent");
  for (int i = 0; i < calls; ++i) {
    host.Ended(process, "203.0.113.9", 8443, true);
    const double draw = static_cast<double>((i * 37) % 100) / 100;
    host.Wait(regular ? 60 + draw : 5 + 600 * draw * draw * draw);
  }
}

void Lookups(HostScript& host, int names, bool below_one) {
  const auto process = host.Process("/usr/bin/tool");
  for (int i = 0; i < names; ++i) {
    host.Ask(process, below_one ? fmt::format("a{:03}.t.example.com", i)
                                : fmt::format("www.site{:03}.example", i));
    host.Wait(1);
  }
}

void Mail(HostScript& host, int servers) {
  const auto process = host.Process("/usr/bin/mailer");
  for (int i = 0; i < servers; ++i) {
    host.Flow({.process = process,
               .remote = Net(i),
               .remote_port = 25,
               .state = v1::FLOW_STATE_CLOSED,
               .tx = 30'000,
               .rx = 2000,
               .rx_packets = 20,
               .lived = kSecond});
    host.Wait(1);
  }
}

void Pool(HostScript& host, v1::NameSource source, const std::string& name) {
  const auto process = host.Process("/usr/bin/worker");
  const auto flow =
      host.Flow({.process = process, .remote = "203.0.113.9", .remote_port = 443, .rx_packets = 2});
  host.Name(process, flow, source, name);
  host.Wait(1);
}

void Answers(HostScript& host, std::uint64_t answers, std::uint64_t gain, std::uint16_t port) {
  const auto process = host.Process("/usr/sbin/service");
  host.Flow({.process = process,
             .remote = "203.0.113.9",
             .remote_port = 4000,
             .protocol = IPPROTO_UDP,
             .direction = v1::FLOW_DIRECTION_INBOUND,
             .tx = answers * 60 * gain,
             .rx = answers * 60,
             .tx_packets = answers,
             .rx_packets = answers,
             .local_port = port});
  host.Wait(1);
}

// To clients at the internet: $0.10 a GB.
void Serve(HostScript& host, std::uint64_t bytes, int minutes) {
  const auto process = host.Process("/usr/sbin/service");
  std::uint64_t flow = 0;
  for (int i = 1; i <= minutes; ++i) {
    const auto n = static_cast<std::uint64_t>(i);
    flow = host.Flow({.process = process,
                      .remote = "198.51.100.7",
                      .remote_port = 50000,
                      .direction = v1::FLOW_DIRECTION_INBOUND,
                      .tx = bytes / static_cast<std::uint64_t>(minutes) * n,
                      .rx = 1000 * n,
                      .tx_packets = 100 * n,
                      .rx_packets = 100 * n,
                      .lived = n * 60 * kSecond,
                      .flow = flow,
                      .local_port = 443});
    host.Wait(60);
  }
}

constexpr std::uint64_t kMega = 1'000'000;

// What a program tries.
std::vector<Scenario> MakeAttempts() {
  return {
      {"nine_new_addresses_refuse", "scan", [](auto& h) { Contacts(h, 9, 0); }},
      {"eight_new_addresses_refuse", "", [](auto& h) { Contacts(h, 8, 0); }},
      {"forty_new_addresses_answer", "", [](auto& h) { Contacts(h, 2, 40); }},
      {"thirty_pings_without_an_answer", "scan", [](auto& h) { Pings(h, 30, 0); }},
      {"pings_of_which_a_third_answers", "", [](auto& h) { Pings(h, 45, 15); }},
      {"counted_scan_of_many_addresses", "scan", [](auto& h) { Counted(h, 400, 400, 0, 6); }},
      {"counted_client_of_many_that_answer", "", [](auto& h) { Counted(h, 60, 60, 60, 6); }},
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

// What it serves, passes on, sends and asks for.
std::vector<Scenario> MakeTraffic() {
  return {
      {"film_for_a_client", "", [](auto& h) { Served(h, IPPROTO_UDP, 1); }},
      {"file_for_a_client", "", [](auto& h) { Served(h, IPPROTO_TCP, 90); }},
      {"datagrams_to_who_never_asked", "flood", [](auto& h) { Served(h, IPPROTO_UDP, 0); }},
      {"sshd_of_a_login_connects", "ssh-relay",
       [](auto& h) { SshForward(h, "/usr/sbin/sshd", 443); }},
      {"sshd_of_a_login_asks_ldap", "", [](auto& h) { SshForward(h, "/usr/sbin/sshd", 389); }},
      {"sshd_of_a_login_takes_connections", "ssh-relay", [](auto& h) { SshServes(h, 9000); }},
      {"another_login_by_ssh", "", [](auto& h) { SshServes(h, 22); }},
      {"curl_of_a_login_connects", "", [](auto& h) { SshForward(h, "/usr/bin/curl", 443); }},
      {"proxy_reaches_what_a_client_asks_for", "relay", [](auto& h) { ProxyAsked(h, 2, 2); }},
      {"proxy_whose_client_is_told_late", "relay", [](auto& h) { ProxyAsked(h, 2, 2, true); }},
      {"proxy_refuses", "", [](auto& h) { ProxyAsked(h, 6, 1); }},
      {"proxy_refuses_whom_is_told_late", "", [](auto& h) { ProxyAsked(h, 6, 1, true); }},
      {"bytes_conserved_to_many", "relay", [](auto& h) { Conserved(h, 5, 100); }},
      {"datagrams_passed_on_by_connected_sockets", "relay",
       [](auto& h) { ConnectedLegs(h, 6, 7000); }},
      {"as_many_questions_of_its_own", "", [](auto& h) { ConnectedLegs(h, 6, 39999); }},
      {"conserved_with_the_far_side_told_first", "relay",
       [](auto& h) { FarSideFirst(h, 5, 440'000); }},
      {"fetched_before_it_served_a_little", "", [](auto& h) { FarSideFirst(h, 9, 20'000); }},
      {"bytes_conserved_to_few", "", [](auto& h) { Conserved(h, 4, 100); }},
      {"downloads_conserved_to_many", "relay", [](auto& h) { Fetched(h, 5, 900); }},
      {"downloads_with_much_that_is_not_passed_on", "", [](auto& h) { Fetched(h, 5, 90'000); }},
      {"nginx_of_the_system", "", [](auto& h) { Conserved(h, 9, 100, "/usr/sbin/nginx"); }},
      {"nginx_of_a_login", "relay", [](auto& h) { Conserved(h, 9, 100, "/usr/sbin/nginx", true); }},
      {"nginx_of_somebody", "relay", [](auto& h) { Conserved(h, 9, 100, "/tmp/nginx"); }},
      {"bytes_not_conserved", "", [](auto& h) { Conserved(h, 6, 70); }},
      {"half_a_gigabyte_out", "egress", [](auto& h) { Upload(h, 520 * kMega, kMega, 300); }},
      {"almost_half_a_gigabyte_out", "", [](auto& h) { Upload(h, 480 * kMega, kMega, 300); }},
      {"five_megabytes_a_second_for_a_minute", "egress",
       [](auto& h) { Upload(h, 320 * kMega, kMega, 60); }},
      {"as_much_fetched_as_sent", "", [](auto& h) { Upload(h, 600 * kMega, 300 * kMega, 300); }},
      {"thirty_calls_each_minute", "beacon", [](auto& h) { Calls(h, 30, true); }},
      {"fifteen_calls_each_minute", "", [](auto& h) { Calls(h, 15, true); }},
      {"thirty_calls_at_random", "", [](auto& h) { Calls(h, 30, false); }},
      {"a_hundred_names_of_one_domain", "dns-tunnel", [](auto& h) { Lookups(h, 110, true); }},
      {"ninety_names_of_one_domain", "", [](auto& h) { Lookups(h, 90, true); }},
      {"two_hundred_names_of_many_domains", "", [](auto& h) { Lookups(h, 200, false); }},
      {"mail_to_ten_servers", "spam", [](auto& h) { Mail(h, 10); }},
      {"mail_to_nine_servers", "", [](auto& h) { Mail(h, 9); }},
      {"stratum", "mining", [](auto& h) { Pool(h, v1::NAME_SOURCE_STRATUM, "stratum"); }},
      {"pool_by_name", "mining",
       [](auto& h) { Pool(h, v1::NAME_SOURCE_TLS_SNI, "eu.xmrpool.example"); }},
      {"another_name", "", [](auto& h) { Pool(h, v1::NAME_SOURCE_TLS_SNI, "www.example.com"); }},
      {"amplifier", "reflector", [](auto& h) { Answers(h, 1000, 20, 11211); }},
      {"udp_service_with_small_answers", "", [](auto& h) { Answers(h, 5000, 4, 11211); }},
      {"stream_of_media", "", [](auto& h) { Answers(h, 5000, 20, 5004); }},
  };
}

// The whole host's, which has a budget of a dollar an hour.
std::vector<Scenario> MakeDear() {
  constexpr std::uint64_t kGiga = 1'000'000'000;
  return {
      {"a_dollar_within_an_hour", "budget", [](auto& h) { Serve(h, 11 * kGiga, 50); }},
      {"less_than_a_dollar_within_an_hour", "", [](auto& h) { Serve(h, 9 * kGiga, 50); }},
      {"a_dollar_within_two_hours", "", [](auto& h) { Serve(h, 15 * kGiga, 120); }},
  };
}

}  // namespace

const std::vector<Scenario>& Scenarios() {
  static const std::vector<Scenario> all = [] {
    std::vector<Scenario> scenarios = MakeAttempts();
    for (auto& more : {MakeTraffic(), MakeDear()}) {
      scenarios.insert(scenarios.end(), more.begin(), more.end());
    }
    return scenarios;
  }();
  return all;
}

}  // namespace culprit::testing

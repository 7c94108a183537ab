// SPDX-License-Identifier: Apache-2.0
#include "tests/collector/detect/scenarios.h"

#include <spdlog/fmt/fmt.h>

namespace culprit::testing {
namespace {

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

// A film that was on its way when the agent started, and what comes back of it.
void Joined(HostScript& host, std::uint16_t local_port, std::uint16_t remote_port) {
  v1::ProcessCounters counters;
  counters.set_process_id(host.Process("/usr/bin/server"));
  FlowSpec film{.process = counters.process_id(),
                .remote = "203.0.113.9",
                .remote_port = remote_port,
                .protocol = IPPROTO_UDP,
                .local_port = local_port,
                .flags = v1::FLOW_FLAG_PREEXISTING | v1::FLOW_FLAG_PEER};
  for (int i = 0; i < 6; ++i) {
    film.tx_packets += 8000;
    film.rx_packets += 2;
    film.flow = host.Flow(film);
    counters.set_tx_packets(film.tx_packets);
    counters.set_rx_packets(film.rx_packets);
    host.Wait(1);
    host.Counters(counters);
  }
}

// The sshd of a login, with a connection to `port` that is not its own. `listens`: at what else the
// one that takes logins does.
void SshServes(HostScript& host, std::uint16_t port, std::uint16_t listens = 22) {
  const auto listener = host.Process("/usr/sbin/sshd");
  host.Flow({.process = listener,
             .remote = "0.0.0.0",
             .remote_port = 0,
             .direction = v1::FLOW_DIRECTION_LISTEN,
             .local_port = listens});
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

// Of addresses, at a block list; of the hosts of one's own network.
void HostNames(HostScript& host, const char* format, std::uint32_t type) {
  const auto process = host.Process("/usr/bin/tool");
  for (int i = 0; i < 120; ++i) {
    host.Ask(process, fmt::format(fmt::runtime(format), i), type);
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
      {"another_port_of_sshd", "", [](auto& h) { SshServes(h, 2222, 2222); }},
      {"film_from_before_the_agent", "", [](auto& h) { Joined(h, 443, 50000); }},
      {"datagrams_from_before_the_agent", "flood", [](auto& h) { Joined(h, 50000, 443); }},
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
      {"block_list_of_a_mail_server", "",
       [](auto& h) { HostNames(h, "{}.2.0.192.list.example.org", 16); }},
      {"free_text_of_one_domain", "dns-tunnel",
       [](auto& h) { HostNames(h, "x{}.2.0.192.list.example.org", 16); }},
      {"hosts_of_a_private_zone", "",
       [](auto& h) { HostNames(h, "ip-10-0-0-{}.ec2.internal", 1); }},
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
    std::vector<Scenario> scenarios = Attempts();
    for (auto& more : {MakeTraffic(), MakeDear()}) {
      scenarios.insert(scenarios.end(), more.begin(), more.end());
    }
    return scenarios;
  }();
  return all;
}

}  // namespace culprit::testing

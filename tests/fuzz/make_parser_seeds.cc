// SPDX-License-Identifier: Apache-2.0
// Writes the seed corpus of fuzz_parser_wire: make_parser_seeds tests/fuzz/corpus
#include <filesystem>
#include <fstream>
#include <iostream>
#include <string>
#include <vector>

#include "agent/parser/parser_wire.h"

namespace culprit {
namespace {

ObservationEvent Event(Observation what) {
  return {BootTime(std::chrono::seconds(77)),
          Endpoint::Parse("192.0.2.1:40000").value(),
          Endpoint::Parse("[2001:db8::7]:443").value(),
          6,
          true,
          std::move(what)};
}

std::string Reply(const std::vector<Observation>& observations) {
  ReplyWriter writer;
  for (const Observation& what : observations) writer.Add(Event(what));
  return '\0' + std::string(writer.Finish({.samples = 9, .observations = observations.size()}));
}

std::string Samples() {
  SampleBatch batch;
  Packet packet;
  packet.source = IpAddress::Parse("192.0.2.1").value();
  packet.destination = IpAddress::Parse("198.51.100.7").value();
  packet.source_port = 40'000;
  packet.destination_port = 53;
  for (const std::uint8_t protocol : {std::uint8_t{6}, std::uint8_t{17}}) {
    packet.protocol = protocol;
    packet.payload = "payload";
    packet.payload_bytes = 9;
    batch.Add(packet, BootTime(std::chrono::seconds(77)));
  }
  return '\1' + std::string(batch.bytes());
}

void Write(const std::filesystem::path& folder) {
  DnsMessage dns;
  dns.response = true;
  dns.name = "a\\x2eb.example";
  dns.answers = {{"a.example", 5, 300, {}, "b.example"},
                 {"b.example", 1, 300, IpAddress::Parse("203.0.113.9").value(), ""}};
  const ServerName hello{NameSource::kTlsSni, "a.example", {"h2", "http/1.1"}};
  const ProxyRequest request{NameSource::kSocks, "a.example", 443, 1};
  const auto write = [&folder](const char* name, const std::string& bytes) {
    std::ofstream(folder / name, std::ios::binary) << bytes;
  };
  write("reply_empty", Reply({}));
  write("reply_dns", Reply({dns}));
  write("reply_name", Reply({hello}));
  write("reply_proxy", Reply({request}));
  write("reply_stratum", Reply({ServerName{NameSource::kStratum, "4AbC.rig", {}}}));
  write("reply_all", Reply({request, dns, hello}));
  write("samples", Samples());
}

}  // namespace
}  // namespace culprit

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: make_parser_seeds FOLDER\n";
    return 2;
  }
  culprit::Write(std::string(argv[1]) + "/fuzz_parser_wire");
  return 0;
}

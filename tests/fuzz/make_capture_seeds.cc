// SPDX-License-Identifier: Apache-2.0
// Writes the seeds of fuzz_capture and fuzz_zeek: make_capture_seeds CORPUS_DIR
#include <string>

#include "common/file.h"
#include "common/pcapng.h"
#include "tests/support/capture_bytes.h"

namespace culprit {
namespace {

constexpr std::uint32_t kMicro = 0xa1b2c3d4, kNano = 0xa1b23c4d, kModified = 0xa1b2cd34;

std::string Pcap(std::uint32_t magic, bool big_endian) {
  CaptureBytes file(big_endian);
  file.PcapHeader(magic, 101);
  for (const char* packet : {"one", "three"}) {
    file.U32(1).U32(2).U32(static_cast<std::uint32_t>(std::string_view(packet).size())).U32(60);
    if (magic == kModified) file.U64(0);
    file.Raw(packet);
  }
  return file.str();
}

std::string OursAsPcapng() {
  std::string file;
  AppendPcapngSection({"x86_64", "Linux", "culprit"}, &file);
  AppendPcapngInterface({"eth0", 1, 96}, &file);
  PcapngProcess process;
  process.id = ProcessId(1);
  process.exe = "/usr/bin/curl";
  process.arguments = "curl x";
  AppendPcapngProcess(process, &file);
  const std::string comment = PcapngPacketComment(ProcessId(1), FlowId(2), Tgid(3), "curl");
  PcapngPacket packet;
  packet.bytes = "bytes of a packet";
  packet.direction = PacketDirection::kOut;
  packet.comment = comment;
  packet.process = ProcessId(1);
  packet.flow = FlowId(2);
  packet.dropped = 4;
  AppendPcapngPacket(packet, &file);
  AppendPcapngStatistics({0, 5, 1, 4, 6, 7, 8}, &file);
  return file;
}

std::string OthersPcapng(bool big_endian) {
  CaptureBytes file(big_endian), options(big_endian);
  options.Option(2, "any").Option(9, "\x83").Option(14, CaptureBytes(big_endian).U64(1).str());
  file.Section().Interface(113, 8, options.str()).Enhanced(0, 9, "enhanced", 9);
  file.Block(3, file.Empty().U32(4).Raw("none"));
  file.Block(2, file.Empty().U16(0).U16(1).U64(0).U32(4).U32(4).Raw("old!"));
  return file.Block(4, file.Empty().U32(0)).Raw("noise").Enhanced(0, 9, "after", 5).str();
}

std::string ZeekConnLog() {
  return "#separator "
         "\\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n#path\tconn\n"
         "#fields\tts\tuid\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tproto\tduration\torig_"
         "bytes\t"
         "conn_state\tlabel\n"
         "1.5\tC1\t192.0.2.1\t1\t192.0.2.2\t443\ttcp\t0.5\t7\tSF\tBenign\n"
         "2.5\tC2\t2001:db8::1\t3\t2001:db8::2\t1\ticmp\t-\t-\tOTH\t(empty)\n#close\t1\n";
}

int Main(const std::string& directory) {
  bool ok = true;
  const auto write = [&](const std::string& name, const std::string& content) {
    ok = ok && WriteFileAtomically(directory + "/" + name, content).has_value();
  };
  write("fuzz_capture/pcap_micro", Pcap(kMicro, false));
  write("fuzz_capture/pcap_nano_big", Pcap(kNano, true));
  write("fuzz_capture/pcap_modified", Pcap(kModified, false));
  write("fuzz_capture/pcap_joined", Pcap(kMicro, false) + Pcap(kNano, true));
  write("fuzz_capture/pcapng_ours", OursAsPcapng());
  write("fuzz_capture/pcapng_others", OthersPcapng(false));
  write("fuzz_capture/pcapng_sections", OthersPcapng(true) + OthersPcapng(false));
  write("fuzz_capture/gzip", PackGzip(Pcap(kMicro, false)));
  write("fuzz_capture/zstd", PackZstd(OursAsPcapng()));

  write("fuzz_zeek/conn", ZeekConnLog());
  write("fuzz_zeek/dns",
        "#separator |\n#set_separator|,\n#fields|ts|id.orig_h|id.resp_h|query|qtype|answers|TTLs\n"
        "1|192.0.2.1|192.0.2.2|a\\x2eb|1|192.0.2.3,x|60.0,1e1\n");
  write(
      "fuzz_zeek/json",
      "{\"ts\":1.5,\"id.orig_h\":\"192.0.2.1\",\"id.resp_h\":\"192.0.2.2\",\"conn_state\":\"SF\"}\n"
      "{\"_path\":\"dns\",\"ts\":\"2026-01-01T00:00:00.5Z\",\"id\":{\"orig_h\":\"192.0.2.1\","
      "\"resp_h\":\"::1\"},\"answers\":[\"x\"],\"TTLs\":[1.0]}\n");
  write("fuzz_zeek/gzip", PackGzip(ZeekConnLog()));
  return ok ? 0 : 1;
}

}  // namespace
}  // namespace culprit

int main(int argc, char** argv) { return argc == 2 ? culprit::Main(argv[1]) : 2; }

// SPDX-License-Identifier: Apache-2.0
// Writes the seeds of fuzz_bundle and fuzz_snapshot_text: make_snapshot_seeds CORPUS_DIR
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <utmp.h>

#include <cstdio>
#include <string>

#include "common/file.h"
#include "tests/support/bundle_bytes.h"

namespace culprit {
namespace {

bool Write(const std::string& path, const std::string& bytes) {
  return WriteFileAtomically(path, bytes, 0644).has_value();
}

constexpr const char* kCloud =
    R"({"answers":{"meta-data/instance-id":"i-1","meta-data/ami-id":"ami-1",
"meta-data/autoscaling/target-lifecycle-state":"InService","meta-data/tags/instance/":"Name",
"meta-data/tags/instance/aws:autoscaling:groupName":"web's fleet"},"absent":[]})";

bool Bundles(const std::string& directory) {
  const TestBundle bundle = MakeTestBundle();
  std::string manifest, signature;
  for (const TarMember& member : UnpackBundle(bundle.bytes)) {
    if (member.name == "manifest.jsonl") manifest = member.bytes;
    if (member.name == "manifest.jsonl.sig") signature = member.bytes;
  }
  return Write(directory + "whole", '\0' + bundle.bytes) &&
         Write(directory + "cut", '\0' + bundle.bytes.substr(0, bundle.tier_ends.at(0))) &&
         Write(directory + "manifest", '\1' + manifest + signature) &&
         Write(directory + "cloud", '\1' + std::string(kCloud));
}

bool Texts(const std::string& directory) {
  struct {
    nlmsghdr head;
    inet_diag_msg body;
  } socket{};
  socket.head.nlmsg_len = sizeof socket;
  socket.head.nlmsg_type = SOCK_DIAG_BY_FAMILY;
  socket.body.idiag_family = 2;
  utmp entry{};
  entry.ut_type = USER_PROCESS;
  return Write(directory + "stat",
               "77 (a) R (x) S 5 6 7 34816 7 0 0 0 0 0 11 12 0 0 20 0 1 0 4711 0") &&
         Write(directory + "maps",
               "7f0000000000-7f0000001000 rwxp 00000000 00:01 7 /memfd:x (deleted)") &&
         Write(
             directory + "tcp-line",
             "   0: 0100007F:1F90 050200C0:01BB 01 00000007:00000009 00:00000000 00000000  1000    "
             "    0 12345 1 0000000000000000 100 0 0 10 0\n") &&
         Write(directory + "unix-line",
               "0000000000000000: 00000002 00000000 00010000 0001 01 4711 /run/x y\n") &&
         Write(directory + "packet-line",
               "0000000000000000 3      3    0003   2     1 0      0      9876\n") &&
         Write(directory + "shadow", "root:$6$salt$hash:19000:0:99999:7:::\nb:!:1::::::\n") &&
         Write(directory + "environ",
               std::string("AWS_SECRET_ACCESS_KEY=x\0SSH_CONNECTION=1 2 3 4\0", 47)) &&
         Write(directory + "socket",
               std::string(reinterpret_cast<const char*>(&socket), sizeof socket)) &&
         Write(directory + "utmp",
               std::string(reinterpret_cast<const char*>(&entry), sizeof entry));
}

}  // namespace
}  // namespace culprit

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  const std::string root = argv[1];
  const bool ok = culprit::MakeDirectories(root + "/fuzz_bundle", 0755) &&
                  culprit::MakeDirectories(root + "/fuzz_snapshot_text", 0755) &&
                  culprit::Bundles(root + "/fuzz_bundle/") &&
                  culprit::Texts(root + "/fuzz_snapshot_text/");
  if (!ok) std::fprintf(stderr, "cannot write below %s\n", root.c_str());
  return ok ? 0 : 1;
}

// SPDX-License-Identifier: Apache-2.0
// The first three are the specification's own examples; the others were made by this, apart from
// the code under test:
//   x = struct.pack("!H", 0) + src + dst + bytes([protocol, 0]) + struct.pack("!HH", sport, dport)
//   "1:" + base64.b64encode(hashlib.sha1(x).digest())
// with the smaller (address, port) first, an ICMP type and its counterpart as ports, and none for
// other protocols.
#include "common/community_id.h"

#include <gtest/gtest.h>

namespace culprit {
namespace {

struct Vector {
  const char* source;
  const char* destination;
  std::uint16_t source_port, destination_port;
  std::uint8_t protocol;
  const char* id;
};

constexpr Vector kVectors[] = {
    {"128.232.110.120", "66.35.250.204", 34855, 80, 6, "1:LQU9qZlK+B5F3KDmev6m5PMibrg="},
    {"192.168.1.52", "8.8.8.8", 54585, 53, 17, "1:d/FP5EW3wiY1vCndhwleRRKHowQ="},
    {"192.168.0.89", "192.168.0.1", 8, 0, 1, "1:X0snYXpgwiv9TZtqg64sgzUn6Dk="},
    {"192.0.2.1", "198.51.100.7", 40000, 443, 6, "1:lWOTJwBjzASkHgo+w0kukpG9z0M="},
    {"192.0.2.1", "192.0.2.1", 40000, 443, 6, "1:kav54h2mFjmSPhCvuJGuJJ7FY8c="},
    {"192.0.2.9", "192.0.2.1", 53, 40000, 17, "1:8ALSZgtuI6uUjcdGRfnYn5VLG8k="},
    {"192.0.2.1", "192.0.2.2", 3868, 2905, 132, "1:wUo/rXH79xV/+oLJooynHiRqVxk="},
    {"2001:db8::1", "2001:db8::2", 40000, 443, 6, "1:RYG3Msb11GthNt1OYXJouPzmrvA="},
    {"192.0.2.1", "192.0.2.2", 5, 6, 47, "1:OF71QrXQ3uLb1NPEC6e1InPqsIM="},
};

std::string Id(const char* source, std::uint16_t source_port, const char* destination,
               std::uint16_t destination_port, std::uint8_t protocol) {
  return CommunityId({IpAddress::Parse(source).value(), source_port},
                     {IpAddress::Parse(destination).value(), destination_port}, protocol);
}

TEST(CommunityIdTest, AgreesWithTheSpecificationInBothDirections) {
  for (const Vector& v : kVectors) {
    EXPECT_EQ(Id(v.source, v.source_port, v.destination, v.destination_port, v.protocol), v.id);
    if (v.protocol == 1) continue;  // an ICMP answer has another type
    EXPECT_EQ(Id(v.destination, v.destination_port, v.source, v.source_port, v.protocol), v.id);
  }
}

TEST(CommunityIdTest, IcmpRequestAndAnswerAreOneFlow) {
  EXPECT_EQ(Id("192.0.2.9", 8, "192.0.2.1", 0, 1), "1:4mMdwYjCIuP5Ed475nV2s/i0hdQ=");
  EXPECT_EQ(Id("192.0.2.1", 0, "192.0.2.9", 0, 1), "1:4mMdwYjCIuP5Ed475nV2s/i0hdQ=");
  EXPECT_EQ(Id("2001:db8::2", 135, "2001:db8::1", 0, 58), "1:piFQJmm/6+NlvVh+iLYDZMGiCm8=");
  EXPECT_EQ(Id("2001:db8::1", 136, "2001:db8::2", 0, 58), "1:piFQJmm/6+NlvVh+iLYDZMGiCm8=");
}

TEST(CommunityIdTest, IcmpErrorsKeepTheirDirection) {
  EXPECT_EQ(Id("192.0.2.9", 3, "192.0.2.1", 1, 1), "1:gzgX6ZXASSRDkTttRDIftg5zyuc=");
  EXPECT_EQ(Id("192.0.2.1", 3, "192.0.2.9", 1, 1), "1:gLilQ54iFMMhLkvtjJrCZhX8jTY=");
  EXPECT_EQ(Id("2001:db8::2", 1, "2001:db8::1", 4, 58), "1:qxd1LeYGiZWewhdgFCEH4g39f1w=");
}

}  // namespace
}  // namespace culprit

// SPDX-License-Identifier: Apache-2.0
#include "common/frame.h"

#include <gtest/gtest.h>

#include <random>

#include "common/hex.h"

namespace culprit {
namespace {

FrameHeader SampleHeader() {
  FrameHeader header;
  header.lane = Lane::kBulk;
  header.stream_id = *Uuid::Parse("00112233-4455-6677-8899-aabbccddeeff");
  header.seq = 0x0102030405060708ULL;
  header.clock = {BootTimeFromNs(5'000'000'000ULL), WallTimeFromNs(-1), ClockSync::kSynced};
  header.record_count = 9;
  header.prev_hash = Sha256Of("before");
  return header;
}

std::string Noise(std::size_t size) {
  std::mt19937 random(1);
  std::string noise(size, '\0');
  for (char& c : noise) c = static_cast<char>(random() & 0xffU);
  return noise;
}

TEST(FrameTest, HeaderStandsByteForByteAsSpecified) {
  FrameHeader header = SampleHeader();
  header.payload_len = 1;
  header.inflated_len = 2;
  header.codec = Codec::kZstd;
  header.prev_hash = {};
  EXPECT_EQ(HexEncode(EncodeFrameHeader(header)),
            "43465231" "0100" "01" "01" "00112233445566778899aabbccddeeff" "0807060504030201"
            "00f2052a01000000" "ffffffffffffffff" "09000000" "01000000" "02000000" "01" "01" "0000" +
                std::string(64, '0'));
}

TEST(FrameTest, HeaderSurvivesARoundTrip) {
  const FrameHeader header = SampleHeader();
  const auto back = DecodeFrameHeader(EncodeFrameHeader(header));
  ASSERT_TRUE(back.has_value());
  EXPECT_EQ(*back, header);
}

TEST(FrameTest, HeadersThatAreNotOneAreRefused) {
  const std::string good = EncodeFrameHeader(SampleHeader());
  struct Case {
    const char* name;
    std::size_t offset;
    char value;
  };
  for (const Case& c : {Case{"magic", 0, 0}, Case{"version", 4, 2}, Case{"kind", 6, 9},
                        Case{"lane", 7, 2}, Case{"payload over 1 MiB", 55, 1},
                        Case{"inflated over 8 MiB", 59, 1}, Case{"codec", 60, 2},
                        Case{"clock state", 61, 3}, Case{"reserved", 62, 1}}) {
    std::string bytes = good;
    bytes[c.offset] = c.value;
    EXPECT_FALSE(DecodeFrameHeader(bytes).has_value()) << c.name;
  }
  EXPECT_FALSE(DecodeFrameHeader(good.substr(1)).has_value());
  EXPECT_FALSE(DecodeFrameHeader(good + "x").has_value());
}

TEST(FrameTest, PayloadsOfEverySizeComeBack) {
  const std::string noise = Noise(kMaxPayloadBytes);
  for (const std::size_t size : {0UL, 1UL, 100UL, 20'000UL, std::size_t{kMaxPayloadBytes}}) {
    for (const std::string& content : {noise.substr(0, size), std::string(size, 'a')}) {
      const auto frame = MakeFrame(SampleHeader(), content);
      ASSERT_TRUE(frame.has_value()) << size;
      EXPECT_EQ(frame->hash, FrameHash(frame->header_bytes, frame->payload));
      const auto back = InflatePayload(frame->header, frame->payload);
      ASSERT_TRUE(back.has_value());
      EXPECT_EQ(*back, content);
    }
  }
}

TEST(FrameTest, EightMebibytesThatCompressFitAndAByteMoreDoesNot) {
  EXPECT_TRUE(MakeFrame(SampleHeader(), std::string(kMaxInflatedBytes, 'a')).has_value());
  const auto larger = MakeFrame(SampleHeader(), std::string(kMaxInflatedBytes + 1, 'a'));
  ASSERT_FALSE(larger.has_value());
  EXPECT_EQ(larger.error().code, Code::kInvalidArgument);
  EXPECT_FALSE(MakeFrame(SampleHeader(), Noise(kMaxPayloadBytes + 1)).has_value());
}

TEST(FrameTest, PayloadsThatLieAboutTheirLengthAreRefused) {
  const auto frame = MakeFrame(SampleHeader(), std::string(5000, 'a'));
  ASSERT_TRUE(frame.has_value());
  FrameHeader header = frame->header;
  header.inflated_len += 1;
  EXPECT_FALSE(InflatePayload(header, frame->payload).has_value());
  header = frame->header;
  EXPECT_FALSE(InflatePayload(header, frame->payload + "x").has_value());
  header.codec = Codec::kNone;
  EXPECT_FALSE(InflatePayload(header, frame->payload).has_value());
  header = frame->header;
  std::string garbage = frame->payload;
  garbage.back() = static_cast<char>(garbage.back() ^ 0x55);
  const auto inflated = InflatePayload(header, garbage);
  if (inflated) {
    EXPECT_EQ(inflated->size(), header.inflated_len);
  }
}

}  // namespace
}  // namespace culprit

// SPDX-License-Identifier: Apache-2.0
// Capture files byte by byte, in either byte order, and packed: for tests and fuzz seeds. Written
// apart from common/pcapng_write.cc, so that a reader is not tested against the writer's mistakes.
// Thread: values.
#ifndef CULPRIT_TESTS_SUPPORT_CAPTURE_BYTES_H_
#define CULPRIT_TESTS_SUPPORT_CAPTURE_BYTES_H_

#include <cstdint>
#include <string>
#include <string_view>

namespace culprit {

class CaptureBytes {
 public:
  explicit CaptureBytes(bool big_endian) : big_endian_(big_endian) {}
  CaptureBytes& U8(std::uint8_t value) { return Number(value, 1); }
  CaptureBytes& U16(std::uint16_t value) { return Number(value, 2); }
  CaptureBytes& U32(std::uint32_t value) { return Number(value, 4); }
  CaptureBytes& U64(std::uint64_t value) { return Number(value, 8); }
  CaptureBytes& Raw(std::string_view bytes) {
    bytes_.append(bytes);
    return *this;
  }
  CaptureBytes& Pad() {
    while (bytes_.size() % 4 != 0) bytes_.push_back('\0');
    return *this;
  }
  // pcapng: a block around `body`, and an option.
  CaptureBytes& Block(std::uint32_t type, const CaptureBytes& body) {
    const auto total = static_cast<std::uint32_t>(body.bytes_.size() + 12);
    return U32(type).U32(total).Raw(body.bytes_).U32(total);
  }
  CaptureBytes& Option(std::uint16_t code, std::string_view value) {
    return U16(code).U16(static_cast<std::uint16_t>(value.size())).Raw(value).Pad();
  }
  CaptureBytes Empty() const { return CaptureBytes(big_endian_); }
  const std::string& str() const { return bytes_; }

  // pcap: the file header and one record.
  CaptureBytes& PcapHeader(std::uint32_t magic, std::uint32_t link_type, std::uint16_t minor = 4) {
    return U32(magic).U16(2).U16(minor).U32(0).U32(0).U32(65535).U32(link_type);
  }
  CaptureBytes& PcapRecord(std::uint32_t seconds, std::uint32_t fraction, std::string_view packet,
                           std::uint32_t wire) {
    return U32(seconds)
        .U32(fraction)
        .U32(static_cast<std::uint32_t>(packet.size()))
        .U32(wire)
        .Raw(packet);
  }
  // pcapng: the usual blocks, `options` as they are.
  CaptureBytes& Section(std::string_view options = "") {
    return Block(0x0a0d0d0a,
                 Empty().U32(0x1a2b3c4d).U16(1).U16(0).U64(~std::uint64_t{0}).Raw(options));
  }
  CaptureBytes& Interface(std::uint16_t link_type, std::uint32_t snaplen,
                          std::string_view options = "") {
    return Block(1, Empty().U16(link_type).U16(0).U32(snaplen).Raw(options));
  }
  CaptureBytes& Enhanced(std::uint32_t interface, std::uint64_t ticks, std::string_view packet,
                         std::uint32_t wire, std::string_view options = "") {
    return Block(6, Empty()
                        .U32(interface)
                        .U32(static_cast<std::uint32_t>(ticks >> 32))
                        .U32(static_cast<std::uint32_t>(ticks))
                        .U32(static_cast<std::uint32_t>(packet.size()))
                        .U32(wire)
                        .Raw(packet)
                        .Pad()
                        .Raw(options));
  }

 private:
  CaptureBytes& Number(std::uint64_t value, int bytes) {
    for (int i = 0; i < bytes; ++i) {
      const int shift = 8 * (big_endian_ ? bytes - 1 - i : i);
      bytes_.push_back(static_cast<char>((value >> shift) & 0xff));
    }
    return *this;
  }

  bool big_endian_;
  std::string bytes_;
};

// Both abort on failure.
std::string PackGzip(std::string_view bytes);
std::string PackZstd(std::string_view bytes);

}  // namespace culprit

#endif  // CULPRIT_TESTS_SUPPORT_CAPTURE_BYTES_H_

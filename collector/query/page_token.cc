// SPDX-License-Identifier: Apache-2.0
#include "collector/query/page_token.h"

#include <fmt/format.h>

#include "common/hex.h"
#include "common/number.h"
#include "common/sha256.h"

namespace culprit {
namespace {

constexpr std::size_t kDigits = 16;
constexpr std::size_t kFixed = 4 * kDigits;
constexpr std::size_t kMaxToken = 16'384;

// The question without the page: filter, group and order.
std::uint64_t Question(const v1::ListFlowsRequest& request) {
  std::string text = request.filter().SerializeAsString();
  text += '\0' + request.group_by() + '\0' + request.order_by();
  const Sha256Digest digest = Sha256Of(text);
  std::uint64_t out = 0;
  for (int i = 0; i < 8; ++i) out = (out << 8) | digest[static_cast<std::size_t>(i)];
  return out;
}

bool Read(std::string_view text, std::size_t field, std::uint64_t* out) {
  return ParseWhole(text.substr(field * kDigits, kDigits), out, 16);
}

}  // namespace

std::string EncodePageToken(const v1::ListFlowsRequest& request, const PageToken& token) {
  return fmt::format("{:016x}{:016x}{:016x}{:016x}{}", Question(request), token.as_of.part,
                     static_cast<std::uint64_t>(token.as_of.row), token.after.value,
                     HexEncode(token.after.key));
}

Result<PageToken> DecodePageToken(const v1::ListFlowsRequest& request) {
  const std::string_view text = request.page_token();
  PageToken out;
  std::uint64_t question = 0, row = 0;
  if (text.size() < kFixed || text.size() > kMaxToken || !Read(text, 0, &question) ||
      !Read(text, 1, &out.as_of.part) || !Read(text, 2, &row) || !Read(text, 3, &out.after.value)) {
    return InvalidArgument("page_token: not one of this collector's");
  }
  auto key = HexDecode(text.substr(kFixed));
  if (!key) return InvalidArgument("page_token: not one of this collector's");
  if (question != Question(request)) {
    return InvalidArgument("page_token: belongs to another filter, group_by or order_by");
  }
  out.as_of.row = static_cast<std::int64_t>(row);
  out.after.key = std::move(*key);
  return out;
}

}  // namespace culprit

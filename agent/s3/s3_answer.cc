// SPDX-License-Identifier: Apache-2.0
#include "agent/s3/s3_answer.h"

#include <algorithm>

namespace culprit {
namespace {

using What = S3Verdict::What;
constexpr std::size_t kMaxShown = 200;

// The text of the first <NAME>, with nothing in it that moves a terminal; empty if there is none.
std::string Element(std::string_view xml, std::string_view name) {
  const std::string open = "<" + std::string(name) + ">";
  const std::size_t at = xml.find(open);
  if (at == std::string_view::npos) return {};
  xml.remove_prefix(at + open.size());
  std::string text(xml.substr(0, std::min(xml.find('<'), kMaxShown)));
  std::ranges::replace_if(
      text, [](char c) { return c < ' ' || c > '~'; }, '?');
  return text;
}

std::string Arn(const SinkOptions& sink) {
  return "arn:aws:s3:::" + sink.bucket + "/" + (sink.prefix.empty() ? "" : sink.prefix + "/") + "*";
}

bool IsOneOf(std::string_view code, std::initializer_list<std::string_view> codes) {
  return std::ranges::find(codes, code) != codes.end();
}

// Empty: nothing better is known than what the store says itself.
std::string Remedy(const std::string& code, const S3Answer& answer, const std::string& message,
                   const SinkOptions& sink) {
  if (IsOneOf(code, {"AuthorizationHeaderMalformed", "PermanentRedirect", "TemporaryRedirect",
                     "IllegalLocationConstraintException"}) ||
      answer.status == 301 || answer.status == 307) {
    const std::string said =
        !answer.bucket_region.empty() ? answer.bucket_region : Element(answer.body, "Region");
    return "the bucket is not in " + sink.region +
           (said.empty() ? ": set sink.region to its region"
                         : ": set sink.region = \"" + said + "\"");
  }
  if (code == "NoSuchBucket" || (code.empty() && answer.status == 404))
    return "there is no bucket " + sink.bucket + ": make it, or correct sink.bucket";
  if (code == "InvalidAccessKeyId") return "the access key is unknown or was deleted";
  if (code == "SignatureDoesNotMatch")
    return "the secret key does not belong to the access key, or something on the way changes "
           "requests";
  if (code == "RequestTimeTooSkewed")
    return "this host's clock is more than 15 minutes off: set it (chrony, timedatectl)";
  if (code == "InvalidRequest" && message.find("Object Lock") != std::string::npos)
    return "the bucket has no Object Lock: make one that has, or set sink.lock = \"bucket\"";
  if (answer.status == 403) {
    return std::string("the keys may not put objects there: allow s3:PutObject") +
           (sink.lock == "bucket" ? "" : " and s3:PutObjectRetention") + " on " + Arn(sink) +
           ", and look at the bucket's own policy and key";
  }
  if (answer.status == 503 || answer.status == 429 || code == "SlowDown")
    return "the store is busy, and asks for fewer requests";
  return {};
}

}  // namespace

S3Verdict JudgeAnswer(const S3Answer& answer, const SinkOptions& sink) {
  if (answer.status == 200 || answer.status == 201) return {What::kStored, ""};
  const std::string code = Element(answer.body, "Code");
  const std::string message = Element(answer.body, "Message");
  if (answer.status == 412) return {What::kThereAlready, ""};
  S3Verdict verdict;
  verdict.why = "HTTP " + std::to_string(answer.status) + (code.empty() ? "" : " " + code);
  if (const std::string remedy = Remedy(code, answer, message, sink); !remedy.empty()) {
    verdict.why += ": " + remedy;
  } else if (!message.empty()) {
    verdict.why += ": " + message;
  }
  if (IsOneOf(code, {"ExpiredToken", "TokenRefreshRequired", "InvalidToken"})) {
    verdict.what = What::kKeysRanOut;
  } else if (answer.status == 501 ||
             (code == "InvalidArgument" && message.find("If-None-Match") != std::string::npos)) {
    verdict.what = What::kNoConditions;
  }
  return verdict;
}

}  // namespace culprit

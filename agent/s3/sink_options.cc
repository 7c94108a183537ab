// SPDX-License-Identifier: Apache-2.0
#include "agent/s3/sink_options.h"

#include <algorithm>
#include <array>
#include <cstdio>

namespace culprit {
namespace {

constexpr std::size_t kMaxPrefixBytes = 200;
constexpr std::size_t kHashDigits = 16;
constexpr std::string_view kHttps = "https://", kHttp = "http://";

bool IsLowerOrDigit(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }
bool IsNameCharacter(char c) { return IsLowerOrDigit(c) || (c >= 'A' && c <= 'Z'); }

bool All(std::string_view text, std::string_view more, bool (*is)(char)) {
  return std::ranges::all_of(
      text, [&](char c) { return is(c) || more.find(c) != std::string_view::npos; });
}

Error Expected(std::string_view key, std::string_view what, const std::string& found) {
  return InvalidArgument("sink." + std::string(key) + ": expected " + std::string(what) +
                         ", found \"" + found + "\"");
}

// What a URL leaves as it is, so that what is signed is what is sent.
bool IsPrefix(std::string_view prefix) {
  if (prefix.empty()) return true;
  if (prefix.size() > kMaxPrefixBytes || !All(prefix, "/_.-", IsNameCharacter)) return false;
  std::string_view rest = prefix;
  for (;;) {
    const std::size_t slash = rest.find('/');
    const std::string_view part = rest.substr(0, slash);
    if (part.empty() || part == "." || part == "..") return false;
    if (slash == std::string_view::npos) return true;
    rest.remove_prefix(slash + 1);
  }
}

std::string_view HostOf(std::string_view endpoint) {
  endpoint.remove_prefix(endpoint.starts_with(kHttps) ? kHttps.size() : kHttp.size());
  if (endpoint.starts_with('[')) return endpoint.substr(0, endpoint.find(']') + 1);
  return endpoint.substr(0, endpoint.find(':'));
}

Status CheckEndpoint(const std::string& endpoint) {
  if (endpoint.empty()) return Ok();
  const bool tls = endpoint.starts_with(kHttps);
  const bool plain = endpoint.starts_with(kHttp);
  const std::string_view host = tls || plain ? HostOf(endpoint) : "";
  const std::string_view rest =
      tls || plain ? std::string_view(endpoint).substr(endpoint.find("//") + 2) : "";
  if (host.empty() || !All(rest, ".-:[]", IsNameCharacter)) {
    return Expected("endpoint", "\"https://HOST[:PORT]\" without a path", endpoint);
  }
  if (plain && host != "127.0.0.1" && host != "localhost" && host != "[::1]") {
    return Expected("endpoint", "https:// (http:// is for this host's loopback alone)", endpoint);
  }
  return Ok();
}

}  // namespace

Status ValidateSink(const SinkOptions& options) {
  if (!options.enabled()) return Ok();
  const std::string& bucket = options.bucket;
  if (bucket.size() < 3 || bucket.size() > 63 || !All(bucket, ".-", IsLowerOrDigit) ||
      !IsLowerOrDigit(bucket.front()) || !IsLowerOrDigit(bucket.back()) ||
      bucket.find("..") != std::string::npos) {
    return Expected("bucket", "a bucket's name (3-63 of a-z 0-9 . -)", bucket);
  }
  if (options.region.empty() || options.region.size() > 63 ||
      !All(options.region, "-", IsLowerOrDigit)) {
    return Expected("region", "the bucket's region, as in \"eu-central-1\"", options.region);
  }
  if (!IsPrefix(options.prefix)) {
    return Expected("prefix", "at most 200 of A-Z a-z 0-9 / _ . -, without empty parts",
                    options.prefix);
  }
  return CheckEndpoint(options.endpoint);
}

std::string SinkName(const SinkOptions& options) {
  return "s3://" + options.bucket + (options.prefix.empty() ? "" : "/" + options.prefix);
}

// A name with dots does not fit S3's certificate, and other stores have no names for buckets.
std::string BucketUrl(const SinkOptions& options) {
  if (!options.endpoint.empty()) return options.endpoint + "/" + options.bucket;
  const std::string host =
      "s3." + options.region + ".amazonaws.com" + (options.region.starts_with("cn-") ? ".cn" : "");
  if (options.bucket.find('.') != std::string::npos)
    return "https://" + host + "/" + options.bucket;
  return "https://" + options.bucket + "." + host;
}

std::string ObjectKey(const SinkOptions& options, const ObjectName& name) {
  std::array<char, 48> range{};
  std::snprintf(range.data(), range.size(), "-%016llx-%016llx-",
                static_cast<unsigned long long>(name.first_seq),
                static_cast<unsigned long long>(name.last_seq));
  return options.prefix + (options.prefix.empty() ? "" : "/") + name.agent_id.ToString() + "/" +
         name.stream_id.ToString() + "/" + std::string(name.lane) + range.data() +
         std::string(name.last_hash_hex.substr(0, kHashDigits)) + ".clog";
}

}  // namespace culprit

// SPDX-License-Identifier: Apache-2.0
#include "agent/names/stratum.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <string>

#include "agent/names/name_text.h"

namespace culprit {
namespace {

using Json = nlohmann::json;

constexpr int kMaxDepth = 8;
// Said before somebody logs in, and by nobody else.
constexpr std::array<std::string_view, 5> kOpening = {
    "mining.subscribe", "mining.configure", "mining.hello", "mining.extranonce.subscribe",
    "mining.suggest_difficulty"};
// Whose first parameter is the user.
constexpr std::array<std::string_view, 5> kNamed = {
    "mining.authorize", "mining.submit", "eth_submitLogin", "eth_login", "mining.auth"};

enum class Line : std::uint8_t { kOther, kBegins, kLogin };

bool Contains(const auto& list, std::string_view word) {
  return std::find(list.begin(), list.end(), word) != list.end();
}

const std::string* TextOf(const Json& object, const char* key) {
  const auto it = object.find(key);
  return it == object.end() ? nullptr : it->get_ptr<const std::string*>();
}

// CryptoNote: parameters with names.
Line ReadNamed(std::string_view method, const Json& params, std::string& user) {
  if (method == "login") {
    const std::string* login = TextOf(params, "login");
    // Others have a method of that name, too.
    const bool miner = params.contains("pass") || params.contains("agent");
    if (login == nullptr || !miner) return Line::kOther;
    user = UserText(*login);
    return Line::kLogin;
  }
  const bool work = method == "submit" && TextOf(params, "job_id") != nullptr &&
                    TextOf(params, "nonce") != nullptr;
  return work ? Line::kLogin : Line::kOther;
}

Line ReadLine(std::string_view line, std::string& user) {
  const auto no_deeper = [](int depth, Json::parse_event_t, Json&) { return depth <= kMaxDepth; };
  const Json json = Json::parse(line, no_deeper, false);
  if (!json.is_object()) return Line::kOther;
  const std::string* method = TextOf(json, "method");
  if (method == nullptr) return Line::kOther;
  const auto params = json.find("params");
  if (params != json.end() && params->is_object()) return ReadNamed(*method, *params, user);
  if (Contains(kOpening, *method)) return Line::kBegins;
  const bool list = params != json.end() && params->is_array();
  if (!Contains(kNamed, *method) || !list) return Line::kOther;
  if (!params->empty()) {
    if (const auto* first = params->front().get_ptr<const std::string*>()) {
      user = UserText(*first);
    }
  }
  return Line::kLogin;
}

}  // namespace

Verdict ParseStratum(std::string_view stream, ServerName& out, bool& spoken) {
  out = ServerName{NameSource::kStratum, {}, {}};
  spoken = false;
  for (std::size_t lines = 0; lines < kMaxStratumLines; ++lines) {
    const std::size_t end = stream.find('\n');
    const std::string_view line = stream.substr(0, end);
    const bool json = line.empty() || line.front() == '{' || line.front() == '\r';
    if (!json || line.size() > kMaxStratumLine) break;
    if (end == std::string_view::npos) return Verdict::kMore;
    if (line.size() > 1) {
      const Line what = ReadLine(line, out.name);
      if (what == Line::kLogin) return Verdict::kFound;
      // What is not Stratum from its beginning is something else in JSON.
      if (what == Line::kOther && !spoken) return Verdict::kOther;
      spoken = true;
    }
    stream.remove_prefix(end + 1);
  }
  return spoken ? Verdict::kFound : Verdict::kOther;
}

}  // namespace culprit

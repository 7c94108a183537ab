// SPDX-License-Identifier: Apache-2.0
#include "agent/cloud_notice.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

namespace culprit {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kMaxText = 64, kMaxBody = 64U << 10;
constexpr std::ptrdiff_t kMaxNesting = 256;  // an answer has one level, and one object an event

// Empty for anything but short, printable text.
std::string Text(const Json& object, const char* name) {
  const auto at = object.find(name);
  if (at == object.end() || !at->is_string()) return {};
  const auto& text = at->get_ref<const std::string&>();
  const bool plain = text.size() <= kMaxText && std::all_of(text.begin(), text.end(), [](char c) {
                       return c >= ' ' && c < 127;
                     });
  return plain ? text : std::string();
}

Json Parse(std::string_view body) {
  const auto opening = [](char c) { return c == '{' || c == '['; };
  if (body.size() > kMaxBody || std::count_if(body.begin(), body.end(), opening) > kMaxNesting)
    return {};
  return Json::parse(body.begin(), body.end(), nullptr, false);
}

void ReadSpot(const Json& json, std::vector<CloudNotice>* out) {
  if (!json.is_object()) return;
  const std::string action = Text(json, "action"), time = Text(json, "time");
  if (action.empty()) return;
  out->push_back({"spot " + action + " " + time, "spot interruption: " + action + " at " + time});
}

void ReadRebalance(const Json& json, std::vector<CloudNotice>* out) {
  if (!json.is_object()) return;
  const std::string time = Text(json, "noticeTime");
  if (!time.empty()) out->push_back({"rebalance " + time, "rebalance recommendation of " + time});
}

// Events that were cancelled or are over take nothing away.
void ReadMaintenance(const Json& json, std::vector<CloudNotice>* out) {
  if (!json.is_array()) return;
  for (const Json& event : json) {
    if (out->size() >= kMaxNotices) return;
    if (!event.is_object() || Text(event, "State") != "active") continue;
    const std::string id = Text(event, "EventId"), code = Text(event, "Code");
    if (id.empty() && code.empty()) continue;
    std::string detail = "scheduled event: ";
    detail.append(code).append(" not before ").append(Text(event, "NotBefore"));
    out->push_back(
        {std::string("maintenance ").append(id).append(" ").append(code), std::move(detail)});
  }
}

void ReadScaling(std::string_view body, std::vector<CloudNotice>* out) {
  while (!body.empty() && (body.back() == '\n' || body.back() == '\r')) body.remove_suffix(1);
  for (const std::string_view state : {"Terminated", "Warmed:Terminated"}) {
    if (body != state) continue;
    out->push_back({"scaling " + std::string(state),
                    "Auto Scaling: the lifecycle state becomes " + std::string(state)});
  }
}

}  // namespace

const char* NoticePath(NoticeKind kind) {
  switch (kind) {
    case NoticeKind::kSpot:
      return "spot/instance-action";
    case NoticeKind::kRebalance:
      return "events/recommendations/rebalance";
    case NoticeKind::kMaintenance:
      return "events/maintenance/scheduled";
    case NoticeKind::kScaling:
      break;
  }
  return "autoscaling/target-lifecycle-state";
}

std::vector<CloudNotice> ReadNotices(NoticeKind kind, std::string_view body) {
  std::vector<CloudNotice> notices;
  switch (kind) {
    case NoticeKind::kSpot:
      ReadSpot(Parse(body), &notices);
      break;
    case NoticeKind::kRebalance:
      ReadRebalance(Parse(body), &notices);
      break;
    case NoticeKind::kMaintenance:
      ReadMaintenance(Parse(body), &notices);
      break;
    case NoticeKind::kScaling:
      ReadScaling(body, &notices);
      break;
  }
  return notices;
}

}  // namespace culprit

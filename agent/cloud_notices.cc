// SPDX-License-Identifier: Apache-2.0
#include "agent/cloud_notices.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "common/ascii.h"
#include "common/file.h"

namespace culprit {
namespace {

constexpr std::chrono::seconds kTokenTime{21'600};
constexpr std::size_t kMaxSeenBytes = 64U << 10;
constexpr const char* kMetaData = "/latest/meta-data/";

}  // namespace

CloudNotices::CloudNotices(CloudNoticesOptions options) : options_(std::move(options)) {
  LoadSeen();
  thread_ = std::jthread([this](const std::stop_token& stop) { Run(stop); });
}

CloudNotices::~CloudNotices() = default;

std::vector<CloudNotice> CloudNotices::Take() {
  const std::lock_guard lock(mutex_);
  return std::exchange(found_, {});
}

std::string CloudNotices::problem() const {
  const std::lock_guard lock(mutex_);
  return problem_;
}

std::uint64_t CloudNotices::asked() const {
  const std::lock_guard lock(mutex_);
  return asked_;
}

void CloudNotices::Run(const std::stop_token& stop) {
  for (int round = 0; !stop.stop_requested(); round = (round + 1) % kCalm) {
    const Status asked = Round(round);
    if (!asked) session_.reset();
    std::unique_lock lock(mutex_);
    problem_ = asked ? "" : asked.error().message;
    wait_.wait_for(lock, stop, options_.interval, [] { return false; });
  }
}

Status CloudNotices::Round(int round) {
  if (!session_) {
    TRY(session_, ImdsSession::Open(options_.endpoint, options_.timeout, kTokenTime));
  }
  if (!spot_) TRY_VOID(LearnLifeCycle());
  for (std::size_t i = 0; i < kNoticeKinds; ++i) {
    const auto kind = static_cast<NoticeKind>(i);
    if (IsDue(kind, round)) TRY_VOID(Ask(kind));
  }
  return Ok();
}

bool CloudNotices::IsDue(NoticeKind kind, int round) const {
  switch (kind) {
    case NoticeKind::kSpot:
      return *spot_;
    case NoticeKind::kRebalance:
      return *spot_ && round == 0;
    case NoticeKind::kScaling:
      if (answers_[static_cast<std::size_t>(kind)]) return true;
      break;
    case NoticeKind::kMaintenance:
      break;
  }
  return round == 0;
}

Status CloudNotices::LearnLifeCycle() {
  auto answer = session_->Get(std::string(kMetaData) + "instance-life-cycle", "the life cycle");
  if (!answer && answer.error().code != Code::kNotFound) return std::move(answer).error();
  spot_ = !answer || answer->starts_with("spot");
  return Ok();
}

Status CloudNotices::Ask(NoticeKind kind) {
  const std::string path = NoticePath(kind);
  {
    const std::lock_guard lock(mutex_);
    ++asked_;
  }
  auto answer = session_->Get(kMetaData + path, path);
  if (!answer && answer.error().code != Code::kNotFound) return std::move(answer).error();
  answers_[static_cast<std::size_t>(kind)] = answer.has_value();
  if (!answer) return Ok();
  std::vector<CloudNotice> notices = ReadNotices(kind, *answer);
  // Out of a warm pool an instance comes back: its next end is another.
  if (kind == NoticeKind::kScaling && notices.empty())
    std::erase_if(seen_, [](const std::string& key) { return key.find(" scaling ") != key.npos; });
  for (CloudNotice& notice : notices) Give(std::move(notice));
  return Ok();
}

// Kept before it is acted upon: an agent that is ended by what follows does not begin again.
void CloudNotices::Give(CloudNotice notice) {
  const std::string key = options_.instance_id + " " + notice.key;
  if (std::find(seen_.begin(), seen_.end(), key) != seen_.end()) return;
  seen_.push_back(key);
  if (seen_.size() > kMaxSeen) seen_.erase(seen_.begin());
  SaveSeen();
  spdlog::warn("the cloud says: {}", notice.trigger);
  {
    const std::lock_guard lock(mutex_);
    found_.push_back(std::move(notice));
  }
  if (options_.wake) options_.wake();
}

void CloudNotices::LoadSeen() {
  if (options_.seen_path.empty()) return;
  const auto text = ReadWholeFile(options_.seen_path, kMaxSeenBytes);
  std::string_view rest = text ? std::string_view(*text) : std::string_view();
  while (!rest.empty() && seen_.size() < kMaxSeen) {
    seen_.emplace_back(NextLine(&rest));
  }
}

void CloudNotices::SaveSeen() const {
  if (options_.seen_path.empty()) return;
  std::string text;
  for (const std::string& key : seen_) text += key + "\n";
  if (const Status kept = WriteFileAtomically(options_.seen_path, text, 0600); !kept)
    spdlog::warn("notices of the cloud are not kept error=\"{}\"", kept.error().message);
}

}  // namespace culprit

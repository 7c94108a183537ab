// SPDX-License-Identifier: Apache-2.0
// Any bytes as lines of an authentication log, into the sums of failures.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "agent/login/auth_log.h"
#include "agent/login/failure_table.h"

namespace {

using namespace culprit;

void Require(bool holds) {
  if (!holds) std::abort();
}

void Check(const LoginLine& line) {
  for (const std::string* text :
       {&line.user, &line.method, &line.key_type, &line.key_fingerprint, &line.key_found_at,
        &line.certificate_id, &line.ca_fingerprint, &line.principal, &line.program}) {
    Require(text->size() <= kMaxAuthLine);
  }
  Require(!line.ambiguous || !line.from);
  Require(line.kind != LoginLineKind::kAccepted || line.from.has_value());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const AuthLogForm form = (data[0] & 1) != 0 ? AuthLogForm::kMessages : AuthLogForm::kSyslog;
  const AuthLogClock clock{WallTimeFromNs(1'772'366'400'000'000'000),
                           std::chrono::seconds((data[0] >> 1) * 600 - 36'000)};
  FailureLimits limits;
  limits.max_records = 16;
  limits.max_users_an_address = 2;
  limits.max_sources = 4;
  FailureTable failures(limits);
  std::vector<LoginFailureFacts> told;
  std::uint64_t expected = 0;
  std::string_view rest(reinterpret_cast<const char*>(data) + 1, size - 1);
  for (BootTime now{}; !rest.empty(); now += std::chrono::seconds(7)) {
    const std::string_view text = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(text.size() + (text.size() < rest.size() ? 1 : 0));
    const auto line = ParseAuthLine(text, form, clock);
    if (!line) continue;
    Check(*line);
    if (line->kind != LoginLineKind::kFailed) continue;
    failures.On(*line, now, line->at.value_or(clock.now));
    expected += line->times;
    failures.Tick(now, &told);
  }
  Require(failures.failures() == expected);
  return 0;
}

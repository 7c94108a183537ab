// SPDX-License-Identifier: Apache-2.0
#include "agent/enrol_worker.h"

#include <unistd.h>

#include <utility>

#include "common/ascii.h"
#include "common/file.h"
#include "common/log.h"

namespace culprit {
namespace {

constexpr std::size_t kMaxFileBytes = 4096;
constexpr std::chrono::hours kForEver{24 * 3650};

void Work(const std::stop_token& stop, EnrolCommand command, const std::string& file) {
  command.stop = stop;
  command.wait = kForEver;
  const auto done = RunEnrol(command);
  if (stop.stop_requested()) return;
  if (!done) {
    spdlog::error("this host could not enrol: {}", done.error().message);
    return;
  }
  spdlog::info("{}", done->substr(0, done->find('\n')));
  if (const Status removed = RemoveFile(file); !removed) spdlog::warn("{}", removed.error().message);
}

}  // namespace

void ReadEnrolFile(std::string_view text, EnrolCommand* command) {
  while (!text.empty()) {
    const std::string_view line = NextLine(&text);
    const std::size_t equals = line.find('=');
    if (equals == std::string_view::npos) continue;
    const std::string_view name = line.substr(0, equals);
    if (name == "CULPRIT_TOKEN") command->token = line.substr(equals + 1);
    if (name == "CULPRIT_CA_SHA256") command->ca_fingerprint = line.substr(equals + 1);
  }
}

std::unique_ptr<EnrolWorker> EnrolWorker::StartIfAsked(const AgentConfig& config,
                                                       const std::string& version) {
  const std::string& key = config.collector.key;
  std::string file = key.substr(0, key.rfind('/') + 1) + "enrol";
  if (access(config.collector.certificate.c_str(), F_OK) == 0) return nullptr;
  const auto text = ReadWholeFile(file, kMaxFileBytes);
  if (!text) return nullptr;
  EnrolCommand command;
  command.config = config;
  command.version = version;
  ReadEnrolFile(*text, &command);
  return std::make_unique<EnrolWorker>(std::move(command), std::move(file));
}

EnrolWorker::EnrolWorker(EnrolCommand command, std::string file)
    : thread_([command = std::move(command), file = std::move(file)](const std::stop_token& stop) {
        Work(stop, command, file);
      }) {}

}  // namespace culprit

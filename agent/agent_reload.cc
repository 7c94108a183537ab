// SPDX-License-Identifier: Apache-2.0
// SIGHUP: the configuration and the certificates are read again, and what can change while the
// agent runs is taken over; whole, or not at all.
#include <unistd.h>

#include <utility>

#include "agent/agent_impl.h"
#include "agent/metrics_text.h"
#include "agent/reload.h"
#include "common/config_diff.h"
#include "common/log_level.h"
#include "common/sd_notify.h"

namespace culprit {

Result<SenderOptions> Agent::Impl::SenderOptionsOf(const AgentConfig& config) const {
  TRY(SenderOptions options, setup_.sender_options(config));
  options.boot_id = boot_id_;
  options.run_id = run_id_;
  return options;
}

Status Agent::Impl::StartSender() {
  if (!spool_ || !Sends()) return Ok();
  TRY(const SenderOptions options, SenderOptionsOf(setup_.config));
  TRY(sender_, SenderLink::Start(options, spool_.get()));
  sender_mark_ = SenderMark(options);
  return Ok();
}

void Agent::Impl::ReloadIfAsked() {
  char taken[1024];  // whole records of signals; how many is of no matter
  if (read(setup_.reload_fd, taken, sizeof taken) <= 0) return;
  SdReloading();
  const auto file = setup_.read_config();
  const Status done = file ? Reload(*file) : Status(file.error());
  reload_refused_ = done ? "" : done.error().message;
  if (!done) spdlog::error("not reloaded, nothing was changed: {}", reload_refused_);
  SdNotify(done ? "READY=1\nSTATUS="
                : "READY=1\nSTATUS=the newest configuration was refused: see the log");
}

// All that can fail comes first.
Status Agent::Impl::Reload(const AgentConfig& file) {
  AgentConfig next = setup_.config;
  std::vector<std::string> pending = AdoptLive(file, &next);
  bool new_sender = false;
  if (Sends() && spool_) {
    TRY(const SenderOptions options, SenderOptionsOf(next));
    TRY_VOID(SenderLink::Check(options));
    new_sender = !sender_ || SenderMark(options) != sender_mark_;
  }
  TRY_VOID(SetLogLevel(next.log_level));
  if (spool_) spool_->SetMaxBytes(next.spool.max_bytes);
  if (canary_) canary_->SetInterval(next.canary);
  if (next.posture.enabled != setup_.config.posture.enabled)
    posture_ = next.posture.enabled ? std::make_unique<PostureFeed>(*enricher_) : nullptr;
  setup_.config = std::move(next);
  next_beat_ = std::min(next_beat_, Now() + setup_.config.heartbeat);
  facts_due_ = true;
  config_loaded_ = source_->ReadClock().wall;
  restart_pending_ = std::move(pending);
  if (new_sender) {
    // The spool holds what comes in between; the new one goes on behind what was acknowledged.
    if (sender_) {
      sender_->Stop(std::chrono::milliseconds(0));
      for (SpoolLoss& loss : sender_->TakeQuarantined()) quarantined_.push_back(std::move(loss));
      sender_.reset();
    }
    if (Status started = StartSender(); !started)
      return std::move(started).error().Context("the sender was not started again");
    PumpSender();
  }
  spdlog::info("reloaded sender={}", new_sender ? "started anew" : "goes on");
  if (!restart_pending_.empty())
    spdlog::warn("takes effect after a restart: {}", ListKeys(restart_pending_));
  return Ok();
}

// For the node exporter's textfile collector; a file that is there for ten seconds needs no sync.
void Agent::Impl::WriteMetricsIfDue(BootTime now) {
  if (setup_.config.metrics.textfile.empty() || now < next_metrics_) return;
  next_metrics_ = now + std::chrono::seconds(10);
  if (const Status written = WriteTextfile(setup_.config.metrics.textfile, StatusMetrics(status()));
      !written) {
    if (const auto n = metrics_log_.Allow(); n > 0)
      spdlog::warn("metrics not written times={} error={}", n, written.error().message);
  }
}

}  // namespace culprit

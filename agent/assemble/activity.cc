// SPDX-License-Identifier: Apache-2.0
#include "agent/assemble/activity.h"

#include <chrono>
#include <utility>

namespace culprit {
namespace {

constexpr std::chrono::seconds kContactPeriod(300);
constexpr std::chrono::nanoseconds kWindow(CULPRIT_ACTIVITY_WINDOW_NS);
constexpr std::size_t kMaxWindow = 65'536;

}  // namespace

std::uint64_t HashEndpoint(const Endpoint& endpoint) {
  return MixBits(std::hash<IpAddress>{}(endpoint.address) ^ endpoint.port);
}

bool RecentSet::Add(std::uint64_t hash, BootTime at) {
  if (at - since_ >= kContactPeriod || young_.size() >= kMaxEntries) {
    old_ = std::exchange(young_, {});
    since_ = at;
  }
  const bool known = old_.contains(hash);
  return young_.insert(hash).second && !known;
}

ProcessActivity::ProcessActivity(const ProcessKey& key, std::string comm) {
  counters_.key = key;
  counters_.comm = std::move(comm);
  counters_.uid = kNoUid;
}

bool ProcessActivity::OnAttempt(const Endpoint& remote, BootTime at) {
  dirty_ = true;
  ++counters_.tcp_attempts;
  NoteDestination(remote, at);
  const bool first = contacts_.Add(HashEndpoint(remote), at);
  counters_.activity.first_contacts += first ? 1 : 0;
  return first;
}

void ProcessActivity::OnOutcome(culprit_outcome outcome, bool first_contact) {
  dirty_ = true;
  ++counters_.outcome[outcome];
  if (!first_contact) return;
  auto& count = outcome == CULPRIT_OUTCOME_OK ? counters_.activity.first_contacts_ok
                                              : counters_.activity.first_contacts_failed;
  ++count;
}

void ProcessActivity::OnPackets(bool sent, bool initiated, std::uint64_t packets,
                                std::uint64_t ip_bytes) {
  dirty_ = true;
  Activity& activity = counters_.activity;
  (sent ? counters_.tx_packets : counters_.rx_packets) += packets;
  (sent ? counters_.tx_wire_bytes : counters_.rx_wire_bytes) += ip_bytes;
  if (initiated) {
    (sent ? activity.initiated_tx_wire_bytes : activity.initiated_rx_wire_bytes) += ip_bytes;
  } else {
    (sent ? activity.accepted_tx_wire_bytes : activity.accepted_rx_wire_bytes) += ip_bytes;
  }
}

void ProcessActivity::NoteDestination(const Endpoint& remote, BootTime at) {
  dirty_ = true;
  Activity& activity = counters_.activity;
  if (activity.window == BootTime() || at - activity.window >= kWindow) {
    activity.window = at;
    window_addresses_.clear();
    window_ports_.clear();
  }
  if (window_addresses_.size() < kMaxWindow) {
    window_addresses_.insert(HashEndpoint({remote.address, 0}));
  }
  window_ports_.insert(remote.port);
  activity.window_addresses = window_addresses_.size();
  activity.window_ports = window_ports_.size();
}

bool ProcessActivity::Take(BootTime at, CountersEvent* out) {
  if (!std::exchange(dirty_, false)) return false;
  counters_.at = at;
  *out = counters_;
  return true;
}

}  // namespace culprit

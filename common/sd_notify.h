// SPDX-License-Identifier: Apache-2.0
// Tells systemd how a service is doing (READY=1, STOPPING=1, WATCHDOG=1, STATUS=…), by the datagram
// socket that NOTIFY_SOCKET names. Does nothing where there is none, so a daemon calls it wherever
// it runs. Stage: common, edge (a unix socket). Thread: any. Errors are passed over: systemd
// notices a service that is silent.
#ifndef CULPRIT_COMMON_SD_NOTIFY_H_
#define CULPRIT_COMMON_SD_NOTIFY_H_

#include <chrono>
#include <string_view>

namespace culprit {

// One or more "NAME=value" lines. False where nobody was told.
bool SdNotify(std::string_view state);

// RELOADING=1, with the time that newer ones than systemd 252 want. READY=1 ends it.
bool SdReloading();

// Half of the time within which WATCHDOG=1 must come; 0 = no watchdog is set for this process.
std::chrono::microseconds SdWatchdogInterval();

}  // namespace culprit

#endif  // CULPRIT_COMMON_SD_NOTIFY_H_

// SPDX-License-Identifier: Apache-2.0
// Alerter: follows the findings and tells the targets of the configuration what they want to hear.
//
//   FindingStore --changes--> [feeder: what is an alert for whom] --> AlertQueue (a file)
//                                                  AlertQueue --> [a worker a target] --> receiver
//
// Stage: alert. Thread: one that feeds and one a target; the calls below from any thread, and none
// of them waits for a disk or a network but Test(). Evidence and findings never wait for an alert:
// the feeder reads findings that are stored already, and remembers how far. Failure: a queue that
// cannot be written (a full disk) makes the feeder wait; findings are kept meanwhile, and it goes
// on where it was. What fails is in Problems() and Targets().
#ifndef CULPRIT_COLLECTOR_ALERT_ALERTER_H_
#define CULPRIT_COLLECTOR_ALERT_ALERTER_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "collector/alert/alert_target.h"
#include "collector/detect/finding_store.h"
#include "common/result.h"

namespace culprit {

struct AlerterOptions {
  std::string path;  // of the queue; made when there is a target
  std::vector<AlertTarget> targets;
  std::string version;
  // Adds to a finding what is looked up when it is told (regions); may be empty.
  std::function<void(v1::Finding*)> annotate;
};

class Alerter {
 public:
  // `findings` outlives it. Changes after this call are heard, whenever the queue can be opened.
  static std::unique_ptr<Alerter> Start(AlerterOptions options, FindingStore& findings);
  virtual ~Alerter() = default;

  virtual v1::ListAlertTargetsResponse Targets() const = 0;
  // Queues a test for one target (empty = all) and waits for the deliveries until `cancelled` or
  // the request's time is over. Errors: kNotFound, kFailedPrecondition (no target), of the queue.
  virtual Result<v1::TestAlertsResponse> Test(const v1::TestAlertsRequest& request,
                                              const std::function<bool()>& cancelled) = 0;
  // One line each, as `culprit status` has them: "alerts: …".
  virtual std::vector<std::string> Problems() const = 0;
  // Other targets. Deliveries under way end first, within about a second each; what waits for a
  // target that is there again goes on, a new one hears of changes from here on. Of the thread that
  // calls Start() and Stop().
  virtual void SetTargets(std::vector<AlertTarget> targets) = 0;
  // Within about a second and what a resolver takes. What waits is sent after the next start.
  virtual void Stop() = 0;
};

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_ALERT_ALERTER_H_

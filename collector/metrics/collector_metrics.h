// SPDX-License-Identifier: Apache-2.0
// The collector's metrics, as Prometheus reads them. Stage: metrics. Pure. Thread: any. Bounded: no
// series is made by what an agent sends; labels are kinds, reasons of refusal and the names of
// alert targets.
#ifndef CULPRIT_COLLECTOR_METRICS_COLLECTOR_METRICS_H_
#define CULPRIT_COLLECTOR_METRICS_COLLECTOR_METRICS_H_

#include <string>

#include "collector/metrics/collector_facts.h"

namespace culprit {

std::string CollectorMetrics(const CollectorFacts& facts);

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_METRICS_COLLECTOR_METRICS_H_

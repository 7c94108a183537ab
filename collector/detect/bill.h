// SPDX-License-Identifier: Apache-2.0
// What a finding's bytes cost, by a price table.
// Stage: detect. Pure. Thread: any. Amounts as in collector/cost/price_table.h: what has no price
// is unknown and never zero.
#ifndef CULPRIT_COLLECTOR_DETECT_BILL_H_
#define CULPRIT_COLLECTOR_DETECT_BILL_H_

#include <string>
#include <vector>

#include "collector/cost/price_table.h"
#include "collector/detect/spend.h"
#include "culprit/v1/findings.pb.h"

namespace culprit {

// Shares of `all`, and of these what is in `recent`; not priced yet. None of what nobody charges.
v1::FindingCost CostOf(const std::vector<WayBytes>& all, const std::vector<WayBytes>& recent,
                       const WayBook& ways);
// The inverse, for one who goes on: ways and bytes of a finding that was stored.
std::vector<WayBytes> BytesOf(const v1::FindingCost& cost, WayBook* ways);

// By `prices` (null = no table), whatever it was priced by before. Nothing where it has no cost.
void PriceFinding(const PriceTable* prices, v1::Finding* finding);
// Micro-dollars of what has a price.
std::uint64_t PriceOf(const std::vector<WayBytes>& bytes, const WayBook& ways,
                      const PriceTable& prices);

// "about $1.53 so far, at $2.20 an hour"; empty below a cent.
std::string BillText(const v1::FindingCost& cost);

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_DETECT_BILL_H_

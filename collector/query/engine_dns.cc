// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "collector/query/engine.h"
#include "collector/query/filter.h"
#include "collector/query/render.h"

namespace culprit {
namespace {

constexpr std::uint32_t kDefaultLimit = 100, kMaxLimit = 10'000;

Result<NamePredicate> Resolve(const EvidenceStore& store, const v1::ListDnsRequest& request) {
  v1::FlowFilter common;  // the conditions that both kinds of rows have
  *common.mutable_time() = request.time();
  common.set_host(request.host());
  common.set_name(request.name());
  *common.mutable_process_ids() = request.process_ids();
  TRY(const ResolvedFilter filter, ResolveFilter(store, common));
  NamePredicate where;
  where.host = filter.flows.host;
  where.from = filter.flows.from;
  where.to = filter.flows.to;
  where.name = filter.name;
  where.processes = filter.ids;
  return where;
}

}  // namespace

Result<v1::ListDnsResponse> QueryEngine::ListDns(const v1::ListDnsRequest& request) const {
  if (request.limit() > kMaxLimit) {
    return InvalidArgument(fmt::format("limit: at most {}", kMaxLimit));
  }
  TRY(const NamePredicate where, Resolve(deps_.store, request));
  TRY(const std::vector<DnsRecord> found,
      deps_.store.Dns(where, request.limit() == 0 ? kDefaultLimit : request.limit()));
  Names names(deps_.store);
  v1::ListDnsResponse out;
  for (const DnsRecord& record : found) *out.add_rows() = RenderDns(record, &names);
  return out;
}

}  // namespace culprit

// SPDX-License-Identifier: Apache-2.0
// Page tokens: where the next page starts, over which rows, of which question. Not secret, but checked.
// Stage: query. Pure. Thread: any.
#ifndef CULPRIT_COLLECTOR_QUERY_PAGE_TOKEN_H_
#define CULPRIT_COLLECTOR_QUERY_PAGE_TOKEN_H_

#include <string>

#include "collector/store/evidence_store.h"
#include "culprit/v1/query.pb.h"

namespace culprit {

struct PageToken {
  RowPosition as_of;
  PageCursor after;
};

std::string EncodePageToken(const v1::ListFlowsRequest& request, const PageToken& token);
// Errors: kInvalidArgument for what is not a token, or one of another question.
Result<PageToken> DecodePageToken(const v1::ListFlowsRequest& request);

}  // namespace culprit

#endif  // CULPRIT_COLLECTOR_QUERY_PAGE_TOKEN_H_

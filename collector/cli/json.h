// SPDX-License-Identifier: Apache-2.0
// Answers as JSON: the form is that of collector/format, which alerts have too. Stage: cli. Pure.
// Thread: any.
#ifndef CULPRIT_COLLECTOR_CLI_JSON_H_
#define CULPRIT_COLLECTOR_CLI_JSON_H_

#include "collector/format/message_json.h"

namespace culprit::cli {

using culprit::EnumWord;
using culprit::JsonString;
using culprit::ToJson;

}  // namespace culprit::cli

#endif  // CULPRIT_COLLECTOR_CLI_JSON_H_

// SPDX-License-Identifier: Apache-2.0
// Names as agent/model/observation.h wants them. Stage: names. Pure. Thread: any.
#ifndef CULPRIT_AGENT_NAMES_NAME_TEXT_H_
#define CULPRIT_AGENT_NAMES_NAME_TEXT_H_

#include <string>
#include <string_view>

namespace culprit {

// Adds `bytes` to `name`, escaped and in lower case. With `dots` false a dot is escaped too (within
// a label of DNS).
void AppendNameText(std::string_view bytes, bool dots, std::string& name);
// Who logs in somewhere: escaped and bounded, in the letters that it was written in.
std::string UserText(std::string_view user);

// Of what is longer than kMaxNameLength the end is kept: the domain stands there. Never half an
// escape.
void BoundName(std::string& name);

// A host name as text: without the root's dot, bounded.
std::string NameText(std::string_view host);

}  // namespace culprit

#endif  // CULPRIT_AGENT_NAMES_NAME_TEXT_H_

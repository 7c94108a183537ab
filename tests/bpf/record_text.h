// SPDX-License-Identifier: Apache-2.0
// One line of text per kernel record, for the dump tool and for messages of failed tests. Thread:
// values.
#ifndef CULPRIT_TESTS_BPF_RECORD_TEXT_H_
#define CULPRIT_TESTS_BPF_RECORD_TEXT_H_

#include <string>
#include <string_view>

namespace culprit {

std::string RecordText(std::string_view record);

}  // namespace culprit

#endif  // CULPRIT_TESTS_BPF_RECORD_TEXT_H_

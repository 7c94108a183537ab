// SPDX-License-Identifier: Apache-2.0
// Memory that was needed once. Stage: common. Thread: any; for a moment of rest, not for a hot
// path. Failure: none, what cannot be given back stays.
#ifndef CULPRIT_COMMON_MEMORY_H_
#define CULPRIT_COMMON_MEMORY_H_

namespace culprit {

// To be called once a program has started: free heap goes back to the kernel, and the pages of the
// program's code are unmapped; those that are run from then on are mapped again, from the page
// cache, as they are met. Of these programs two thirds of the code that was mapped is parsing,
// certificates and first looks.
void GiveBackStartup();

}  // namespace culprit

#endif  // CULPRIT_COMMON_MEMORY_H_

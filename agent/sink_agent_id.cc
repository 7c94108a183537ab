// SPDX-License-Identifier: Apache-2.0
#include "agent/sink_agent_id.h"

#include "common/file.h"

namespace culprit {

Result<Uuid> SinkAgentId(const std::string& state_dir) {
  const std::string path = state_dir + "/sink-agent";
  auto text = ReadWholeFile(path, 64);
  if (!text && text.error().code == Code::kNotFound) {
    const Uuid fresh = Uuid::Random();
    TRY_VOID(WriteFileAtomically(path, fresh.ToString() + "\n", 0600));
    return fresh;
  }
  if (!text) return std::move(text).error();
  auto id = Uuid::Parse(std::string_view(*text).substr(0, text->find('\n')));
  if (!id) {
    return DataLoss(path +
                    ": not an agent's id: remove the file, and this host is another agent "
                    "from then on");
  }
  return id;
}

}  // namespace culprit

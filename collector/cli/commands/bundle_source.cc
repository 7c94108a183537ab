// SPDX-License-Identifier: Apache-2.0
#include "collector/cli/commands/bundle_source.h"

#include <memory>
#include <span>
#include <utility>

#include "common/file.h"
#include "common/text.h"

namespace culprit::cli {
namespace {

constexpr std::size_t kLeastId = 4, kWholeId = 36;

}  // namespace

bool IsSnapshotId(const std::string& text) {
  return text.size() >= kLeastId && text.size() <= kWholeId &&
         text.find_first_not_of("0123456789abcdef-") == std::string::npos;
}

Result<ByteSource> OpenBundle(Session& session, const std::string& file_or_id, int* exit_code) {
  *exit_code = kExitOk;
  auto file = OpenReadOnly(file_or_id);
  if (file) {
    const auto kept = std::make_shared<UniqueFd>(std::move(*file));
    return ByteSource(
        [kept, read = SourceOf(kept->get())](std::span<char> buffer) { return read(buffer); });
  }
  if (file.error().code != Code::kNotFound) return std::move(file).error();
  if (!IsSnapshotId(file_or_id)) {
    return NotFound("\"" + EscapeText(file_or_id) +
                    "\" is no file, and no id of a snapshot (`culprit snapshot list`)");
  }
  Client* client = session.Connect(exit_code);
  if (client == nullptr) return Unavailable("no connection");
  const std::shared_ptr<SnapshotStream> stream = client->ReadSnapshot(file_or_id);
  return ByteSource([stream](std::span<char> buffer) { return stream->Read(buffer); });
}

}  // namespace culprit::cli

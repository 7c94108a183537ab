// SPDX-License-Identifier: Apache-2.0
#include "common/bundle_rows.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "common/ascii.h"

namespace culprit {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kMaxLine = std::size_t{4} << 20;
constexpr std::size_t kMaxDepth = 64;
constexpr std::size_t kMaxTiers = 8;
constexpr std::size_t kMaxCommand = 200;

template <class Visit>
void EachLine(std::string_view bytes, const Visit& visit) {
  while (!bytes.empty()) {
    const std::string_view line = NextLine(&bytes);
    if (!line.empty()) visit(line);
  }
}

bool IsTierManifest(std::string_view name) {
  return name.starts_with("manifest-tier") && name.ends_with(".jsonl");
}

class Walk {
 public:
  Walk(ByteSource source, const BundleVisitor& visitor, const BundleLimits& limits)
      : reader_(std::move(source), limits), visitor_(visitor) {}

  Result<VisitedBundle> Run() {
    for (;;) {
      auto member = reader_.Next();
      Status visited = member ? Ok() : Status(member.error());
      if (member && *member) visited = One(**member);
      if (!visited) {
        const Code code = visited.error().code;
        const bool of_bundle = code == Code::kOutOfRange || code == Code::kDataLoss ||
                               code == Code::kResourceExhausted ||
                               code == Code::kFailedPrecondition;
        if (!of_bundle) return visited.error();
        result_.broken = visited.error().message;
        break;
      }
      if (!*member) break;
    }
    if (!whole_manifest_) {
      for (const std::string& manifest : tier_manifests_) Entries(manifest);
    }
    result_.whole = result_.broken.empty() && whole_manifest_;
    if (!result_.whole && result_.broken.empty()) result_.broken = "it ends before its manifest";
    return std::move(result_);
  }

 private:
  Status One(const BundleReader::Member& member) {
    if (visitor_.member) visitor_.member(member);
    if (visitor_.entry && (member.name == kManifestName || IsTierManifest(member.name))) {
      TRY(std::string bytes, reader_.ReadUpTo(kMaxManifestBytes));
      if (member.name == kManifestName) {
        whole_manifest_ = true;
        Entries(bytes);
      } else if (tier_manifests_.size() < kMaxTiers) {
        tier_manifests_.push_back(std::move(bytes));
      }
      return Ok();
    }
    whole_manifest_ |= member.name == kManifestName;
    const std::string table = TableOfMember(member.name);
    if (!visitor_.row || table.empty()) return Ok();
    TRY(const std::string bytes, reader_.ReadUpTo(kMaxTableBytes));
    EachLine(bytes, [&](std::string_view line) {
      const Json row = ParseRow(line);
      if (row.is_object()) {
        visitor_.row(table, row);
      } else {
        ++result_.unreadable_rows;
      }
    });
    return Ok();
  }

  void Entries(std::string_view manifest) {
    EachLine(manifest, [&](std::string_view line) {
      const auto entry = ParseManifestLine(line);
      if (entry) {
        visitor_.entry(entry->entry);
      } else {
        ++result_.unreadable_rows;
      }
    });
  }

  BundleReader reader_;
  const BundleVisitor& visitor_;
  VisitedBundle result_;
  std::vector<std::string> tier_manifests_;
  bool whole_manifest_ = false;
};

}  // namespace

bool NestsTooDeep(std::string_view line) {
  std::size_t depth = 0;
  for (const char c : line) {
    if (c == '{' || c == '[') ++depth;
    if ((c == '}' || c == ']') && depth > 0) --depth;
    if (depth > kMaxDepth) return true;
  }
  return false;
}

Json ParseRow(std::string_view line) {
  if (line.size() > kMaxLine || NestsTooDeep(line)) return nullptr;
  return Json::parse(line.begin(), line.end(), nullptr, false);
}

std::string TableOfMember(std::string_view name) {
  constexpr std::string_view kStart = "live/", kEnd = ".jsonl";
  if (!name.starts_with(kStart) || !name.ends_with(kEnd)) return "";
  name = name.substr(kStart.size(), name.size() - kStart.size() - kEnd.size());
  const std::size_t dash = name.rfind('-');
  const bool part = dash != std::string_view::npos && dash + 1 < name.size() &&
                    name.find_first_not_of("0123456789", dash + 1) == std::string_view::npos;
  return std::string(part ? name.substr(0, dash) : name);
}

Result<VisitedBundle> VisitBundle(ByteSource source, const BundleVisitor& visitor,
                                  const BundleLimits& limits) {
  return Walk(std::move(source), visitor, limits).Run();
}

std::string RowTextOf(const Json& row, const char* name) {
  const auto it = row.find(name);
  return it != row.end() && it->is_string() ? it->get<std::string>() : std::string();
}

std::uint64_t RowNumberOf(const Json& row, const char* name) {
  const auto it = row.find(name);
  return it != row.end() && it->is_number_unsigned() ? it->get<std::uint64_t>() : 0;
}

std::string RowCommandOf(const Json& row) {
  std::string command;
  const auto arguments = row.find("arguments");
  if (arguments != row.end() && arguments->is_array()) {
    for (const Json& argument : *arguments) {
      if (argument.is_string())
        command += (command.empty() ? "" : " ") + argument.get<std::string>();
      if (command.size() > kMaxCommand) break;
    }
  }
  return command.empty() ? RowTextOf(row, "command") : command.substr(0, kMaxCommand);
}

std::int64_t RowSignedOf(const Json& row, const char* name) {
  const auto it = row.find(name);
  return it != row.end() && it->is_number_integer() ? it->get<std::int64_t>() : 0;
}

}  // namespace culprit

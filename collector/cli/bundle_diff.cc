// SPDX-License-Identifier: Apache-2.0
// `culprit snapshot diff`.
#include <algorithm>
#include <nlohmann/json.hpp>
#include <unordered_map>

#include "collector/cli/bundle_views.h"
#include "common/bundle_rows.h"
#include "common/hex.h"

namespace culprit::cli {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kMaxItems = 1'000'000;

struct Said {
  std::string table, key, value;
};

Said Process(const Json& row) {
  return {"process",
          "pid " + std::to_string(RowNumberOf(row, "pid")) + " started at tick " +
              std::to_string(RowNumberOf(row, "start_ticks")) + "  " + RowCommandOf(row),
          "exe " + RowTextOf(row, "exe")};
}

Said Socket(const Json& row) {
  const std::string protocol = RowTextOf(row, "protocol"), state = RowTextOf(row, "state");
  const std::string local =
      RowTextOf(row, "local") + " port " + std::to_string(RowNumberOf(row, "local_port"));
  if (protocol == "unix") return {};
  if (protocol == "packet")
    return {"packet socket", "inode " + std::to_string(RowNumberOf(row, "inode")), ""};
  if (state == "listen" || RowNumberOf(row, "remote_port") == 0)
    return {"listener", protocol + " " + local, ""};
  return {"connection",
          protocol + " " + local + " to " + RowTextOf(row, "remote") + " port " +
              std::to_string(RowNumberOf(row, "remote_port")),
          ""};
}

Said File(const Json& row) {
  std::string value = RowTextOf(row, "kind") + " mode " + std::to_string(RowNumberOf(row, "mode")) +
                      " uid " + std::to_string(RowNumberOf(row, "uid"));
  for (const char* text : {"link", "attributes"}) {
    if (const std::string is = RowTextOf(row, text); !is.empty())
      value += std::string(" ") + text + " " + is;
  }
  if (RowTextOf(row, "kind") == "file") {
    value += " size " + std::to_string(RowNumberOf(row, "size")) + " modified " +
             FormatUtc(WallTimeFromNs(RowSignedOf(row, "mtime_ns")));
  }
  return {"file", RowTextOf(row, "path"), std::move(value)};
}

// What is worth comparing of a row; an empty table: nothing.
Said Say(const std::string& table, const Json& row) {
  if (table == "processes") return Process(row);
  if (table == "sockets") return Socket(row);
  if (table == "files") return File(row);
  if (table == "modules") return {"module", RowTextOf(row, "module"), ""};
  if (table == "bpf") {
    return {"bpf",
            RowTextOf(row, "kind") + " " + std::to_string(RowNumberOf(row, "id")) + " " +
                RowTextOf(row, "name"),
            RowTextOf(row, "tag")};
  }
  if (table == "authorized_keys")
    return {"authorized keys", RowTextOf(row, "user") + " " + RowTextOf(row, "path"),
            RowTextOf(row, "text")};
  if (table == "hidden")
    return {"hidden process", "pid " + std::to_string(RowNumberOf(row, "pid")), ""};
  return {};
}

Style StyleOf(char sign) {
  return sign == '+' ? Style::kGood : sign == '-' ? Style::kBad : Style::kWarning;
}

}  // namespace

Result<BundleContent> BundleContent::Read(ByteSource source) {
  BundleContent content;
  std::unordered_map<std::string, std::string> copies;  // member -> path
  BundleVisitor visitor;
  visitor.row = [&](const std::string& table, const Json& row) {
    Said said = Say(table, row);
    if (said.table.empty() || content.items_.size() >= kMaxItems) return;
    if (said.table == "file") {
      if (const std::string copy = RowTextOf(row, "copy"); !copy.empty())
        copies.emplace(copy, said.key);
    }
    content.items_.push_back({std::move(said.table), std::move(said.key), std::move(said.value)});
  };
  std::unordered_map<std::string, std::string> hashes;  // path -> hash
  visitor.entry = [&](const ManifestEntry& entry) {
    const auto* member = std::get_if<BundleMember>(&entry);
    if (member == nullptr) return;
    if (const auto copy = copies.find(member->name); copy != copies.end())
      hashes[copy->second] = HexEncode(AsBytes(member->sha256));
  };
  TRY(const VisitedBundle visited, VisitBundle(std::move(source), visitor));
  content.broken_ = visited.broken;
  for (Item& item : content.items_) {
    const auto hash = item.table == "file" ? hashes.find(item.key) : hashes.end();
    if (hash != hashes.end()) item.value += " sha256 " + hash->second;
  }
  std::sort(content.items_.begin(), content.items_.end());
  content.items_.erase(std::unique(content.items_.begin(), content.items_.end()),
                       content.items_.end());
  return content;
}

BundleDifference BundleContent::To(const BundleContent& later) const {
  BundleDifference difference;
  for (const std::string& broken : {broken_, later.broken_}) {
    if (!broken.empty()) difference.broken = broken;
  }
  auto a = items_.begin(), b = later.items_.begin();
  const auto key = [](const Item& item) { return std::tie(item.table, item.key); };
  while (a != items_.end() || b != later.items_.end()) {
    if (b == later.items_.end() || (a != items_.end() && key(*a) < key(*b))) {
      difference.rows.push_back({'-', a->table, a->key, a->value, ""});
      ++a;
    } else if (a == items_.end() || key(*b) < key(*a)) {
      difference.rows.push_back({'+', b->table, b->key, "", b->value});
      ++b;
    } else {
      if (a->value != b->value)
        difference.rows.push_back({'~', a->table, a->key, a->value, b->value});
      ++a;
      ++b;
    }
  }
  return difference;
}

std::string RenderDifference(const BundleDifference& difference, const View& view) {
  Table table(
      {{""}, {"TABLE"}, {"WHAT", false, 24}, {"BEFORE", false, 12, 1}, {"AFTER", false, 12}});
  for (const Difference& row : difference.rows) {
    table.Add({{std::string(1, row.sign), StyleOf(row.sign)},
               {row.table},
               {row.what},
               {row.before},
               {row.after}});
  }
  return table.Render(view);
}

std::string DifferenceJson(const Difference& row) {
  nlohmann::ordered_json json;
  json["change"] = row.sign == '+' ? "added" : row.sign == '-' ? "removed" : "changed";
  json["table"] = row.table;
  json["what"] = row.what;
  json["before"] = row.before;
  json["after"] = row.after;
  return json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace culprit::cli

// SPDX-License-Identifier: Apache-2.0
#include "common/bundle_manifest.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "common/hex.h"

namespace culprit {
namespace {

using Json = nlohmann::ordered_json;

std::string Hex(const Sha256Digest& digest) { return HexEncode(AsBytes(digest)); }

Result<Sha256Digest> DigestFrom(const std::string& hex) {
  TRY(const std::string bytes, HexDecode(hex));
  Sha256Digest digest{};
  if (bytes.size() != digest.size()) return DataLoss("a hash is not 32 bytes");
  std::copy(bytes.begin(), bytes.end(), digest.begin());
  return digest;
}

void Put(const BundleHead& head, Json* json) {
  (*json)["format"] = kBundleFormat;
  (*json)["snapshot"] = head.snapshot_id;
  (*json)["instance"] = head.instance_id;
  (*json)["hostname"] = head.hostname;
  (*json)["boot_id"] = head.boot_id;
  (*json)["tool"] = head.tool;
  (*json)["tool_sha256"] = head.tool_sha256;
  (*json)["trigger"] = head.trigger;
  (*json)["operator"] = head.operator_name;
  (*json)["case"] = head.case_id;
  (*json)["started_ns"] = ToNs(head.started);
  Json& limits = (*json)["limits"] = Json::object();
  for (const auto& [name, value] : head.limits) limits[name] = value;
}

void Put(const FileFacts& file, Json* json) {
  if (!file.present) return;
  Json& out = (*json)["file"];
  out["mode"] = file.mode;
  out["uid"] = file.uid;
  out["gid"] = file.gid;
  out["inode"] = file.inode;
  out["device"] = file.device;
  out["size"] = file.size;
  out["mtime_ns"] = file.mtime_ns;
  out["atime_ns"] = file.atime_ns;
  out["ctime_ns"] = file.ctime_ns;
  out["btime_ns"] = file.btime_ns;
  if (!file.attributes.empty()) out["attributes"] = file.attributes;
}

void Put(const BundleMember& member, Json* json) {
  (*json)["name"] = member.name;
  (*json)["source"] = member.source;
  (*json)["size"] = member.size;
  (*json)["sha256"] = Hex(member.sha256);
  (*json)["started_ns"] = ToNs(member.started);
  (*json)["ended_ns"] = ToNs(member.ended);
  if (member.cut) (*json)["cut"] = true;
  Put(member.file, json);
  if (!member.notes.empty()) (*json)["notes"] = member.notes;
}

void Put(const TierEnd& tier, Json* json) {
  (*json)["tier"] = tier.tier;
  (*json)["members"] = tier.members;
  (*json)["skipped"] = tier.skipped;
  (*json)["bytes"] = tier.bytes;
  (*json)["started_ns"] = ToNs(tier.started);
  (*json)["ended_ns"] = ToNs(tier.ended);
}

void Put(const BundleEnd& end, Json* json) {
  (*json)["members"] = end.members;
  (*json)["skipped"] = end.skipped;
  (*json)["bytes"] = end.bytes;
  (*json)["ended_ns"] = ToNs(end.ended);
}

constexpr const char* kTypes[] = {"head", "member", "tier", "end"};

// Fields of one object. A field of another type counts as absent; `bad` says whether one that must
// be there is not.
class Fields {
 public:
  explicit Fields(const Json& json) : json_(json) {}
  bool bad() const { return bad_; }
  std::string Text(const char* name) {
    const Json* value = Find(name);
    bad_ |= value == nullptr || !value->is_string();
    return value != nullptr && value->is_string() ? value->get<std::string>() : std::string();
  }
  template <class T>
  T Number(const char* name) {
    const Json* value = Find(name);
    const bool fits = value != nullptr && (std::is_signed_v<T> ? value->is_number_integer()
                                                               : value->is_number_unsigned());
    bad_ |= !fits;
    return fits ? value->get<T>() : T{};
  }
  WallTime Time(const char* name) { return WallTimeFromNs(Number<std::int64_t>(name)); }
  const Json* Find(const char* name) const {
    const auto it = json_.find(name);
    return it == json_.end() ? nullptr : &*it;
  }

 private:
  const Json& json_;
  bool bad_ = false;
};

Result<ManifestEntry> HeadFrom(Fields fields) {
  BundleHead head;
  if (fields.Text("format") != kBundleFormat) return DataLoss("the manifest has another format");
  head.snapshot_id = fields.Text("snapshot");
  head.instance_id = fields.Text("instance");
  head.hostname = fields.Text("hostname");
  head.boot_id = fields.Text("boot_id");
  head.tool = fields.Text("tool");
  head.tool_sha256 = fields.Text("tool_sha256");
  head.trigger = fields.Text("trigger");
  head.operator_name = fields.Text("operator");
  head.case_id = fields.Text("case");
  head.started = fields.Time("started_ns");
  const Json* limits = fields.Find("limits");
  if (fields.bad() || limits == nullptr || !limits->is_object())
    return DataLoss("the head lacks a field");
  for (const auto& [name, value] : limits->items())
    if (value.is_string()) head.limits.emplace_back(name, value.get<std::string>());
  return ManifestEntry(std::move(head));
}

FileFacts FileFrom(Fields* fields) {
  FileFacts file;
  file.present = true;
  file.mode = fields->Number<std::uint32_t>("mode");
  file.uid = fields->Number<std::uint32_t>("uid");
  file.gid = fields->Number<std::uint32_t>("gid");
  file.inode = fields->Number<std::uint64_t>("inode");
  file.device = fields->Number<std::uint64_t>("device");
  file.size = fields->Number<std::uint64_t>("size");
  file.mtime_ns = fields->Number<std::int64_t>("mtime_ns");
  file.atime_ns = fields->Number<std::int64_t>("atime_ns");
  file.ctime_ns = fields->Number<std::int64_t>("ctime_ns");
  file.btime_ns = fields->Number<std::int64_t>("btime_ns");
  if (fields->Find("attributes") != nullptr) file.attributes = fields->Text("attributes");
  return file;
}

Result<ManifestEntry> MemberFrom(Fields fields) {
  BundleMember member;
  member.name = fields.Text("name");
  member.source = fields.Text("source");
  member.size = fields.Number<std::uint64_t>("size");
  TRY(member.sha256, DigestFrom(fields.Text("sha256")));
  member.started = fields.Time("started_ns");
  member.ended = fields.Time("ended_ns");
  const Json* cut = fields.Find("cut");
  member.cut = cut != nullptr && cut->is_boolean() && cut->get<bool>();
  bool bad = fields.bad() || member.name.empty() || member.name.size() > kMaxMemberName;
  if (const Json* file = fields.Find("file"); file != nullptr) {
    if (!file->is_object()) return DataLoss("a member lacks a field");
    Fields of_file(*file);
    member.file = FileFrom(&of_file);
    bad |= of_file.bad();
  }
  if (const Json* notes = fields.Find("notes"); notes != nullptr && notes->is_array()) {
    for (const Json& note : *notes)
      if (note.is_string()) member.notes.push_back(note.get<std::string>());
  }
  if (bad) return DataLoss("a member lacks a field");
  return ManifestEntry(std::move(member));
}

Result<ManifestEntry> TierFrom(Fields fields) {
  TierEnd tier;
  tier.tier = fields.Number<unsigned>("tier");
  tier.members = fields.Number<std::uint64_t>("members");
  tier.skipped = fields.Number<std::uint64_t>("skipped");
  tier.bytes = fields.Number<std::uint64_t>("bytes");
  tier.started = fields.Time("started_ns");
  tier.ended = fields.Time("ended_ns");
  if (fields.bad()) return DataLoss("a tier lacks a field");
  return ManifestEntry(tier);
}

Result<ManifestEntry> EndFrom(Fields fields) {
  BundleEnd end;
  end.members = fields.Number<std::uint64_t>("members");
  end.skipped = fields.Number<std::uint64_t>("skipped");
  end.bytes = fields.Number<std::uint64_t>("bytes");
  end.ended = fields.Time("ended_ns");
  if (fields.bad()) return DataLoss("the end lacks a field");
  return ManifestEntry(end);
}

Result<ManifestEntry> EntryFrom(const std::string& type, const Json& json) {
  if (type == "head") return HeadFrom(Fields(json));
  if (type == "member") return MemberFrom(Fields(json));
  if (type == "tier") return TierFrom(Fields(json));
  if (type == "end") return EndFrom(Fields(json));
  return DataLoss("a line of unknown type");
}

bool Plain(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte > 0x20 && byte < 0x7f && c != '%' && c != '\\';
}

// Nesting is bounded before the parser sees it: what we write has two levels.
bool TooDeep(std::string_view line) {
  int depth = 0;
  for (const char c : line) {
    if (c == '{' || c == '[') ++depth;
    if (c == '}' || c == ']') --depth;
    if (depth > 64) return true;
  }
  return false;
}

}  // namespace

std::string TierManifestName(unsigned tier) {
  return "manifest-tier" + std::to_string(tier) + ".jsonl";
}

std::string FormatManifestLine(const ManifestLine& line) {
  Json json;
  json["seq"] = line.seq;
  json["type"] = kTypes[line.entry.index()];
  std::visit([&](const auto& entry) { Put(entry, &json); }, line.entry);
  json["previous"] = Hex(line.previous);
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Result<ManifestLine> ParseManifestLine(std::string_view text) {
  if (text.size() > kMaxManifestLine || TooDeep(text))
    return DataLoss("a line is too long or too deep");
  const Json json = Json::parse(text.begin(), text.end(), nullptr, false);
  if (!json.is_object()) return DataLoss("a line is not a JSON object");
  Fields fields(json);
  ManifestLine line;
  line.seq = fields.Number<std::uint64_t>("seq");
  const std::string type = fields.Text("type");
  TRY(line.previous, DigestFrom(fields.Text("previous")));
  if (fields.bad()) return DataLoss("a line lacks a field");
  TRY(line.entry, EntryFrom(type, json));
  return line;
}

Result<ManifestLine> ManifestChain::Next(std::string_view text) {
  const std::string where = "manifest line " + std::to_string(next_ + 1);
  auto line = ParseManifestLine(text);
  if (!line) return std::move(line).error().Context(where);
  if (line->seq != next_) return DataLoss(where + ": its number is " + std::to_string(line->seq));
  if (line->previous != previous_)
    return DataLoss(where + ": does not follow from the line before it");
  if (std::holds_alternative<BundleHead>(line->entry) != (next_ == 0))
    return DataLoss(where + ": a head belongs to the beginning, and nowhere else");
  previous_ = Sha256Of(text);
  ++next_;
  return line;
}

std::string MemberNameOf(std::string_view path) {
  constexpr std::string_view kHexDigits = "0123456789ABCDEF";
  std::string name = "[root]";
  for (std::size_t at = 0; at < path.size();) {
    const std::size_t end = std::min(path.find('/', at), path.size());
    const std::string_view part = path.substr(at, end - at);
    at = end + 1;
    if (part.empty() || part == "." || part == "..") continue;
    name.push_back('/');
    for (const char c : part) {
      if (Plain(c)) {
        name.push_back(c);
      } else {
        const auto byte = static_cast<unsigned char>(c);
        name.append({'%', kHexDigits[byte >> 4U], kHexDigits[byte & 15U]});
      }
    }
  }
  constexpr std::size_t kRoom = kMaxMemberName - 80;
  if (name.size() > kRoom) name = name.substr(0, kRoom) + "~" + Hex(Sha256Of(path));
  return name;
}

}  // namespace culprit

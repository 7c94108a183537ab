// SPDX-License-Identifier: Apache-2.0
#include "common/toml_reader.h"

#define TOML_HEADER_ONLY 1
#define TOML_EXCEPTIONS 0
#define TOML_ENABLE_FORMATTERS 0
#include <fcntl.h>
#include <spdlog/fmt/fmt.h>
#include <sys/stat.h>
#include <toml++/toml.h>

#include <algorithm>
#include <optional>
#include <set>

#include "common/file.h"
#include "common/text.h"
#include "common/unique_fd.h"
#include "common/units.h"

namespace culprit {
namespace {

constexpr std::size_t kMaxErrors = 20;

std::string TypeName(const toml::node& node) {
  switch (node.type()) {
    case toml::node_type::table:
      return "a table";
    case toml::node_type::array:
      return "an array";
    case toml::node_type::string:
      return fmt::format("the string \"{}\"", EscapeText(node.as_string()->get()));
    case toml::node_type::integer:
      return fmt::format("the integer {}", node.as_integer()->get());
    case toml::node_type::floating_point:
      return fmt::format("the number {}", node.as_floating_point()->get());
    case toml::node_type::boolean:
      return node.as_boolean()->get() ? "true" : "false";
    default:
      return "a date or time";
  }
}

// "spool.max_byts" -> its table's known keys, so that a suggestion is a whole key.
void CollectLeaves(const toml::table& table, const std::string& prefix,
                   std::vector<std::pair<std::string, const toml::node*>>& out) {
  for (const auto& [name, node] : table) {
    const std::string key =
        prefix.empty() ? std::string(name.str()) : prefix + "." + std::string(name.str());
    const toml::array* list = node.as_array();
    if (const toml::table* inner = node.as_table(); inner != nullptr && !inner->empty()) {
      CollectLeaves(*inner, key, out);
    } else if (list != nullptr && !list->empty() && list->is_array_of_tables()) {
      for (std::size_t i = 0; i < list->size(); ++i)
        CollectLeaves(*list->get(i)->as_table(), fmt::format("{}[{}]", key, i), out);
    } else {
      out.emplace_back(key, &node);
    }
  }
}

}  // namespace

struct TomlReader::Impl {
  std::string name;
  toml::table root;
  std::set<std::string> known;
  std::vector<std::pair<std::size_t, std::string>> errors;  // line, message

  const toml::node* Find(const std::string& key) {
    known.insert(key);
    return root.at_path(key).node();
  }
  static std::size_t LineOf(const toml::node& node) { return node.source().begin.line; }
  void Add(std::size_t line, const std::string& message) { errors.emplace_back(line, message); }
  void Expected(const toml::node& node, const std::string& key, const std::string& what) {
    Add(LineOf(node), fmt::format("{}: expected {}, found {}", key, what, TypeName(node)));
  }
  std::string Locate(std::size_t line, const std::string& message) const {
    return line == 0 ? fmt::format("{}: {}", name, message)
                     : fmt::format("{}:{}: {}", name, line, message);
  }
  void AddUnknown() {
    std::vector<std::pair<std::string, const toml::node*>> leaves;
    CollectLeaves(root, "", leaves);
    const std::vector<std::string> candidates(known.begin(), known.end());
    for (const auto& [key, node] : leaves) {
      if (known.count(key) != 0) continue;
      // An empty table header, or a table where a value was expected (which has its own error).
      const auto below = [&, prefix = key + "."](const std::string& k) {
        return k.starts_with(prefix);
      };
      if (node->is_table() && std::any_of(known.begin(), known.end(), below)) continue;
      const auto above = [&, &leaf = key](const std::string& k) {
        return leaf.starts_with(k + ".");
      };
      if (std::any_of(known.begin(), known.end(), above)) continue;
      const std::string nearest = NearestMatch(key, candidates);
      const std::string hint =
          nearest.empty() ? "" : fmt::format("; did you mean \"{}\"?", nearest);
      Add(LineOf(*node), fmt::format("unknown key \"{}\"{}", EscapeText(key), hint));
    }
  }
};

TomlReader::TomlReader(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
TomlReader::TomlReader(TomlReader&&) noexcept = default;
TomlReader& TomlReader::operator=(TomlReader&&) noexcept = default;
TomlReader::~TomlReader() = default;

Result<std::string> ReadFileBounded(const std::string& path, std::size_t max_bytes) {
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd) return ErrnoError(path);
  struct stat st {};
  if (fstat(fd.get(), &st) != 0) return ErrnoError(path);
  if (!S_ISREG(st.st_mode)) return InvalidArgument(path + ": not a regular file");
  TRY(std::string text, ReadUpTo(fd.get(), max_bytes + 1, path));
  if (text.size() <= max_bytes) return text;
  return MakeError(Code::kResourceExhausted,
                   fmt::format("{}: larger than {} bytes", path, max_bytes));
}

Result<TomlReader> TomlReader::Load(const std::string& path) {
  TRY(const std::string text, ReadFileBounded(path, kMaxFileBytes));
  return Parse(text, path);
}

Result<TomlReader> TomlReader::Parse(std::string_view text, const std::string& name) {
  toml::parse_result result = toml::parse(text, std::string_view(name));
  if (!result) {
    const auto& error = result.error();
    return InvalidArgument(fmt::format("{}:{}:{}: not valid TOML: {}", name,
                                       error.source().begin.line, error.source().begin.column,
                                       EscapeText(error.description())));
  }
  auto impl = std::make_unique<Impl>();
  impl->name = name;
  impl->root = std::move(result).table();
  return TomlReader(std::move(impl));
}

void TomlReader::String(const std::string& key, std::string& out) {
  const toml::node* node = impl_->Find(key);
  if (node == nullptr) return;
  if (!node->is_string()) return impl_->Expected(*node, key, "a string in quotes");
  out = node->as_string()->get();
}

void TomlReader::Path(const std::string& key, std::string& out) {
  const toml::node* node = impl_->Find(key);
  if (node == nullptr) return;
  const std::string* text = node->is_string() ? &node->as_string()->get() : nullptr;
  const bool ok = text != nullptr && (text->empty() ? out.empty() : text->front() == '/');
  if (!ok || text->find('\0') != std::string::npos) {
    return impl_->Expected(*node, key, "an absolute path in quotes");
  }
  out = *text;
}

void TomlReader::Bool(const std::string& key, bool& out) {
  const toml::node* node = impl_->Find(key);
  if (node == nullptr) return;
  if (!node->is_boolean()) return impl_->Expected(*node, key, "true or false");
  out = node->as_boolean()->get();
}

void TomlReader::Uint(const std::string& key, std::uint64_t& out, std::uint64_t min,
                      std::uint64_t max) {
  const toml::node* node = impl_->Find(key);
  if (node == nullptr) return;
  const std::int64_t value = node->is_integer() ? node->as_integer()->get() : -1;
  if (value < 0 || static_cast<std::uint64_t>(value) < min ||
      static_cast<std::uint64_t>(value) > max) {
    return impl_->Expected(*node, key, fmt::format("a whole number from {} to {}", min, max));
  }
  out = static_cast<std::uint64_t>(value);
}

void TomlReader::Uint32(const std::string& key, std::uint32_t& out, std::uint32_t min,
                        std::uint32_t max) {
  std::uint64_t wide = out;
  Uint(key, wide, min, max);
  out = static_cast<std::uint32_t>(wide);
}

void TomlReader::Double(const std::string& key, double& out, double min, double max) {
  const toml::node* node = impl_->Find(key);
  if (node == nullptr) return;
  const std::optional<double> value = node->value<double>();
  if (!node->is_number() || !value || !(*value >= min && *value <= max)) {
    return impl_->Expected(*node, key, fmt::format("a number from {} to {}", min, max));
  }
  out = *value;
}

void TomlReader::Choice(const std::string& key, std::string& out,
                        const std::vector<std::string>& choices) {
  const toml::node* node = impl_->Find(key);
  if (node == nullptr) return;
  if (node->is_string() &&
      std::find(choices.begin(), choices.end(), node->as_string()->get()) != choices.end()) {
    out = node->as_string()->get();
    return;
  }
  impl_->Expected(*node, key, fmt::format("one of \"{}\"", fmt::join(choices, "\", \"")));
}

void TomlReader::Strings(const std::string& key, std::vector<std::string>& out) {
  const toml::node* node = impl_->Find(key);
  if (node == nullptr) return;
  if (!node->is_array()) return impl_->Expected(*node, key, "an array of strings");
  std::vector<std::string> values;
  for (const toml::node& element : *node->as_array()) {
    if (!element.is_string()) return impl_->Expected(element, key, "an array of strings");
    values.push_back(element.as_string()->get());
  }
  out = std::move(values);
}

void TomlReader::Bytes(const std::string& key, std::uint64_t& out, std::uint64_t min,
                       std::uint64_t max) {
  const toml::node* node = impl_->Find(key);
  if (node == nullptr) return;
  std::optional<std::uint64_t> value;
  if (node->is_integer() && node->as_integer()->get() >= 0) {
    value = static_cast<std::uint64_t>(node->as_integer()->get());
  } else if (node->is_string()) {
    if (auto parsed = ParseByteSize(node->as_string()->get())) value = *parsed;
  }
  if (!value || *value < min || *value > max) {
    return impl_->Expected(*node, key,
                           fmt::format("a size such as \"256 MiB\", from {} to {}",
                                       FormatByteSize(min), FormatByteSize(max)));
  }
  out = *value;
}

void TomlReader::DurationNs(const std::string& key, std::chrono::nanoseconds& out,
                            std::chrono::nanoseconds min, std::chrono::nanoseconds max) {
  const toml::node* node = impl_->Find(key);
  if (node == nullptr) return;
  std::optional<std::chrono::nanoseconds> value;
  if (node->is_string()) {
    if (auto parsed = ParseDuration(node->as_string()->get())) value = *parsed;
  } else if (node->is_integer() && node->as_integer()->get() == 0) {
    value = std::chrono::nanoseconds(0);
  }
  if (!value || *value < min || *value > max) {
    const std::string range =
        max == std::chrono::nanoseconds::max()
            ? fmt::format("at least {}", FormatDuration(min))
            : fmt::format("from {} to {}", FormatDuration(min), FormatDuration(max));
    return impl_->Expected(*node, key, fmt::format("a span of time such as \"10s\", {}", range));
  }
  out = *value;
}

std::size_t TomlReader::Tables(const std::string& key, std::size_t max) {
  const toml::node* node = impl_->Find(key);
  if (node == nullptr) return 0;
  const toml::array* list = node->as_array();
  if (list == nullptr || (!list->empty() && !list->is_array_of_tables())) {
    impl_->Expected(*node, key, fmt::format("tables [[{}]]", key));
    return 0;
  }
  if (list->size() > max) AddError(key, fmt::format("more than {} of them", max));
  return std::min(list->size(), max);
}

bool TomlReader::Has(const std::string& key) const {
  return impl_->root.at_path(key).node() != nullptr;
}

void TomlReader::AddError(const std::string& key, const std::string& message) {
  const toml::node* node = impl_->root.at_path(key).node();
  impl_->Add(node == nullptr ? 0 : Impl::LineOf(*node), fmt::format("{}: {}", key, message));
}

Status TomlReader::Finish() {
  impl_->AddUnknown();
  auto& errors = impl_->errors;
  if (errors.empty()) return Ok();
  std::stable_sort(errors.begin(), errors.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  std::string text;
  for (std::size_t i = 0; i < errors.size() && i < kMaxErrors; ++i) {
    if (i > 0) text += '\n';
    text += impl_->Locate(errors[i].first, errors[i].second);
  }
  if (errors.size() > kMaxErrors)
    text += fmt::format("\n… and {} more", errors.size() - kMaxErrors);
  return InvalidArgument(std::move(text));
}

}  // namespace culprit

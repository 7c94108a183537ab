// SPDX-License-Identifier: Apache-2.0
// Reads a TOML configuration into a plain struct: absent keys leave the default, wrong ones are
// errors that name file, line and what was expected, unknown ones are errors with the nearest known
// key.
//
// Stage: common. Thread: one caller. Errors are collected, so that a person sees all of them at
// once:
//
//   TRY(TomlReader toml, TomlReader::Load(path));
//   toml.String("server.listen", config.listen);
//   toml.Bytes("spool.max_bytes", config.spool_bytes, 1 << 20, 1ULL << 40);
//   toml.Duration("heartbeat", config.heartbeat, 1s, 10min);
//   TRY_VOID(toml.Finish());
#ifndef CULPRIT_COMMON_TOML_READER_H_
#define CULPRIT_COMMON_TOML_READER_H_

#include <chrono>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"

namespace culprit {

class TomlReader {
 public:
  static constexpr std::size_t kMaxFileBytes = 1 << 20;

  // Errors: not there (kNotFound), unreadable, over kMaxFileBytes, syntax (file:line:column).
  static Result<TomlReader> Load(const std::string& path);
  // `name` stands for the file in messages.
  static Result<TomlReader> Parse(std::string_view text, const std::string& name);

  TomlReader(TomlReader&&) noexcept;
  TomlReader& operator=(TomlReader&&) noexcept;
  ~TomlReader();

  // Keys are dotted: "table.key". Every call makes the key known. If it is absent or wrong, `out`
  // stays as it is.
  void String(const std::string& key, std::string& out);
  // Absolute path; "" is allowed only if `out` is empty by default.
  void Path(const std::string& key, std::string& out);
  void Bool(const std::string& key, bool& out);
  void Uint(const std::string& key, std::uint64_t& out, std::uint64_t min = 0,
            std::uint64_t max = std::numeric_limits<std::int64_t>::max());
  void Uint32(const std::string& key, std::uint32_t& out, std::uint32_t min = 0,
              std::uint32_t max = std::numeric_limits<std::uint32_t>::max());
  void Double(const std::string& key, double& out, double min, double max);
  void Choice(const std::string& key, std::string& out, const std::vector<std::string>& choices);
  void Strings(const std::string& key, std::vector<std::string>& out);
  // "256 MiB" or a whole number of bytes.
  void Bytes(const std::string& key, std::uint64_t& out, std::uint64_t min = 0,
             std::uint64_t max = std::numeric_limits<std::int64_t>::max());
  // "10s"; a bare number other than 0 is an error.
  template <class Rep, class Period>
  void Duration(const std::string& key, std::chrono::duration<Rep, Period>& out,
                std::chrono::nanoseconds min = std::chrono::nanoseconds(0),
                std::chrono::nanoseconds max = std::chrono::nanoseconds::max()) {
    std::chrono::nanoseconds ns = out;
    DurationNs(key, ns, min, max);
    out = std::chrono::duration_cast<std::chrono::duration<Rep, Period>>(ns);
  }

  // How many tables [[key]] there are, at most `max`; those have keys "key[0].name".
  std::size_t Tables(const std::string& key, std::size_t max);

  bool Has(const std::string& key) const;
  // For checks that the reader cannot make: "file:line: key: message", with the line of the key if
  // it is there.
  void AddError(const std::string& key, const std::string& message);

  // kInvalidArgument with one line for every error and every unknown key, in the order of the file.
  Status Finish();

 private:
  struct Impl;
  explicit TomlReader(std::unique_ptr<Impl> impl);
  void DurationNs(const std::string& key, std::chrono::nanoseconds& out,
                  std::chrono::nanoseconds min, std::chrono::nanoseconds max);
  std::unique_ptr<Impl> impl_;
};

// At most `max_bytes` of a regular file. Errors: errno's, kResourceExhausted for a longer file.
Result<std::string> ReadFileBounded(const std::string& path, std::size_t max_bytes);

}  // namespace culprit

#endif  // CULPRIT_COMMON_TOML_READER_H_

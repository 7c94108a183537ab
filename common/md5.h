// SPDX-License-Identifier: Apache-2.0
// Streaming MD5 (RFC 1321) over OpenSSL: for lists of digests that others made, never to prove
// anything. Stage: common. Thread: one caller an object.
#ifndef CULPRIT_COMMON_MD5_H_
#define CULPRIT_COMMON_MD5_H_

#include <memory>
#include <string>
#include <string_view>

namespace culprit {

class Md5 {
 public:
  Md5();
  ~Md5();
  Md5(const Md5&) = delete;
  Md5& operator=(const Md5&) = delete;

  // False where the system's policy forbids MD5 (FIPS).
  bool usable() const { return context_ != nullptr; }
  void Update(std::string_view bytes);
  // Lower-case digits. Ends the hash.
  std::string FinishHex();

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

}  // namespace culprit

#endif  // CULPRIT_COMMON_MD5_H_

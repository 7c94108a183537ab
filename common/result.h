// SPDX-License-Identifier: Apache-2.0
// Result<T> and Error: how every function that can fail says so. Exceptions never cross a folder.
//
// Stage: common. Thread: values, no shared state.
//
//   Result<Config> Load(const std::string& path) {
//     TRY(const std::string text, ReadFile(path, kMaxConfigBytes));
//     TRY_VOID(CheckSyntax(text));
//     return Parse(text);
//   }
#ifndef CULPRIT_COMMON_RESULT_H_
#define CULPRIT_COMMON_RESULT_H_

#include <cerrno>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <utility>

namespace culprit {

// Numerically equal to grpc::StatusCode, so that the gRPC edge maps by cast. 0 (OK) is never the code of an Error.
enum class Code : int {
  kCancelled = 1,
  kUnknown = 2,
  kInvalidArgument = 3,
  kDeadlineExceeded = 4,
  kNotFound = 5,
  kAlreadyExists = 6,
  kPermissionDenied = 7,
  kResourceExhausted = 8,
  kFailedPrecondition = 9,
  kAborted = 10,
  kOutOfRange = 11,
  kUnimplemented = 12,
  kInternal = 13,
  kUnavailable = 14,
  kDataLoss = 15,
  kUnauthenticated = 16,
};

// `message` is one line for a person and names the remedy where there is one.
struct [[nodiscard]] Error {
  Code code = Code::kUnknown;
  std::string message;

  // Prepends "what: ", so that the message reads from the outside in.
  Error Context(std::string_view what) && {
    message.insert(0, std::string(what) + ": ");
    return std::move(*this);
  }
};

template <class T>
class [[nodiscard]] Result : public tl::expected<T, Error> {
 public:
  using tl::expected<T, Error>::expected;
  Result(Error error)  // NOLINT(google-explicit-constructor): `return Error{...};` is the point
      : tl::expected<T, Error>(tl::unexpect, std::move(error)) {}
};

using Status = Result<void>;
inline Status Ok() { return {}; }

inline Error MakeError(Code code, std::string message) { return Error{code, std::move(message)}; }
inline Error InvalidArgument(std::string message) { return {Code::kInvalidArgument, std::move(message)}; }
inline Error NotFound(std::string message) { return {Code::kNotFound, std::move(message)}; }
inline Error DataLoss(std::string message) { return {Code::kDataLoss, std::move(message)}; }
inline Error Internal(std::string message) { return {Code::kInternal, std::move(message)}; }
inline Error Unavailable(std::string message) { return {Code::kUnavailable, std::move(message)}; }
inline Error FailedPrecondition(std::string message) {
  return {Code::kFailedPrecondition, std::move(message)};
}

// "what: strerror(err)" with the code that fits `err`. Captures errno at the call.
Error ErrnoError(std::string_view what, int err = errno);

}  // namespace culprit

#define CULPRIT_CONCAT_INNER(a, b) a##b
#define CULPRIT_CONCAT(a, b) CULPRIT_CONCAT_INNER(a, b)
// TRY(declaration, expression): declares from the value, or returns the error from the enclosing function.
#define TRY(declaration, expression) \
  TRY_INNER(CULPRIT_CONCAT(try_result_, __LINE__), declaration, expression)
#define TRY_INNER(tmp, declaration, expression)      \
  auto tmp = (expression);                           \
  if (!tmp) return std::move(tmp).error();           \
  declaration = std::move(*tmp)
#define TRY_VOID(expression)                                                 \
  do {                                                                       \
    if (auto try_status = (expression); !try_status) {                       \
      return std::move(try_status).error();                                  \
    }                                                                        \
  } while (false)

#endif  // CULPRIT_COMMON_RESULT_H_

// SPDX-License-Identifier: Apache-2.0
#include "common/result.h"

#include <system_error>

namespace culprit {
namespace {

Code CodeOf(int err) {
  switch (err) {
    case ENOENT:
    case ESRCH:
      return Code::kNotFound;
    case EEXIST:
      return Code::kAlreadyExists;
    case EACCES:
    case EPERM:
      return Code::kPermissionDenied;
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
    case ENOMEM:
    case EMFILE:
    case ENFILE:
      return Code::kResourceExhausted;
    case EINVAL:
      return Code::kInvalidArgument;
    case EAGAIN:
    case ECONNREFUSED:
    case ENETUNREACH:
      return Code::kUnavailable;
    default:
      return Code::kUnknown;
  }
}

}  // namespace

Error ErrnoError(std::string_view what, int err) {
  return {CodeOf(err), std::string(what) + ": " + std::generic_category().message(err)};
}

}  // namespace culprit

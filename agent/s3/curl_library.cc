// SPDX-License-Identifier: Apache-2.0
#include "agent/s3/curl_library.h"

#include <dlfcn.h>

#include <string>

namespace culprit {
namespace {

// Signs all of our headers, and takes x-amz-content-sha256 for the hash of what is sent.
constexpr unsigned kOldest = 0x075800;  // 7.88.0

template <class Function>
bool Find(void* library, const char* name, Function* out) {
  *out = reinterpret_cast<Function>(dlsym(library, name));
  return *out != nullptr;
}

Result<CurlLibrary> Open() {
  void* library = dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    return NotFound(
        "[sink] needs libcurl.so.4, which is not installed: Debian and Ubuntu: apt install "
        "libcurl4; Amazon Linux: dnf install libcurl-minimal");
  }
  CurlLibrary curl;
  CURLcode (*global_init)(long) = nullptr;
  curl_version_info_data* (*version)(CURLversion) = nullptr;
  const bool all = Find(library, "curl_global_init", &global_init) &&
                   Find(library, "curl_version_info", &version) &&
                   Find(library, "curl_easy_init", &curl.init) &&
                   Find(library, "curl_easy_cleanup", &curl.cleanup) &&
                   Find(library, "curl_easy_reset", &curl.reset) &&
                   Find(library, "curl_easy_setopt", &curl.setopt) &&
                   Find(library, "curl_easy_getinfo", &curl.getinfo) &&
                   Find(library, "curl_easy_perform", &curl.perform) &&
                   Find(library, "curl_easy_strerror", &curl.describe) &&
                   Find(library, "curl_slist_append", &curl.append) &&
                   Find(library, "curl_slist_free_all", &curl.free_list);
  if (!all) return FailedPrecondition("libcurl.so.4 lacks a function of libcurl");
  const curl_version_info_data* facts = version(CURLVERSION_NOW);
  if (facts->version_num < kOldest) {
    return FailedPrecondition("libcurl " + std::string(facts->version) +
                              " cannot sign for S3 as it must be: 7.88.0 or later can");
  }
  if (global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
    return FailedPrecondition("libcurl cannot be used");
  return curl;
}

}  // namespace

Result<const CurlLibrary*> CurlLibrary::Load() {
  static const Result<CurlLibrary> library = Open();
  if (!library) return library.error();
  return &*library;
}

}  // namespace culprit

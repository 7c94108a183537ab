// SPDX-License-Identifier: Apache-2.0
// The host's libcurl, looked up when a sink is configured: the agent does not depend on it, and
// trusts the certificates that the distribution's build of it trusts.
//
// Stage: s3 (edge: a shared library). Thread: Load() once, before there are others. Failure:
// values.
#ifndef CULPRIT_AGENT_S3_CURL_LIBRARY_H_
#define CULPRIT_AGENT_S3_CURL_LIBRARY_H_

#include <curl/curl.h>

#include "common/result.h"

namespace culprit {

struct CurlLibrary {
  CURL* (*init)() = nullptr;
  void (*cleanup)(CURL*) = nullptr;
  void (*reset)(CURL*) = nullptr;
  CURLcode (*setopt)(CURL*, CURLoption, ...) = nullptr;
  CURLcode (*getinfo)(CURL*, CURLINFO, ...) = nullptr;
  CURLcode (*perform)(CURL*) = nullptr;
  const char* (*describe)(CURLcode) = nullptr;
  curl_slist* (*append)(curl_slist*, const char*) = nullptr;
  void (*free_list)(curl_slist*) = nullptr;

  // Loaded once, and kept. Errors: not installed, or too old to sign for S3.
  static Result<const CurlLibrary*> Load();
};

}  // namespace culprit

#endif  // CULPRIT_AGENT_S3_CURL_LIBRARY_H_

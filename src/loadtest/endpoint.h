// A server that speaks the OpenAI dialect, as its URL names it. PURE.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "http/message.h"

namespace dormouse::loadtest {

struct Endpoint {
  http::Address address;  // trusts the system's authorities where the URL is https
  std::string host;       // for the Host header and the record: "HOST" or "HOST:PORT" as written
  std::string base;       // "/v1", or the URL's own path; no slash at its end
};

// http://HOST[:PORT][/BASE] or https://...; without a scheme http is meant. `ca_file`: PEM of an authority to trust
// instead of the system's; may be empty.
// Errors: kInvalidArgument, saying what form is wanted; a name and password in a URL are refused, they would be kept.
[[nodiscard]] Result<Endpoint> parse_endpoint(std::string_view url, const std::string& ca_file);

}  // namespace dormouse::loadtest

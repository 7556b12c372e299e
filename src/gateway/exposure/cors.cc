#include "gateway/exposure/cors.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "gateway/exposure/host_names.h"

namespace dormouse::gateway {
namespace {

constexpr std::string_view kAny = "*";
constexpr std::string_view kMethods = "GET, POST";
// An hour; browsers keep it two at most. A changed list is felt after that long.
constexpr std::string_view kMaxAgeSeconds = "3600";
constexpr std::string_view kExposed =
    "x-request-id, retry-after, retry-after-ms, x-should-retry, x-ratelimit-limit-requests, x-ratelimit-limit-tokens, "
    "x-ratelimit-remaining-requests, x-ratelimit-remaining-tokens, x-ratelimit-reset-requests, "
    "x-ratelimit-reset-tokens";
// What the OpenAI SDKs send from a browser. Named one by one in the answer, for the two prefixes are no pattern there.
constexpr std::array<std::string_view, 5> kHeaders{"accept", "authorization", "content-type", "idempotency-key",
                                                   "x-request-id"};
constexpr std::array<std::string_view, 2> kHeaderPrefixes{"openai-", "x-stainless-"};
constexpr std::size_t kMaxNamedHeaders = 32;  // the SDKs send about a dozen; the rest is not allowed

bool is_header_name(std::string_view name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
  });
}

bool is_allowed_header(std::string_view name) {
  if (!is_header_name(name)) return false;
  return std::find(kHeaders.begin(), kHeaders.end(), name) != kHeaders.end() ||
         std::any_of(kHeaderPrefixes.begin(), kHeaderPrefixes.end(),
                     [name](std::string_view prefix) { return name.starts_with(prefix); });
}

std::string allowed_of(std::string_view wanted) {
  std::string out;
  std::size_t named = 0;
  while (!wanted.empty() && named < kMaxNamedHeaders) {
    const std::size_t comma = std::min(wanted.find(','), wanted.size());
    std::string name;
    for (const char c : wanted.substr(0, comma)) {
      if (c != ' ' && c != '\t') name += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    }
    if (is_allowed_header(name)) {
      out += out.empty() ? name : ", " + name;
      ++named;
    }
    wanted.remove_prefix(std::min(comma + 1, wanted.size()));
  }
  return out;
}

// scheme://host[:port], lower case, without a path. Schemes of applications (tauri://localhost) are origins, too.
bool is_origin(std::string_view text) {
  const std::size_t colon = text.find("://");
  if (colon == std::string_view::npos || colon == 0) return false;
  const std::string_view scheme = text.substr(0, colon);
  const std::string_view authority = text.substr(colon + 3);
  const bool plain_scheme = std::all_of(scheme.begin(), scheme.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.';
  });
  const bool lower = std::none_of(authority.begin(), authority.end(), [](char c) { return c >= 'A' && c <= 'Z'; });
  const bool default_port =
      (scheme == "http" && authority.ends_with(":80")) || (scheme == "https" && authority.ends_with(":443"));
  return plain_scheme && lower && !default_port && host_name_of(authority).has_value();
}

}  // namespace

Result<CorsRules> CorsRules::make(const std::vector<std::string>& origins) {
  CorsRules out;
  for (const std::string& origin : origins) {
    if (origin == kAny) {
      out.any_ = true;
    } else if (is_origin(origin)) {
      out.origins_.insert(origin);
    } else {
      return make_error(Code::kInvalidArgument,
                        fmt::format("--cors {}: an origin as the browser sends it is wanted, such as "
                                    "https://chat.example.org (no path, no :443), or *",
                                    origin.substr(0, 120)));
    }
  }
  return out;
}

void CorsRules::add_answer_headers(std::string_view origin, http::Headers& headers) const {
  if (!allows(origin)) return;
  headers.set("access-control-allow-origin", any_ ? kAny : origin);
  headers.set("access-control-expose-headers", kExposed);
}

void CorsRules::add_preflight_headers(std::string_view origin, std::string_view wanted_headers,
                                      http::Headers& headers) const {
  if (!allows(origin)) return;
  headers.set("access-control-allow-origin", any_ ? kAny : origin);
  headers.set("access-control-allow-methods", kMethods);
  const std::string allowed = allowed_of(wanted_headers);
  if (!allowed.empty()) headers.set("access-control-allow-headers", allowed);
  headers.set("access-control-max-age", kMaxAgeSeconds);
}

void CorsRules::add_vary(http::Headers& headers) const {
  if (is_on() && !any_) headers.set("vary", "origin");
}

}  // namespace dormouse::gateway

#include "gateway/sessions/cookie.h"

#include <fmt/format.h>

#include <algorithm>

#include "gateway/exposure/exposure.h"

namespace dormouse::gateway {
namespace {

std::string cookie_line(std::string_view value, int seconds, CookieScheme scheme) {
  return fmt::format("{}={}; HttpOnly; SameSite=Strict; Path=/; Max-Age={}{}", kSessionCookie, value, seconds,
                     scheme == CookieScheme::kHttps ? "; Secure" : "");
}

}  // namespace

std::optional<std::string_view> session_cookie(const http::Request& request) {
  for (const auto& [name, value] : request.headers.all()) {
    if (!http::equals_ignoring_case(name, "cookie")) continue;
    std::string_view rest = value;
    while (!rest.empty()) {
      std::string_view pair = rest.substr(0, rest.find(';'));
      rest.remove_prefix(std::min(rest.size(), pair.size() + 1));
      while (pair.starts_with(' ')) pair.remove_prefix(1);
      const bool is_ours = pair.starts_with(kSessionCookie) && pair.substr(kSessionCookie.size()).starts_with('=');
      if (!is_ours) continue;
      const std::string_view token = pair.substr(kSessionCookie.size() + 1);
      if (token.empty()) return std::nullopt;
      return token;
    }
  }
  return std::nullopt;
}

std::string new_session_cookie(std::string_view token, CookieScheme scheme) {
  return cookie_line(token, kSessionSeconds, scheme);
}

std::string ended_session_cookie(CookieScheme scheme) {
  return cookie_line("", 0, scheme);
}

bool is_from_own_page(const http::Request& request) {
  const bool only_looks = request.method == "GET" || request.method == "HEAD";
  const auto site = request.headers.find("sec-fetch-site");
  const auto origin = request.headers.find("origin");
  if (site.has_value() && *site != "same-origin" && !(only_looks && *site == "none")) return false;
  if (origin.has_value()) {
    const auto host = request.headers.find("host");
    return host.has_value() && is_own_origin(*origin, *host);
  }
  return only_looks || site.has_value();
}

}  // namespace dormouse::gateway

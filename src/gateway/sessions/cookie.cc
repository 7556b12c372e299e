#include "gateway/sessions/cookie.h"

#include <fmt/format.h>

#include <algorithm>

#include "gateway/exposure/exposure.h"
#include "gateway/exposure/host_names.h"

namespace dormouse::gateway {
namespace {

constexpr std::string_view kNamePrefix = "dormouse_session_";
constexpr std::size_t kMostPortDigits = 5;

// Of "name:8080" or "[::1]:8080"; empty: there is none, or it is no number.
std::string_view port_of(std::string_view host) {
  const std::string_view port = split_host(host).port.value_or("");
  const bool is_number = port.find_first_not_of("0123456789") == std::string_view::npos;
  return is_number && port.size() <= kMostPortDigits ? port : std::string_view();
}

std::string cookie_line(const http::Request& request, std::string_view value, int seconds, CookieScheme scheme) {
  return fmt::format("{}={}; HttpOnly; SameSite=Strict; Path=/; Max-Age={}{}", session_cookie_name(request, scheme),
                     value, seconds, scheme == CookieScheme::kHttps ? "; Secure" : "");
}

}  // namespace

std::string session_cookie_name(const http::Request& request, CookieScheme scheme) {
  std::string_view port = port_of(request.headers.find("host").value_or(""));
  if (port.empty()) port = scheme == CookieScheme::kHttps ? "443" : "80";
  return fmt::format("{}{}", kNamePrefix, port);
}

std::optional<std::string_view> session_cookie(const http::Request& request, CookieScheme scheme) {
  const std::string wanted = session_cookie_name(request, scheme) + "=";
  for (const auto& [name, value] : request.headers.all()) {
    if (!http::equals_ignoring_case(name, "cookie")) continue;
    std::string_view rest = value;
    while (!rest.empty()) {
      std::string_view pair = rest.substr(0, rest.find(';'));
      rest.remove_prefix(std::min(rest.size(), pair.size() + 1));
      while (pair.starts_with(' ')) pair.remove_prefix(1);
      if (!pair.starts_with(wanted)) continue;
      const std::string_view token = pair.substr(wanted.size());
      if (token.empty()) return std::nullopt;
      return token;
    }
  }
  return std::nullopt;
}

std::string new_session_cookie(const http::Request& request, std::string_view token, CookieScheme scheme) {
  return cookie_line(request, token, kSessionSeconds, scheme);
}

std::string ended_session_cookie(const http::Request& request, CookieScheme scheme) {
  return cookie_line(request, "", 0, scheme);
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

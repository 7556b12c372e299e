#include "loadtest/endpoint.h"

#include <fmt/format.h>

#include <algorithm>

namespace dormouse::loadtest {

Result<Endpoint> parse_endpoint(std::string_view url, const std::string& ca_file) {
  const Error wanted = make_error(Code::kInvalidArgument, "URL: want http://HOST:PORT or https://HOST[:PORT][/v1]");
  const bool is_tls = url.starts_with("https://");
  if (is_tls || url.starts_with("http://")) {
    url.remove_prefix(is_tls ? 8 : 7);
  } else if (url.find("://") != std::string_view::npos) {
    return wanted;
  }
  if (url.find('@') != std::string_view::npos) {
    return make_error(Code::kInvalidArgument, "URL: no name or password in it, please; a key goes to DORMOUSE_API_KEY");
  }
  const auto is_odd = [](char c) { return c <= ' ' || c > '~' || c == '#' || c == '?'; };
  if (std::any_of(url.begin(), url.end(), is_odd)) return wanted;
  Endpoint out;
  const std::size_t host_end = std::min(url.find('/'), url.size());
  out.host = url.substr(0, host_end);
  out.base = url.substr(host_end);
  while (out.base.ends_with('/')) out.base.pop_back();
  if (out.base.empty()) out.base = "/v1";
  const std::size_t bracket = out.host.find(']');
  const bool has_port = out.host.find(':', bracket == std::string::npos ? 0 : bracket) != std::string::npos;
  const Result<http::Address> address =
      http::Address::parse(has_port ? out.host : fmt::format("{}:{}", out.host, is_tls ? 443 : 80));
  if (!address.has_value() || address->kind != http::Address::Kind::kTcp || address->port == 0) return wanted;
  out.address = *address;
  if (is_tls) out.address.tls = http::TlsTrust{{}, ca_file, ca_file.empty()};
  return out;
}

}  // namespace dormouse::loadtest

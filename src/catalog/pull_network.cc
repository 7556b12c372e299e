#include "catalog/pull_network.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "http/hmac.h"

namespace dormouse::catalog {
namespace {

// Names, and everything below them where there is a dot in front. Hugging Face sends to cdn-lfs*.hf.co,
// cas-bridge.xethub.hf.co and *.cdn.hf.co, ModelScope to cdn-lfs-cn-*.modelscope.cn.
constexpr std::array<std::string_view, 6> kHubHosts = {"huggingface.co", ".huggingface.co", "hf.co",
                                                       ".hf.co",         "modelscope.cn",   ".modelscope.cn"};

bool is_hub(std::string_view host) {
  return std::any_of(kHubHosts.begin(), kHubHosts.end(), [host](std::string_view known) {
    return known.starts_with('.') ? host.ends_with(known) : host == known;
  });
}

bool is_this_machine(std::string_view host) {
  return host == "localhost" || http::is_loopback_address(host);
}

bool covers(std::string_view rule, const http::Url& url) {
  if (rule == "*") return true;
  if (rule == url.authority() || rule == fmt::format("{}:{}", url.host, url.port)) return true;
  while (rule.starts_with('.')) rule.remove_prefix(1);
  if (rule.empty() || url.host == rule) return !rule.empty();
  return url.host.ends_with(rule) && url.host[url.host.size() - rule.size() - 1] == '.';
}

Result<std::optional<http::Proxy>> read_proxy(std::string_view text, std::string_view variable) {
  if (text.empty()) return std::optional<http::Proxy>();
  const auto wrong = [variable](std::string_view why) {  // without the value, which may hold a password
    return make_error(Code::kInvalidArgument, fmt::format("{}: {}; want http://HOST:PORT", variable, why));
  };
  const std::size_t scheme_end = text.find("://");
  if (scheme_end != std::string_view::npos && text.substr(0, scheme_end) != "http") {
    return wrong("only proxies that are spoken to over http are known here");
  }
  std::string_view rest = scheme_end == std::string_view::npos ? text : text.substr(scheme_end + 3);
  rest = rest.substr(0, rest.find('/'));
  http::Proxy out;
  if (const std::size_t at = rest.rfind('@'); at != std::string_view::npos) {
    out.authorization = "Basic " + http::base64(http::percent_decode(rest.substr(0, at)));
    rest.remove_prefix(at + 1);
  }
  const Result<http::Url> url = http::Url::parse(fmt::format("http://{}/", rest));
  if (!url.has_value()) return wrong("no host and port");
  out.address.host = url->host;
  out.address.port = url->port;
  return std::optional<http::Proxy>(std::move(out));
}

}  // namespace

Result<AllowedHosts> AllowedHosts::make(const std::vector<std::string>& named) {
  AllowedHosts out;
  for (const std::string& host : named) TRY_STATUS(out.allow(host));
  return out;
}

Status AllowedHosts::allow(std::string_view host) {
  const bool is_whole = host.find("://") != std::string_view::npos;
  const Result<http::Url> url = http::Url::parse(is_whole ? std::string(host) : fmt::format("https://{}/", host));
  if (!url.has_value()) return make_error(Code::kInvalidArgument, fmt::format("host: {}", url.error().message));
  const std::size_t bracket = host.rfind(']');
  const std::size_t colon = host.rfind(':');
  const bool has_port = colon != std::string_view::npos && (bracket == std::string_view::npos || colon > bracket);
  named_.push_back({url->host, is_whole || has_port ? url->port : static_cast<unsigned short>(0)});
  return {};
}

bool AllowedHosts::is_named(const http::Url& url) const {
  return std::any_of(named_.begin(), named_.end(), [&url](const Named& named) {
    return named.host == url.host && (named.port == 0 || named.port == url.port);
  });
}

Status AllowedHosts::check(const http::Url& url) const {
  if (is_named(url)) return {};  // of http, admit() looks at the address
  if (!is_hub(url.host)) {
    return make_error(Code::kPermissionDenied,
                      fmt::format("{} is none of the hosts that downloads come from; if you trust it: --allow-host {}",
                                  url.authority(), url.authority()));
  }
  if (url.scheme == http::Url::Scheme::kHttps && url.port == 443) return {};
  return make_error(Code::kPermissionDenied,
                    fmt::format("{}: a hub is asked over https on port 443 only", url.authority()));
}

http::AddressCheck AllowedHosts::admit(const http::Url& url) const {
  const bool named = is_named(url);
  const bool is_plain = url.scheme == http::Url::Scheme::kHttp;
  return [named, is_plain, host = url.host](std::string_view ip) -> Status {
    if (is_plain && !http::is_loopback_address(ip)) {
      return make_error(Code::kPermissionDenied,
                        fmt::format("{} is {}: want https, http is for this machine only", host, ip));
    }
    if (named || http::is_public_address(ip)) return {};
    return make_error(Code::kPermissionDenied, fmt::format("{} is {}, which is no address in the internet", host, ip));
  };
}

Result<Proxies> Proxies::read(const std::function<std::string(const char*)>& environment) {
  const auto first_of = [&environment](std::initializer_list<const char*> names) {
    for (const char* const name : names) {
      if (std::string value = environment(name); !value.empty()) return std::pair{value, std::string_view(name)};
    }
    return std::pair{std::string(), std::string_view("proxy")};
  };
  Proxies out;
  const auto [value, name] = first_of({"https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"});
  TRY(out.proxy_, read_proxy(value, name));
  std::string rule;
  for (const char c : first_of({"no_proxy", "NO_PROXY"}).first + ",") {
    if (c == ',' || c == ' ') {
      if (!rule.empty()) out.except_.push_back(std::exchange(rule, {}));
    } else {
      rule += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    }
  }
  return out;
}

std::optional<http::Proxy> Proxies::of(const http::Url& url) const {
  if (url.scheme == http::Url::Scheme::kHttp || is_this_machine(url.host)) return std::nullopt;
  const bool is_excepted =
      std::any_of(except_.begin(), except_.end(), [&url](const std::string& rule) { return covers(rule, url); });
  return is_excepted ? std::nullopt : proxy_;
}

}  // namespace dormouse::catalog

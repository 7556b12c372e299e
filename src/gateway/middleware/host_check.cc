#include <charconv>
#include <string>
#include <string_view>

#include "gateway/middleware/middleware.h"

namespace dormouse::gateway {
namespace {

bool is_port(std::string_view text) {
  unsigned value = 0;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), value);
  return ec == std::errc() && end == text.data() + text.size() && value <= 65'535;
}

// 127.a.b.c in plain decimal.
bool is_loopback_v4(std::string_view host) {
  int parts = 0;
  while (parts < 4) {
    unsigned value = 0;
    const auto [end, ec] = std::from_chars(host.data(), host.data() + host.size(), value);
    if (ec != std::errc() || value > 255 || (parts == 0 && value != 127)) return false;
    host.remove_prefix(static_cast<std::size_t>(end - host.data()));
    ++parts;
    if (parts == 4) return host.empty();
    if (!host.starts_with('.')) return false;
    host.remove_prefix(1);
  }
  return false;
}

bool equals_without_case(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const char c = a[i] >= 'A' && a[i] <= 'Z' ? static_cast<char>(a[i] - 'A' + 'a') : a[i];
    if (c != b[i]) return false;
  }
  return true;
}

bool is_loopback_origin(std::string_view origin) {
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (origin.starts_with(scheme)) return is_loopback_host(origin.substr(scheme.size()));
  }
  return false;
}

class HostCheck final : public Middleware {
 public:
  Task<void> handle(Call& call, Next next) override {
    const bool local_socket = call.request().peer == "unix";
    if (!local_socket) {
      const auto host = call.request().headers.find("host");
      const auto origin = call.request().headers.find("origin");
      if (!host.has_value() || !is_loopback_host(*host) || (origin.has_value() && !is_loopback_origin(*origin))) {
        co_await reply_error(call, api::ErrorCode::kHostNotAllowed);
        co_return;
      }
      if (call.route != nullptr && call.route->access == Access::kWorker) {
        co_await reply_error(call, api::ErrorCode::kNotFound);
        co_return;
      }
    }
    co_await next(call);
  }
};

}  // namespace

bool is_loopback_host(std::string_view host) {
  std::string_view name = host;
  const std::size_t bracket = host.rfind(']');
  const std::size_t colon = host.rfind(':');
  if (colon != std::string_view::npos && (bracket == std::string_view::npos || colon > bracket)) {
    if (!is_port(host.substr(colon + 1))) return false;
    name = host.substr(0, colon);
  }
  return equals_without_case(name, "localhost") || name == "[::1]" || is_loopback_v4(name);
}

std::unique_ptr<Middleware> make_host_check() { return std::make_unique<HostCheck>(); }

}  // namespace dormouse::gateway

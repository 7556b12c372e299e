#include "gateway/router.h"

#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace dormouse::gateway {
namespace {

std::string_view take_segment(std::string_view& path) {
  const std::size_t slash = path.find('/', 1);
  const std::string_view segment = path.substr(0, slash);
  path.remove_prefix(segment.size());
  return segment;
}

std::optional<std::vector<std::string>> match_pattern(std::string_view pattern, std::string_view path) {
  std::vector<std::string> parameters;
  while (!pattern.empty() && !path.empty()) {
    const std::string_view want = take_segment(pattern);
    const std::string_view have = take_segment(path);
    if (want.starts_with("/{")) {
      if (have.size() < 2) return std::nullopt;
      parameters.emplace_back(have.substr(1));
    } else if (want != have) {
      return std::nullopt;
    }
  }
  if (!pattern.empty() || !path.empty()) return std::nullopt;
  return parameters;
}

bool method_matches(std::string_view route, std::string_view request) {
  return route == request || (route == "GET" && request == "HEAD");
}

}  // namespace

const Route* Router::find(std::string_view method, std::string_view path) const {
  for (const Route& route : routes_) {
    if (method_matches(route.method, method) && match_pattern(route.pattern, path).has_value()) return &route;
  }
  return nullptr;
}

void Router::match(Call& call) const {
  for (const Route& route : routes_) {
    std::optional<std::vector<std::string>> parameters = match_pattern(route.pattern, call.request().path);
    if (!parameters.has_value()) continue;
    call.path_known = true;
    call.path_access = route.access;
    if (!method_matches(route.method, call.request().method)) continue;
    call.route = &route;
    call.parameters = *std::move(parameters);
    return;
  }
}

}  // namespace dormouse::gateway

// Which route a request means. Paths come normalised from http/server (decoded once, no dot segments), so a path has
// one spelling here (requirement S-38). Immutable after the last add.
#pragma once

#include <string_view>
#include <vector>

#include "gateway/call.h"

namespace dormouse::gateway {

class Router {
 public:
  void add(Route route) { routes_.push_back(std::move(route)); }
  // Fills call.route, call.path_known, call.path_access, call.parameters.
  void match(Call& call) const;
  // The route such a request would take; null: none.
  [[nodiscard]] const Route* find(std::string_view method, std::string_view path) const;
  [[nodiscard]] const std::vector<Route>& routes() const { return routes_; }

 private:
  std::vector<Route> routes_;  // addresses are kept by calls: filled before the first request
};

}  // namespace dormouse::gateway

// GET /openapi.json: what a door serves, as a document. Made at the first request, when all routes are there, and kept.
// Never wakes anything. Threads: the loop's.
#pragma once

#include <optional>
#include <string>

#include "gateway/call.h"
#include "gateway/exposure/exposure.h"
#include "gateway/router.h"

namespace dormouse::gateway {

class OpenApiRoute {
 public:
  // Borrows both.
  OpenApiRoute(const Router& router, const Exposure& exposure) : router_(router), exposure_(exposure) {}

  void add_to(Router& router);

 private:
  struct Document {
    std::string text;
    std::string etag;
  };
  Task<void> answer(Call& call);
  static Result<Document> make(const Router& router, const Door& door);

  const Router& router_;
  const Exposure& exposure_;
  std::optional<Document> public_;  // of doors that do not serve the administration
  std::optional<Document> whole_;
};

// The routes that a document of a door speaks of; what only run/admin.sock or the console's page asks is in none.
[[nodiscard]] std::vector<const Route*> routes_of(const Router& router, const Door& door);

}  // namespace dormouse::gateway

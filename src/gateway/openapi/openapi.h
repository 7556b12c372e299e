// The OpenAPI 3.1 document of the gateway. What each route takes and answers is written in openapi/*.json, beside this
// file and compiled in; what is true of many routes is added here, from where it is decided: error statuses from the
// error table, the scope of the key from the router. Pure. Threads: any.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace dormouse::gateway {

struct DocumentedRoute {
  std::string method;  // "POST"
  std::string path;    // "/v1/models/{model}"
  std::string scope;   // of the key it wants where keys are wanted; empty: open to all
};

// The document of these routes, in their order, with the schemas that they need and no others. Cost: some
// 20 ms; whoever serves it keeps it. Errors: kInternal (a route that openapi/*.json does not know, or a mistake in
// there).
[[nodiscard]] Result<std::string> openapi_document(std::span<const DocumentedRoute> routes, std::string_view version);

// "POST /generate": everything that openapi/*.json describes, for whoever compares it with the router.
[[nodiscard]] Result<std::vector<std::string>> documented_operations();

}  // namespace dormouse::gateway

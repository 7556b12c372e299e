#include "gateway/openapi_route.h"

#include <fmt/format.h>

#include <utility>

#include "base/log.h"
#include "fleet/lease_token.h"
#include "gateway/gateway.h"
#include "gateway/openapi/openapi.h"

namespace dormouse::gateway {
namespace {

// The console's pages and login are for its browser, what only run/admin.sock is asked for our own programs.
bool is_shown(Access access, const Door& door) {
  switch (access) {
    case Access::kOpen:
    case Access::kInference: return true;
    case Access::kRead:
    case Access::kAdmin: return door.serves_admin;
    case Access::kNone:
    case Access::kConsole:
    case Access::kSocket: return false;
  }
  return false;
}

std::string scope_for(Access access) {
  switch (access) {
    case Access::kInference: return "inference";
    case Access::kRead: return "read";
    case Access::kAdmin: return "admin";
    case Access::kNone:
    case Access::kOpen:
    case Access::kConsole:
    case Access::kSocket: return "";
  }
  return "";
}

}  // namespace

std::vector<const Route*> routes_of(const Router& router, const Door& door) {
  std::vector<const Route*> out;
  for (const Route& route : router.routes()) {
    if (is_shown(route.access, door)) out.push_back(&route);
  }
  return out;
}

void OpenApiRoute::add_to(Router& router) {
  router.add({"GET", "/openapi.json", Access::kOpen, [this](Call& c) { return answer(c); }});
}

Result<OpenApiRoute::Document> OpenApiRoute::make(const Router& router, const Door& door) {
  std::vector<DocumentedRoute> routes;
  for (const Route* route : routes_of(router, door)) {
    routes.push_back({.method = route->method, .path = route->pattern, .scope = scope_for(route->access)});
  }
  Document out;
  TRY(out.text, openapi_document(routes, kVersion));
  out.etag = fmt::format("\"{}\"", fleet::sha256_hex(out.text).substr(0, 32));
  return out;
}

Task<void> OpenApiRoute::answer(Call& call) {
  const Door& door = exposure_.door(call.exchange.listener());
  std::optional<Document>& kept = door.serves_admin ? whole_ : public_;
  if (!kept.has_value()) {
    Result<Document> made = make(router_, door);
    if (!made.has_value()) {
      log_error("event=openapi_failed error=\"{}\"", made.error().message);
      co_await reply_error(call, api::ErrorCode::kInternalError);
      co_return;
    }
    kept = *std::move(made);
  }
  http::Response response;
  response.headers.set("etag", kept->etag);
  response.headers.set("cache-control", "no-cache");  // keep it, but ask
  const auto known = call.request().headers.find("if-none-match");
  const bool is_known = known.has_value() && (*known == "*" || known->find(kept->etag) != std::string_view::npos);
  if (is_known) {
    response.status = 304;
  } else {
    response.body = kept->text;
  }
  co_await reply(call, std::move(response));
}

}  // namespace dormouse::gateway

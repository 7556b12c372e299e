// Serves the console's files, where the admin API is served (Access::kConsole): the page at /console/, what it loads
// below it. Without a login, for they say nothing of this house. Pages may load from this server only, run no inline
// script, and stand in nobody's frame (requirement S-48). Owner: the gateway. Threads: the loop's.
#pragma once

#include <span>
#include <string_view>

#include "gateway/console/console_file.h"
#include "gateway/router.h"

namespace dormouse::gateway {

class ConsolePage {
 public:
  // The files outlive it. One of them is index.html; none at all: every path is 404.
  explicit ConsolePage(std::span<const ConsoleFile> files) : files_(files) {}

  // GET /console, /console/, /console/{file}, /console/assets/{file}.
  void add_routes(Router& router) const;

 private:
  Task<void> reply_file(Call& call, std::string_view path) const;
  [[nodiscard]] http::Response response_for(const http::Request& request, std::string_view path) const;

  std::span<const ConsoleFile> files_;
};

// Whether Accept-Encoding takes gzip: named, or any, and not with q=0.
[[nodiscard]] bool accepts_gzip(std::string_view accept_encoding);

}  // namespace dormouse::gateway

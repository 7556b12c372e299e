// Which web pages may read answers: exact origins the operator listed, or `*`; none by default. Credentials (cookies)
// are never allowed: this server knows none, and a key is sent by the page's own code. Pure; threads: any.
#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "http/message.h"

namespace dormouse::gateway {

class CorsRules {
 public:
  // Errors: kInvalidArgument: no origin (a path, no scheme, a pattern).
  [[nodiscard]] static Result<CorsRules> make(const std::vector<std::string>& origins);

  [[nodiscard]] bool is_on() const { return any_ || !origins_.empty(); }
  // Byte for byte, as browsers send them: lower case, no default port.
  [[nodiscard]] bool allows(std::string_view origin) const { return any_ || origins_.contains(origin); }

  // What an answer to an allowed origin carries. An origin that is not on the list never comes back.
  void add_answer_headers(std::string_view origin, http::Headers& headers) const;
  // What a preflight's answer carries: the methods, and of the headers the page wants those an SDK sends.
  void add_preflight_headers(std::string_view origin, std::string_view wanted_headers, http::Headers& headers) const;
  // For a cache between: the answer differs by Origin, also where none was sent.
  void add_vary(http::Headers& headers) const;

 private:
  std::set<std::string, std::less<>> origins_;
  bool any_ = false;
};

}  // namespace dormouse::gateway

// For which names this server answers: the Host header against a list (requirement S-23, DNS rebinding: a web page
// makes its own name mean 127.0.0.1 and asks the visitor's own server). No suffix rules and no patterns: *.local and
// *.internal can be registered by others. Pure; threads: any.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "base/result.h"

namespace dormouse::gateway {

// A Host header or an origin's authority, cut at the ':' that is not within "[V6]"; neither part is looked at.
struct HostParts {
  std::string_view name;
  std::optional<std::string_view> port;  // no value: no ':'
};
[[nodiscard]] HostParts split_host(std::string_view host);

// The name in a Host header or an origin's authority: "NAME", "1.2.3.4", "[V6]", each with or without ":PORT"; ASCII
// letters made lower case. No value: not by that grammar.
[[nodiscard]] std::optional<std::string> host_name_of(std::string_view host);

// The names of this machine for itself, which every listener answers for.
[[nodiscard]] bool is_loopback_name(std::string_view name);  // localhost, 127.0.0.1, [::1]

// What `--host` takes, in the form host_name_of gives. Errors: kInvalidArgument: a port, a pattern, no name.
[[nodiscard]] Result<std::string> parse_host_option(std::string_view text);

}  // namespace dormouse::gateway

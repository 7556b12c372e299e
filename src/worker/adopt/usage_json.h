// The JSON of `usage` both ways, and JSON of a peer. Include from .cc files only: it brings Boost.JSON's value type,
// which must not leave them. Threads: any.
#pragma once

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <optional>
#include <string_view>

#include "api/generation.h"

namespace dormouse::worker::adopt {

// Any JSON text of at most api::kMaxJsonDepth levels; nullopt: it is none.
[[nodiscard]] std::optional<boost::json::value> parse_peer_json(std::string_view text);
// The member `usage`. nullopt: absent, null, not an object, or nothing but zeros, which some servers send on every
// chunk but the last. Negative counts are zero: they would be a credit on a bill.
[[nodiscard]] std::optional<api::Usage> read_usage(const boost::json::object& from);
[[nodiscard]] boost::json::object usage_json(const api::Usage& usage);

}  // namespace dormouse::worker::adopt

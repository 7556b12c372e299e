// Reading JSON strictly: the one parser for everything a client sends. Include from .cc files only: it brings
// Boost.JSON's value type, which must not leave them. Threads: any.
#pragma once

#include <boost/json/value.hpp>
#include <string>
#include <string_view>

#include "api/generation.h"

namespace dormouse::api {

// More members than any honest request has (128 tools of 50 keys each, thousands of turns); a bound on time, not taste.
inline constexpr std::size_t kMaxJsonKeys = 100'000;
// A prompt of the most ids there may be, and as much again as keys. Without it 8 MiB of "0," are four million values:
// 220 ms of the gateway's one thread and 250 MB at their peak.
inline constexpr std::size_t kMaxJsonValues = kMaxPromptTokens + kMaxJsonKeys;

// Refuses, each with its row of the table: bytes that are not UTF-8 (invalid_utf8), nesting over kMaxJsonDepth
// (json_too_deep), syntax errors, trailing text, NaN, a BOM, half a surrogate pair, a key given twice in one object,
// more than kMaxJsonKeys keys or kMaxJsonValues values (invalid_json). Doubles are the nearest ones to the text. Member
// order is kept. Cost: linear; memory a small multiple of the text.
[[nodiscard]] ApiResult<boost::json::value> parse_strict_json(std::string_view text);

// What Python's json.dumps(value, ensure_ascii=False) writes: ", " and ": ", members in order.
[[nodiscard]] std::string python_dumps(const boost::json::value& value);

}  // namespace dormouse::api

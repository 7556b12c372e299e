// A line of a worker's log as an object: what base/log.h writes, read back; of other programs' lines (an adopted
// server's) the text. Pure.
#pragma once

#include <string>
#include <string_view>

namespace dormouse::cli {

// {"time":"2026-11-26T09:41:00.120+08:00","level":"info","event":"ready","fields":{"model":"chat",...}}, all values
// strings; {"text":"..."} of a line that is not ours. Bytes that are not UTF-8 become U+FFFD.
[[nodiscard]] std::string log_line_json(std::string_view line);

}  // namespace dormouse::cli

// One event, one line, key=value: log_info("event=wake model={} load_ms={}", ...). Levels: error = a person must act,
// warn = we degraded, info = lifecycle and one line per request, debug = off by default. Never prompts, never keys
// (what looks like one is taken out, base/redact.h). Lines go to stderr. Threads: any.
#pragma once

#include <fmt/format.h>

#include <string_view>
#include <utility>

namespace dormouse {

enum class LogLevel { kDebug, kInfo, kWarn, kError };

void set_log_level(LogLevel level);
void log_line(LogLevel level, std::string_view line);

template <typename... Args>
void log_debug(fmt::format_string<Args...> format, Args&&... args) {
  log_line(LogLevel::kDebug, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void log_info(fmt::format_string<Args...> format, Args&&... args) {
  log_line(LogLevel::kInfo, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void log_warn(fmt::format_string<Args...> format, Args&&... args) {
  log_line(LogLevel::kWarn, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void log_error(fmt::format_string<Args...> format, Args&&... args) {
  log_line(LogLevel::kError, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace dormouse

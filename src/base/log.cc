#include "base/log.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <memory>
#include <optional>
#include <string>

#include "base/redact.h"

namespace dormouse {
namespace {

spdlog::logger& logger() {
  static const auto instance = [] {
    auto log = std::make_shared<spdlog::logger>("dormouse", std::make_shared<spdlog::sinks::stderr_sink_mt>());
    log->set_pattern("%Y-%m-%dT%H:%M:%S.%e%z level=%l %v");
    log->flush_on(spdlog::level::info);
    return log;
  }();
  return *instance;
}

spdlog::level::level_enum to_spdlog(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug: return spdlog::level::debug;
    case LogLevel::kInfo: return spdlog::level::info;
    case LogLevel::kWarn: return spdlog::level::warn;
    case LogLevel::kError: return spdlog::level::err;
  }
  return spdlog::level::info;
}

}  // namespace

void set_log_level(LogLevel level) {
  logger().set_level(to_spdlog(level));
}

void log_line(LogLevel level, std::string_view line) {
  const std::optional<std::string> redacted = redact_keys(line);
  const std::string_view shown = redacted.has_value() ? std::string_view(*redacted) : line;
  logger().log(to_spdlog(level), spdlog::string_view_t(shown.data(), shown.size()));
}

}  // namespace dormouse

// Tells when a configuration file was written or replaced: inotify on its directory, because editors write a new file
// and rename it over the old one. Several events within 200 ms are one. Threads: the loop's.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/result.h"
#include "http/asio.h"

namespace dormouse::gateway {

class ConfigWatch {
 public:
  // Watches until destroyed; `changed` is called on the loop. Errors: kUnavailable (no inotify left), kNotFound (the
  // directory).
  static Result<ConfigWatch> start(asio::io_context& io, const std::string& path, std::function<void()> changed);
  ~ConfigWatch();
  ConfigWatch(ConfigWatch&&) noexcept = default;
  ConfigWatch& operator=(ConfigWatch&&) = delete;

 private:
  struct State;
  explicit ConfigWatch(std::shared_ptr<State> state) : state_(std::move(state)) {}
  std::shared_ptr<State> state_;
};

}  // namespace dormouse::gateway

// Remembers what a driver says. Tests only.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "fleet/driver.h"
#include "fleet/drivers/make_driver.h"

namespace dormouse::fleet {

class Recorder final : public DriverEvents {
 public:
  void on_started(const std::string& id) override { add("started", id); }
  void on_start_failed(const std::string& id, const Error& error) override {
    last_error = error;
    add("start_failed", id);
  }
  void on_exited(const std::string& id, InstanceExit /*exit*/) override { add("exited", id); }
  void on_start_progress(const std::string& /*id*/, const std::string& what) override { progress.push_back(what); }
  void on_stop_unconfirmed(const std::string& /*id*/, const Error& error) override {
    last_error = error;
    ++unconfirmed;
  }
  [[nodiscard]] int count(const std::string& what, const std::string& id) const {
    return static_cast<int>(std::count(events.begin(), events.end(), what + " " + id));
  }

  std::vector<std::string> events;
  std::vector<std::string> progress;
  Error last_error;
  int unconfirmed = 0;

 private:
  void add(const std::string& what, const std::string& id) { events.push_back(what + " " + id); }
};

// Null, and the test fails: the options are not sound.
inline std::unique_ptr<Driver> make_attached(RemoteDriverOptions options, DriverEvents& events) {
  Result<std::unique_ptr<Driver>> made = make_driver(std::move(options));
  EXPECT_TRUE(made.has_value()) << made.error().message;
  if (!made.has_value()) return nullptr;
  (*made)->attach(events);
  return std::move(*made);
}

}  // namespace dormouse::fleet

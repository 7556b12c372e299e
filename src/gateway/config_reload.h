// Keeps the deployments of dormouse.toml as the file says: at start and whenever it changes. All or nothing: a file
// with anything wrong in it changes nothing, and says so in the log, in `ps` and in `doctor`. Owner: the house.
// Threads: the loop's.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "catalog/config_file.h"
#include "gateway/config_watch.h"
#include "gateway/deployer.h"
#include "http/asio.h"

namespace dormouse::gateway {

inline constexpr const char* kConfigFileName = "dormouse.toml";  // what Deployment::defined_by says of its deployments

struct ConfigReloadOptions {
  std::string path;                                         // absolute; the file need not exist
  catalog::ConfigFile started_with;                         // what the listeners and directories were made from
  std::chrono::milliseconds default_idle_timeout{600'000};  // where the file has none
  bool idle_timeout_is_given = false;                       // on the command line: the file's own is of no meaning then
};

class ConfigReload {
 public:
  ConfigReload(asio::io_context& io, Deployer& deployer, ConfigReloadOptions options);
  ~ConfigReload() { stop(); }
  ConfigReload(const ConfigReload&) = delete;
  ConfigReload& operator=(const ConfigReload&) = delete;

  // Applies what the options say was read; the caller holds a turn. Errors: kInvalidArgument and those of the ledger.
  Task<Status> start();
  // From now on changes of the file are followed. Without inotify only reload() does it.
  void watch();
  void stop();
  // Reads the file and applies it; returns when it is applied or refused.
  Task<void> reload();
  // For an operator: what is wrong with the file, what waits for the next start. Empty: all is well.
  [[nodiscard]] std::vector<std::string> notices() const;

 private:
  void reload_soon();
  Task<Status> apply(catalog::ConfigFile config);
  [[nodiscard]] Result<catalog::ConfigFile> read() const;
  [[nodiscard]] Result<std::vector<Deployment>> plan(const catalog::ConfigFile& config) const;

  asio::io_context& io_;
  Deployer& deployer_;
  const ConfigReloadOptions options_;
  std::optional<ConfigWatch> watch_;
  std::string problem_;
  std::vector<std::string> waits_for_restart_;
};

}  // namespace dormouse::gateway

// One running Dormouse: data directory, ledger, driver, fleet, gateway, listeners, and their life from start to the
// last worker's exit. Made and run by the thread that lives as long as the process (workers die with it). Order of an
// end (requirement R-31): readiness false; lame duck; listeners closed; requests drained; the rest told `draining`;
// workers drained and gone; ledger closed. A second signal shortens every wait to about 2 s together.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "catalog/catalog.h"
#include "catalog/config_file.h"
#include "gateway/admin_wire.h"
#include "gateway/console/console_file.h"
#include "gateway/deployments.h"
#include "gateway/exposure/exposure.h"
#include "http/asio.h"
#include "http/message.h"

namespace dormouse::gateway {

// One that a start was told to have, beside those of the file and the ledger.
struct StartDeployment {
  NewDeployment wish;
  ledger::Source source = ledger::Source::kFile;
  std::string defined_by;  // "--model", "--demo"
};

struct HouseOptions {
  std::string data_dir;
  std::string worker_path;                 // the dormouse-worker binary
  ExposureOptions exposure;                // the listeners, and who gets in
  std::span<const ConsoleFile> console;    // lives as long as the process; empty: /console/ is 404
  std::function<bool()> any_active_key;    // instead of the ledger's own keys; empty: those
  std::vector<std::string> worker_listen;  // "0.0.0.0:8082": for workers on other machines, TLS; empty: none
  std::vector<StartDeployment> deployments;
  std::string config_path;     // dormouse.toml, absolute; need not exist
  catalog::ConfigFile config;  // as read from there
  std::vector<std::string> model_directories;
  std::vector<std::string> worker_environment;
  const char* const* environment = nullptr;  // the process's own, of which a driver's commands may see what it names
  std::int64_t memory_budget = 0;            // what models may take of this machine together; 0: no bound
  std::chrono::milliseconds default_idle_timeout{600'000};
  bool idle_timeout_is_given = false;        // by a flag, which wins over the file
  std::chrono::milliseconds lame_duck{250};  // a load balancer's next probe; short, as none is in front by default
  std::chrono::milliseconds drain{45'000};
  std::chrono::milliseconds watch_period{10'000};  // between two looks at what runs
};

class House {
 public:
  // Takes the data directory, opens the ledger, sweeps left-over workers. Blocking; nothing runs yet.
  // Errors: kAlreadyExists (data directory in use), kPermissionDenied (a public listener without a key, or without TLS:
  // requirement S-24; what to do is in the message), and those of the parts.
  static Result<std::unique_ptr<House>> open(HouseOptions options);
  ~House();
  House(const House&) = delete;
  House& operator=(const House&) = delete;

  // Binds the listeners once the deployments are known, and runs until SIGINT or SIGTERM and the drain after it.
  // SIGHUP reads the configuration file again; so does a change of it. Errors: kAlreadyExists (a port in use),
  // kInvalidArgument (a deployment that cannot be) and those of the ledger. `on_ready` is called once when requests are
  // taken.
  Status run(const std::function<void()>& on_ready);

  [[nodiscard]] std::vector<std::string> addresses() const;                // of the API, bound, ports filled in
  [[nodiscard]] const Exposure& exposure() const;                          // every listener; bound as addresses()
  [[nodiscard]] const std::vector<std::string>& worker_addresses() const;  // of worker_listen, bound by open()
  // What a remote worker gets as --control-fingerprint; empty without worker_listen.
  [[nodiscard]] const std::string& worker_fingerprint() const;
  [[nodiscard]] const Deployments& deployments() const;
  // Gateway::make_console_link(), once requests are taken.
  [[nodiscard]] std::optional<std::string> make_console_link();
  [[nodiscard]] std::string notice() const;  // a sentence the operator should see at start; may be empty

 private:
  struct Impl;
  explicit House(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace dormouse::gateway

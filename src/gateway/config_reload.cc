#include "gateway/config_reload.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>

#include "base/log.h"
#include "gateway/alerts/webhook.h"
#include "gateway/driver_file.h"

namespace dormouse::gateway {
namespace {

bool is_unchanged(const Deployment* known, const Deployment& wanted) {
  return known != nullptr && known->defined_by == wanted.defined_by && known->image == wanted.image &&
         known->model_path == wanted.model_path && known->rules == wanted.rules;
}

}  // namespace

ConfigReload::ConfigReload(asio::io_context& io, Deployer& deployer, ConfigReloadOptions options)
    : io_(io), deployer_(deployer), options_(std::move(options)) {}

void ConfigReload::watch() {
  // A name that still drains is a reason to refuse the file that goes away by itself.
  deployer_.on_left([this] {
    if (!problem_.empty()) reload_soon();
  });
  Result<ConfigWatch> watch = ConfigWatch::start(io_, options_.path, [this] { reload_soon(); });
  if (!watch.has_value()) {
    log_warn("event=config_not_watched error=\"{}\" hint=\"send SIGHUP after a change\"", watch.error().message);
    return;
  }
  watch_.emplace(*std::move(watch));
}

void ConfigReload::stop() {
  deployer_.on_left({});
  watch_.reset();
}

void ConfigReload::reload_soon() {
  Task<void> reloading = reload();
  asio::co_spawn(io_, std::move(reloading), asio::detached);
}

Task<Status> ConfigReload::start() {
  catalog::ConfigFile config = options_.started_with;
  co_return co_await apply(std::move(config));
}

Task<void> ConfigReload::reload() {
  const Turns::Turn turn = co_await deployer_.turn();
  Result<catalog::ConfigFile> config = read();
  Status applied;
  if (config.has_value()) {
    applied = co_await apply(*std::move(config));
  } else {
    applied = Status(Error(config.error()));
  }
  if (applied.has_value()) {
    problem_.clear();
    log_info("event=config_loaded path={} notices={}", options_.path, notices().size());
    co_return;
  }
  problem_ = applied.error().message;
  log_error("event=config_refused error=\"{}\"", problem_);
}

// No file and nothing that came from one: there never was any.
Result<catalog::ConfigFile> ConfigReload::read() const {
  Result<catalog::ConfigFile> config = catalog::read_config(options_.path);
  if (config.has_value() || config.error().code != Code::kNotFound) return config;
  const auto& all = deployer_.book().all();
  const bool was_there =
      std::any_of(all.begin(), all.end(), [](const auto& entry) { return entry.second.defined_by == kConfigFileName; });
  if (!was_there) return catalog::ConfigFile{};
  return config;
}

std::vector<std::string> ConfigReload::notices() const {
  std::vector<std::string> out = waits_for_restart_;
  if (!problem_.empty()) out.push_back(fmt::format("{} (what ran before goes on)", problem_));
  return out;
}

// Everything the file wants, checked against what others have defined. Errors: kInvalidArgument.
Result<std::vector<Deployment>> ConfigReload::plan(const catalog::ConfigFile& config) const {
  // They wait for a restart, which would not come up with a mistake in them.
  TRY_STATUS(check_drivers(config.driver_text, options_.path));
  const Result<std::vector<Webhook>> webhooks = make_webhooks(config.alerts);
  if (!webhooks.has_value()) {
    return make_error(webhooks.error().code, fmt::format("{}: {}", options_.path, webhooks.error().message));
  }
  Deployments book;
  for (const auto& [name, deployment] : deployer_.book().all()) {
    if (deployment.defined_by != kConfigFileName) book.put(deployment);
  }
  std::vector<Deployment> out;
  for (const catalog::DeploymentEntry& entry : config.deployments) {
    const auto in_file = [this, &entry](const Error& error) {
      return make_error(Code::kInvalidArgument, fmt::format("{}: {}: {}", options_.path, entry.name, error.message));
    };
    NewDeployment wish{.name = entry.name, .image = entry.image, .rules = entry.rules};
    if (!wish.rules.idle_auto && !wish.rules.idle_timeout.has_value()) wish.rules.idle_timeout = config.idle_timeout;
    Result<Deployment> planned = deployer_.plan(std::move(wish));
    if (!planned.has_value()) return in_file(planned.error());
    planned->source = ledger::Source::kFile;
    planned->defined_by = kConfigFileName;
    const Deployment* const other = book.find(entry.name);
    if (other != nullptr && !other->defined_by.empty()) {
      return in_file(make_error(Code::kAlreadyExists, fmt::format("{} defines it as well", other->defined_by)));
    }
    if (deployer_.is_leaving(entry.name)) {
      return in_file(
          make_error(Code::kAlreadyExists, "its last instance still drains; the file is read again after that"));
    }
    const Status words = book.check_words(*planned);
    if (!words.has_value()) return in_file(words.error());
    book.put(*planned);
    out.push_back(*std::move(planned));
  }
  return out;
}

Task<Status> ConfigReload::apply(catalog::ConfigFile config) {
  if (options_.idle_timeout_is_given || !config.idle_timeout.has_value()) {
    config.idle_timeout = options_.default_idle_timeout;
  }
  CO_TRY(const std::vector<Deployment> wanted, plan(config));
  deployer_.set_default_idle_timeout(*config.idle_timeout);
  std::set<std::string> names;
  for (const Deployment& deployment : wanted) {
    names.insert(deployment.name);
    if (is_unchanged(deployer_.book().find(deployment.name), deployment)) continue;
    Deployment copy = deployment;
    CO_TRY_STATUS(co_await deployer_.commit(std::move(copy)));
  }
  std::vector<std::string> dropped;
  for (const auto& [name, deployment] : deployer_.book().all()) {
    if (deployment.defined_by == kConfigFileName && !names.contains(name)) dropped.push_back(name);
  }
  for (const std::string& name : dropped) CO_TRY_STATUS(co_await deployer_.forget(name));
  waits_for_restart_.clear();
  const catalog::ConfigFile& started = options_.started_with;
  for (const auto& [key, is_changed] :
       {std::pair("listen", config.listen != started.listen),
        std::pair("ollama_listen", config.ollama_listen != started.ollama_listen),
        std::pair("admin_listen", config.admin_listen != started.admin_listen),
        std::pair("hosts", config.hosts != started.hosts), std::pair("cors", config.cors != started.cors),
        std::pair("behind_proxy", config.behind_proxy != started.behind_proxy),
        std::pair("tls_cert", config.tls_cert != started.tls_cert),
        std::pair("tls_key", config.tls_key != started.tls_key),
        std::pair("worker_listen", config.worker_listen != started.worker_listen),
        std::pair("models_dir", config.models_dir != started.models_dir),
        std::pair("time_zone", config.time_zone != started.time_zone),
        std::pair("[ledger]", config.retention != started.retention),
        std::pair("[batches]", config.batches != started.batches),
        std::pair("[[alert]]", config.alerts != started.alerts),
        std::pair("[[image]]", config.images != started.images)}) {
    if (!is_changed) continue;
    waits_for_restart_.push_back(fmt::format("{}: {} changed: that takes a restart", options_.path, key));
  }
  for (const std::string& name : drivers_unlike(started.driver_text, config.driver_text)) {
    waits_for_restart_.push_back(fmt::format("{}: [driver.{}] changed: that takes a restart", options_.path, name));
  }
  for (const std::string& notice : waits_for_restart_) log_warn("event=config_waits notice=\"{}\"", notice);
  co_return Status();
}

}  // namespace dormouse::gateway

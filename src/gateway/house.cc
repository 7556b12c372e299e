#include "gateway/house.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <malloc.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <csignal>
#include <optional>
#include <set>
#include <string_view>
#include <utility>

#include "base/environment.h"
#include "base/file_limit.h"
#include "base/ids.h"
#include "base/log.h"
#include "base/service_manager.h"
#include "base/unique_fd.h"
#include "fleet/drivers/process_driver.h"
#include "gateway/advice_task.h"
#include "gateway/batches/batches_api.h"
#include "gateway/batches/taken_back.h"
#include "gateway/budgets.h"
#include "gateway/config_reload.h"
#include "gateway/data_dir.h"
#include "gateway/deployer.h"
#include "gateway/exposure/front_door.h"
#include "gateway/gateway.h"
#include "gateway/keys/key_ring.h"
#include "gateway/plan_service.h"
#include "gateway/pulls/pull_service.h"
#include "gateway/remote_drivers.h"
#include "gateway/retention.h"
#include "gateway/worker_door.h"

namespace dormouse::gateway {
namespace {

using std::chrono::milliseconds;

// After the drain, for requests that were told `draining` to write their last event and settle.
constexpr milliseconds kLastWords{2'000};
constexpr milliseconds kWorkerGrace{5'000};
constexpr milliseconds kHurriedWorkerGrace{500};
constexpr milliseconds kConnectionGrace{500};
// Callers' connections (http::ServerLimits), one more file for each request that runs, and room.
constexpr std::size_t kMostFiles = 16'384;
// Of run/admin.sock and --admin-listen: a worker, a verb or a browser's tab each.
constexpr std::size_t kAdminConnections = 1'024;
// China's: the months that fees are for, and that awake hours are counted in.
constexpr std::chrono::minutes kReportZone{480};

// What the server answers to a request that never reached the gateway.
http::ErrorAnswer server_error(int status, std::string_view code) {
  const std::optional<api::ErrorCode> known = api::find_code(code);
  api::ApiError error;
  error.code = known.value_or(status >= 500 ? api::ErrorCode::kInternalError : api::ErrorCode::kMalformedRequest);
  http::Headers headers;
  const SystemClock clock;
  headers.set("x-request-id", make_uuid_v7(clock.wall()));
  headers.set("content-type", "application/json");
  const int retry_after_s = api::row(error.code).retry_after_s;
  if (retry_after_s > 0) headers.set("retry-after", std::to_string(retry_after_s));
  return {api::error_body(error), std::move(headers)};
}

bool has_terminal() {
  return UniqueFd(::open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC)).is_open();
}

bool is_ignored(int signal) {
  struct sigaction now {};
  return ::sigaction(signal, nullptr, &now) == 0 && now.sa_handler == SIG_IGN;
}

}  // namespace

struct House::Impl {
  explicit Impl(HouseOptions o)
      : options(std::move(o)),
        zone(catalog::report_zone(options.config)),
        client(io),
        signals(io),
        stop_asked(io),
        lame_duck(io) {}

  Status open_parts();
  Status make_gateway(DeployerOptions deployer_options);
  Status make_batches();
  Status bind();
  Status open_door();
  Status open_worker_door();
  Task<Status> start();
  Task<void> live(std::function<void()> on_ready);
  Task<void> watch_signals();
  Task<void> shut_down();
  [[nodiscard]] BudgetPeriods periods_now() const;
  Task<Status> start_given();
  Task<void> restore_deployments();
  Task<Status> forget_old_deployments();
  [[nodiscard]] std::vector<std::string> notices() const;
  [[nodiscard]] bool any_active_key() const {
    return options.any_active_key ? options.any_active_key() : keys->any_active();
  }
  [[nodiscard]] bool hurried() const { return signal_count > 1; }

  // In order of need: what is destroyed last stands first.
  HouseOptions options;
  const TimeZone zone;  // of reports, budgets and fees
  SystemClock clock;
  asio::io_context io{1};
  std::optional<DataDir> data;
  std::optional<catalog::Catalog> catalog;
  Metrics metrics;  // the fleet tells it of wakes and ends
  std::unique_ptr<ledger::Ledger> ledger;
  std::optional<KeyRing> keys;
  std::unique_ptr<fleet::ProcessDriver> driver;
  std::vector<NamedDriver> remote_drivers;
  std::unique_ptr<fleet::Supervisor> supervisor;
  http::Client client;
  Deployments deployments;
  std::unique_ptr<Deployer> deployer;
  std::unique_ptr<Fees> fees;
  std::unique_ptr<ConfigReload> config;
  std::optional<FrontDoor> front_door;
  catalog::InstanceTypes instances;  // one of them for all that ask
  std::optional<Advisor> advisor;
  std::unique_ptr<AlertSender> alerts;
  std::unique_ptr<Watch> watch;
  std::unique_ptr<PlanService> plans;
  std::unique_ptr<PullService> pulls;  // null: no directory for models
  std::unique_ptr<Gateway> gateway;
  std::unique_ptr<FileStore> files;
  std::unique_ptr<BatchRunner> batches;
  std::optional<BatchesApi> batches_api;
  std::unique_ptr<Retention> retention;
  std::unique_ptr<AdviceTask> advice;
  std::unique_ptr<http::Server> admin_server;
  std::unique_ptr<http::Server> api_server;
  std::unique_ptr<http::Server> worker_server;  // null: no workers from other machines

  std::vector<std::string> worker_addresses;
  std::string worker_fingerprint;
  asio::signal_set signals;
  OneShot<bool> stop_asked;
  asio::steady_timer lame_duck;
  std::vector<std::string> not_restored;  // a sentence each
  bool ends_with_terminal = false;
  int signal_count = 0;
  Status outcome;
};

Status House::Impl::open_parts() {
  TRY(DataDir opened, DataDir::open(options.data_dir));
  data.emplace(std::move(opened));
  TRY(catalog::Catalog images, catalog::Catalog::of_installation(options.data_dir, options.config.images));
  catalog.emplace(std::move(images));
  TRY_STATUS(open_worker_door());

  ledger::Options ledger_options;
  ledger_options.path = data->ledger_path();
  ledger_options.clock = &clock;
  ledger_options.post = [this](std::function<void()> f) { asio::post(io, std::move(f)); };
  TRY(ledger, ledger::Ledger::open(std::move(ledger_options)));
  TRY(keys, KeyRing::open(clock, data->pepper_path(), ledger->keys_at_start()));
  TRY_STATUS(front_door->check(any_active_key()));

  fleet::ProcessDriverOptions driver_options;
  driver_options.io = &io;
  driver_options.worker_path = options.worker_path;
  driver_options.run_directory = data->run_directory();
  driver_options.log_directory = data->log_directory();
  driver_options.golden_directory = data->golden_directory();
  driver_options.packed_directory = data->packed_directory();
  driver_options.control_address = "unix:" + data->admin_socket();
  driver_options.environment = options.worker_environment;
  TRY(driver, fleet::ProcessDriver::create(std::move(driver_options)));
  if (driver->swept() > 0) log_warn("event=swept workers={}", driver->swept());
  RemoteDriversOptions remote;
  remote.io = &io;
  remote.clock = &clock;
  remote.environment = options.environment;
  remote.script_directory = data->run_directory() + "/scripts";
  remote.worker_addresses = worker_addresses;
  remote.worker_fingerprint = worker_fingerprint;
  TRY(remote_drivers, make_remote_drivers(options.config, options.config_path, remote));

  fleet::SupervisorOptions fleet_options;
  fleet_options.io = &io;
  fleet_options.clock = &clock;
  fleet_options.ledger = ledger.get();
  fleet_options.memory_budget = options.memory_budget;
  fleet_options.drivers = {{"process", driver.get()}};
  fleet_options.observer.on_wake = [this](const auto&... what) { metrics.count_wake(what...); };
  fleet_options.observer.on_end = [this](const auto&... what) {
    metrics.count_end(what...);
    // An instance gives its memory back with its process; what its requests left free here goes too (1 ms or less).
    ::malloc_trim(0);
  };
  for (const NamedDriver& d : remote_drivers) fleet_options.drivers.emplace_back(d.name, d.driver.get());
  DeployerOptions deployer_options;
  for (const auto& [name, known] : fleet_options.drivers) deployer_options.drivers.push_back(name);
  supervisor = std::make_unique<fleet::Supervisor>(std::move(fleet_options));
  TRY_STATUS(make_gateway(std::move(deployer_options)));
  TRY_STATUS(make_batches());
  return bind();
}

Status House::Impl::make_gateway(DeployerOptions deployer_options) {
  const Services services{io, clock, *supervisor, *ledger, client, metrics, deployments};
  TRY(instances, catalog::InstanceTypes::built_in());
  for (const catalog::InstanceType& type : options.config.instances) instances.put(type);
  deployer_options.instances = &instances;
  advisor.emplace(instances);
  plans = std::make_unique<PlanService>(io, *ledger, instances);
  if (!options.model_directories.empty()) {
    PullServiceOptions pull_options;
    pull_options.directories = options.model_directories;
    pull_options.pull_options = [] { return catalog::pull_options({}, environment_variable); };
    pulls = std::make_unique<PullService>(io, clock, std::move(pull_options));
  }
  deployer_options.model_directories = options.model_directories;
  deployer_options.default_idle_timeout = options.default_idle_timeout;
  deployer = std::make_unique<Deployer>(services, deployments, *catalog, std::move(deployer_options));
  fees = std::make_unique<Fees>(io, *ledger, clock, deployments, [this](WallTime at) { return month_of(at, zone); });
  deployer->on_commit([this](const Deployment& made) { fees->book(made.name, made.pricing); });
  ConfigReloadOptions config_options;
  config_options.path = options.config_path;
  config_options.started_with = options.config;
  config_options.default_idle_timeout = options.default_idle_timeout;
  config_options.idle_timeout_is_given = options.idle_timeout_is_given;
  config = std::make_unique<ConfigReload>(io, *deployer, std::move(config_options));
  GatewayOptions gateway_options;
  gateway_options.exposure = &front_door->exposure();
  gateway_options.log_directory = data->log_directory();
  gateway_options.limits.state_path = data->limits_path();
  gateway_options.limits.limiter.utc_offset_s = [this](WallTime at) { return zone.offset_s(at.us / 1'000'000); };
  gateway_options.limits.record_refusals = [this](std::vector<ledger::RefusalCount> rows) {
    ledger->record_refusals(std::move(rows), [](const Status& status) {
      if (!status.has_value()) log_warn("event=refusals_not_written error=\"{}\"", status.error().message);
    });
  };
  gateway_options.limits.on_budget = [this](const BudgetUse& use) {
    if (alerts == nullptr) return;
    alerts->raise(budget_alert((use.holder == Holder::kKey ? "key " : "deployment ") + use.name, use.percent));
  };
  gateway_options.time_zone = zone;
  gateway_options.console = options.console;
  gateway_options.instances = &instances;
  gateway = std::make_unique<Gateway>(services, *deployer, *keys, std::move(gateway_options));
  gateway->set_notices([this] { return notices(); });
  AlertSenderOptions alert_options;
  TRY(alert_options.webhooks, make_webhooks(options.config.alerts));
  alerts = std::make_unique<AlertSender>(io, clock, std::move(alert_options));
  WatchOptions watch_options;
  watch_options.advisor = &*advisor;
  watch_options.month = [this](WallTime at) { return month_of(at, zone); };
  watch_options.period = options.watch_period;
  watch_options.raise = [this](const Alert& alert) { alerts->raise(alert); };
  watch = std::make_unique<Watch>(services, std::move(watch_options));
  gateway->set_watch(watch.get());
  gateway->set_alerts(alerts.get());
  gateway->set_plans(plans.get());
  gateway->set_pulls(pulls.get());
  RetentionOptions retention_options{.keep = options.config.retention, .zone = zone};
  retention = std::make_unique<Retention>(io, clock, *ledger, std::move(retention_options));
  AdviceTask::Options advice_options{.zone = zone};
  advice = std::make_unique<AdviceTask>(io, clock, *ledger, deployments, *plans, std::move(advice_options));
  return {};
}

Status House::Impl::make_batches() {
  const std::chrono::seconds keep = std::chrono::duration_cast<std::chrono::seconds>(options.config.batches.keep);
  const FileKeeping keeping{.keep = keep, .most_bytes = options.config.batches.most_bytes};
  TRY(files, FileStore::open(io, data->files_directory(), keeping));
  BatchDoor door;
  door.deployment_of = [this](const Batch& batch) { return gateway->deployment_of(batch); };
  door.handle = [this](const Batch& batch, http::Exchange& exchange) {
    return gateway->handle_batched(batch, exchange);
  };
  door.taken_back = [this] { return taken_back(io, *ledger); };
  batches = std::make_unique<BatchRunner>(io, clock, *files, *supervisor, std::move(door), keep);
  batches_api.emplace(clock, *files, *batches);
  gateway->add_batches(*batches_api);
  return {};
}

Status House::Impl::bind() {
  const http::Handler handler = [this](http::Exchange& exchange) { return gateway->handle(exchange); };
  // A tenth of the files stays for what runs already: a caller who waits is better than a ledger that cannot open one.
  const std::size_t most_files = raise_file_limit(kMostFiles);
  http::ServerLimits admin_limits;
  admin_limits.connections = std::min(kAdminConnections, most_files / 10);
  http::ServerLimits api_limits;
  api_limits.connections = std::min(api_limits.connections, most_files / 10 * 8);
  admin_server = std::make_unique<http::Server>(io, admin_limits, handler, server_error);
  api_server = std::make_unique<http::Server>(io, api_limits, handler, server_error);
  TRY(const http::Address admin, http::Address::parse("unix:" + data->admin_socket()));
  TRY_STATUS(admin_server->listen(admin, kSocketDoor));
  gateway->set_connection_count([this] { return api_server->connections() + admin_server->connections(); });
  return {};
}

// Callers are let in when every deployment is known: an early request would hear model_not_found.
Status House::Impl::open_door() {
  TRY_STATUS(front_door->open(*api_server, *admin_server));
  front_door->watch(io);
  gateway->set_listening(front_door->addresses(), front_door->urls());
  gateway->begin_serving();
  return {};
}

// Before the drivers, which tell their workers where it is. Nobody is answered until the loop runs, when all is there.
Status House::Impl::open_worker_door() {
  if (options.worker_listen.empty()) return {};
  TRY(const http::TlsIdentity identity, http::keep_tls_identity(data->tls_directory(), "worker-door", {"localhost"}));
  worker_fingerprint = identity.fingerprint;
  http::Handler handler = [this](http::Exchange& exchange) { return serve_worker_door(*supervisor, exchange); };
  worker_server = std::make_unique<http::Server>(io, worker_door_limits(), std::move(handler), server_error);
  for (const std::string& text : options.worker_listen) {
    TRY(const http::Address address, http::Address::parse(text));
    if (address.kind != http::Address::Kind::kTcp) {
      return make_error(Code::kInvalidArgument, fmt::format("--worker-listen {}: HOST:PORT is wanted", text));
    }
    TRY(const http::Address bound, worker_server->listen(address, "workers", &identity));
    worker_addresses.push_back(bound.to_string());
    log_info("event=worker_door address={} fingerprint={}", bound.to_string(), worker_fingerprint);
  }
  return {};
}

std::vector<std::string> House::Impl::notices() const {
  std::vector<std::string> out = config->notices();
  out.insert(out.end(), not_restored.begin(), not_restored.end());
  const std::string keys_notice = keys->notice();
  if (!keys_notice.empty()) out.push_back(keys_notice);
  const std::vector<std::string> exposed = front_door->notices(deployments, any_active_key());
  out.insert(out.end(), exposed.begin(), exposed.end());
  return out;
}

Task<Status> House::Impl::start_given() {
  for (const StartDeployment& given : options.deployments) {
    NewDeployment wish = given.wish;
    CO_TRY(Deployment deployment, deployer->plan(std::move(wish)));
    deployment.source = given.source;
    deployment.defined_by = given.defined_by;
    if (deployments.find(deployment.name) != nullptr) {
      co_return make_error(Code::kInvalidArgument,
                           fmt::format("two deployments are called '{}'; give --name", deployment.name));
    }
    CO_TRY_STATUS(co_await deployer->commit(std::move(deployment)));
  }
  co_return Status();
}

// What the API made comes back, unless this start or its file defines the name anew. One that cannot be is no reason
// not to serve the others.
Task<void> House::Impl::restore_deployments() {
  std::set<std::string> defined;
  for (const catalog::DeploymentEntry& entry : options.config.deployments) defined.insert(entry.name);
  const std::vector<ledger::Deployment> before = ledger->deployments_at_start();
  for (const ledger::Deployment& old : before) {
    if (old.source != ledger::Source::kApi || defined.contains(old.name) || deployments.find(old.name) != nullptr) {
      continue;
    }
    ledger::Deployment record = old;
    const Status restored = co_await deployer->restore(std::move(record));
    if (restored.has_value()) continue;
    log_error("event=not_restored deployment={} error=\"{}\"", old.name, restored.error().message);
    not_restored.push_back(fmt::format("deployment {} could not be restored: {}; deploy it again to replace it",
                                       old.name, restored.error().message));
  }
}

// What an earlier start took from flags or a file and this one did not is gone.
Task<Status> House::Impl::forget_old_deployments() {
  const std::vector<ledger::Deployment> before = ledger->deployments_at_start();
  for (const ledger::Deployment& old : before) {
    if (old.source == ledger::Source::kApi || deployments.find(old.name) != nullptr) continue;
    const OneShot<Status> removed(io);
    ledger->remove_deployment(old.name, [removed](Status status) { removed.set(std::move(status)); });
    const Status status = co_await removed.get();
    if (!status.has_value() && status.error().code != Code::kNotFound) co_return status;
  }
  co_return Status();
}

BudgetPeriods House::Impl::periods_now() const {
  const WallTime now = clock.wall();
  return {zone.day_begin(now), zone.month_begin(now)};
}

// The admin socket answers already: its changes wait until everything is back.
Task<Status> House::Impl::start() {
  const Turns::Turn turn = co_await deployer->turn();
  CO_TRY_STATUS(co_await start_given());
  co_await restore_deployments();
  CO_TRY_STATUS(co_await config->start());
  CO_TRY_STATUS(co_await forget_old_deployments());
  CO_TRY_STATUS(co_await restore_budgets(io, *ledger, *keys, deployments, gateway->limits().limiter(), periods_now()));
  supervisor->end_survivors();
  fees->start();
  config->watch();
  watch->start();
  retention->start();
  advice->start();
  CO_TRY_STATUS(co_await batches->start());
  co_return open_door();
}

Task<void> House::Impl::watch_signals() {
  while (true) {
    const auto [ec, number] = co_await signals.async_wait(kTuple);
    if (ec) co_return;
    if (number == SIGHUP && !(ends_with_terminal && !has_terminal())) {
      log_info("event=signal number={} meaning=reload", number);
      front_door->watch(io);  // a path may lead elsewhere now, where nobody watched
      front_door->reload();
      Task<void> reloading = config->reload();
      asio::co_spawn(io, std::move(reloading), asio::detached);
      continue;
    }
    ++signal_count;
    log_info("event=signal number={} count={}", number, signal_count);
    stop_asked.set(true);
    if (!hurried()) continue;
    lame_duck.cancel();
    gateway->stop_requests();
  }
}

Task<void> House::Impl::live(std::function<void()> on_ready) {
  outcome = co_await start();
  if (outcome.has_value()) {
    tell_service_manager("READY=1");
    if (on_ready) on_ready();
    co_await stop_asked.get();
  }
  tell_service_manager("STOPPING=1");
  co_await shut_down();
  signals.cancel();
  io.stop();
}

Task<void> House::Impl::shut_down() {
  config->stop();
  front_door->stop();
  watch->stop();
  fees->stop();
  retention->stop();
  advice->stop();
  plans->stop();
  if (pulls != nullptr) pulls->stop();
  batches->stop();
  gateway->begin_draining();
  if (!hurried() && !options.exposure.listen.empty() && outcome.has_value()) {
    lame_duck.expires_after(options.lame_duck);
    [[maybe_unused]] const auto [ec] = co_await lame_duck.async_wait(kTuple);
  }
  api_server->close_listeners();
  bool idle = co_await gateway->wait_idle(hurried() ? milliseconds(0) : options.drain);
  if (!idle) {
    gateway->stop_requests();
    idle = co_await gateway->wait_idle(kLastWords);
  }
  log_info("event=drained idle={}", idle);
  std::vector<ledger::KeyUse> uses = keys->take_uses(KeyRing::Flush::kNow);
  if (!uses.empty()) ledger->record_key_use(std::move(uses), [](const Status&) {});
  gateway->limits().end();
  co_await supervisor->shutdown(hurried() ? kHurriedWorkerGrace : kWorkerGrace);
  co_await api_server->drain(kConnectionGrace);
  if (worker_server != nullptr) co_await worker_server->drain(kConnectionGrace);
  admin_server->close_listeners();
  co_await admin_server->drain(kConnectionGrace);
  ::unlink(data->admin_socket().c_str());
}

House::House(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

House::~House() {
  if (impl_ == nullptr) return;
  // The servers' connections hold frames that point into the gateway: they go first, then their queued handlers.
  impl_->api_server.reset();
  impl_->worker_server.reset();
  impl_->admin_server.reset();
  impl_->alerts.reset();  // its timers too
  // A frame that is still suspended would otherwise be destroyed with io, after gateway and ledger it points into.
  impl_->io.restart();
  impl_->io.poll();
}

Result<std::unique_ptr<House>> House::open(HouseOptions options) {
  auto impl = std::make_unique<Impl>(std::move(options));
  TRY(FrontDoor front_door, FrontDoor::plan(impl->options.exposure));  // before anything is made on disk
  impl->front_door.emplace(std::move(front_door));
  TRY_STATUS(impl->open_parts());
  return std::unique_ptr<House>(new House(std::move(impl)));
}

Status House::run(const std::function<void()>& on_ready) {
  Impl& house = *impl_;
  house.signals.add(SIGINT);
  house.signals.add(SIGTERM);
  // A daemon reads its file again. Started in a terminal that closes, it ends with it, unless told not to (nohup).
  house.ends_with_terminal = has_terminal() && !is_ignored(SIGHUP);
  house.signals.add(SIGHUP);
  asio::co_spawn(house.io, house.watch_signals(), asio::detached);
  asio::co_spawn(house.io, house.live(on_ready), asio::detached);
  house.io.run();
  return house.outcome;
}

std::vector<std::string> House::addresses() const {
  return impl_->front_door->addresses();
}

const Exposure& House::exposure() const {
  return impl_->front_door->exposure();
}

const Deployments& House::deployments() const {
  return impl_->deployments;
}

const std::vector<std::string>& House::worker_addresses() const {
  return impl_->worker_addresses;
}

const std::string& House::worker_fingerprint() const {
  return impl_->worker_fingerprint;
}

std::optional<std::string> House::make_console_link() {
  return impl_->gateway->make_console_link();
}

std::string House::notice() const {
  if (!impl_->data.has_value() || !impl_->data->run_directory_moved()) return {};
  return fmt::format("the data directory's path is too long for sockets; they are in {}", impl_->data->run_directory());
}

}  // namespace dormouse::gateway

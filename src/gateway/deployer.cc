#include "gateway/deployer.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "gateway/one_shot.h"
#include "policy/schedule.h"

namespace dormouse::gateway {
namespace {

// A removed deployment's running answers finish; the fleet cuts them after its own drain deadline, well before this.
constexpr Nanoseconds kLeaveWait = std::chrono::minutes(10);
// The sleep verb is given again after this: it ends what stood still, and what was loading becomes ready in between.
constexpr Nanoseconds kLeaveStep = std::chrono::milliseconds(500);
constexpr Nanoseconds kLeavePause = std::chrono::milliseconds(50);
constexpr std::string_view kOwnRuntime = "builtin";

Error invalid(std::string message) {
  return make_error(Code::kInvalidArgument, std::move(message));
}

// What only a new worker can learn.
bool same_worker(const catalog::DeploymentRules& a, const catalog::DeploymentRules& b) {
  const bool same_lease = a.driver == ledger::kChildDriver || a.lease_time_to_live == b.lease_time_to_live;
  return a.runtime == b.runtime && a.driver == b.driver && a.instance_type == b.instance_type && same_lease &&
         worker_arguments(a) == worker_arguments(b);
}

// An image that our engine does not run brings its server along, unless the deployment names one.
void run_on_its_own(catalog::DeploymentRules& rules, const catalog::ResolvedImage& image) {
  const std::vector<std::string>& can = image.runtimes;
  const bool is_ours = can.empty() || std::find(can.begin(), can.end(), kOwnRuntime) != can.end();
  if (rules.runtime == kOwnRuntime && !is_ours) rules.runtime = can.front();
}

bool is_gone(const fleet::Supervisor& fleet, const std::string& name) {
  for (const fleet::DeploymentStatus& status : fleet.status()) {
    if (status.name == name) return status.instances.empty() && status.waiting == 0;
  }
  return true;
}

}  // namespace

Deployer::Deployer(Services services, Deployments& book, const catalog::Catalog& catalog, DeployerOptions options)
    : services_(services), book_(book), catalog_(catalog), options_(std::move(options)), turns_(services.io) {}

Status Deployer::check(const Deployment& deployment) const {
  const catalog::DeploymentRules& rules = deployment.rules;
  TRY_STATUS(catalog::check_rules(rules));
  TRY([[maybe_unused]] const std::vector<std::string> arguments, adopt_arguments_of(deployment));
  if (std::find(options_.drivers.begin(), options_.drivers.end(), rules.driver) == options_.drivers.end()) {
    return invalid(
        fmt::format("driver: '{}' is not set up here; there is: {}", rules.driver, fmt::join(options_.drivers, ", ")));
  }
  TRY_STATUS(check_billing(*options_.instances, rules));
  for (const std::string& text : rules.awake) {
    const Result<policy::Window> window = policy::parse_window(text);
    if (!window.has_value()) return invalid("awake: " + window.error().message);
  }
  return {};
}

Status Deployer::check_free(const std::string& name) const {
  if (book_.find(name) != nullptr) {
    return make_error(Code::kAlreadyExists, fmt::format("name: there is a deployment {} already", name));
  }
  if (is_leaving(name)) {
    return make_error(Code::kAlreadyExists, fmt::format("name: the last instance of {} still drains", name));
  }
  return {};
}

Result<Deployment> Deployer::plan(NewDeployment wish) const {
  const Result<catalog::ResolvedImage> image = catalog_.resolve(wish.image, options_.model_directories);
  if (!image.has_value()) return invalid("image: " + image.error().message);
  Deployment out;
  out.name = wish.name.empty() ? default_name(image->reference) : wish.name;
  if (!catalog::is_deployment_name(out.name)) {
    return invalid(fmt::format("name: '{}' is no name: letters, digits and . _ - only, at most 63", out.name));
  }
  out.image = image->reference;
  out.model_path = image->path;
  out.rules = std::move(wish.rules);
  run_on_its_own(out.rules, *image);
  if (!out.rules.idle_auto && !out.rules.idle_timeout.has_value()) {
    out.rules.idle_timeout = options_.default_idle_timeout;
  }
  TRY_STATUS(check(out));
  return out;
}

Task<Result<Deployment>> Deployer::create(NewDeployment wish) {
  const Turns::Turn turn = co_await turns_.take();
  CO_TRY(Deployment deployment, plan(std::move(wish)));
  CO_TRY_STATUS(check_free(deployment.name));
  CO_TRY_STATUS(book_.check_words(deployment));
  Deployment made = deployment;
  const Status done = co_await commit(std::move(deployment));
  if (!done.has_value()) co_return Error(done.error());
  co_return made;
}

Task<Result<Deployment>> Deployer::change(std::string name, DeploymentChange change) {
  const Turns::Turn turn = co_await turns_.take();
  const Deployment* const found = book_.find(name);
  if (found == nullptr) co_return make_error(Code::kNotFound, fmt::format("no deployment is called '{}'", name));
  Deployment changed = *found;
  if (changed.source == ledger::Source::kFile) {
    co_return make_error(Code::kPermissionDenied,
                         fmt::format("{} is defined by {}: change it there", name, changed.defined_by));
  }
  for (const auto& [key, value] : change.rules) CO_TRY_STATUS(catalog::set_rule(changed.rules, key, value));
  if (!change.image.empty()) {
    const Result<catalog::ResolvedImage> image = catalog_.resolve(change.image, options_.model_directories);
    if (!image.has_value()) co_return invalid("image: " + image.error().message);
    changed.image = image->reference;
    changed.model_path = image->path;
  }
  CO_TRY_STATUS(check(changed));
  CO_TRY_STATUS(book_.check_words(changed));
  Deployment wanted = changed;
  const Status done = co_await commit(std::move(wanted));
  if (!done.has_value()) co_return Error(done.error());
  co_return changed;
}

Task<Status> Deployer::remove(std::string name) {
  {
    const Turns::Turn turn = co_await turns_.take();
    const Deployment* const found = book_.find(name);
    if (found == nullptr) co_return make_error(Code::kNotFound, fmt::format("no deployment is called '{}'", name));
    if (found->source == ledger::Source::kFile) {
      co_return make_error(Code::kPermissionDenied,
                           fmt::format("{} is defined by {}: remove it there", name, found->defined_by));
    }
    CO_TRY_STATUS(co_await strike(name));
  }
  co_return co_await leave(services_, leaving_, name);
}

Task<Status> Deployer::restore(ledger::Deployment record) {
  CO_TRY(Deployment deployment, from_record(record));
  CO_TRY_STATUS(check(deployment));
  CO_TRY_STATUS(book_.check_words(deployment));
  co_return co_await commit(std::move(deployment));
}

Task<Status> Deployer::commit(Deployment deployment) {
  const OneShot<Status> recorded(services_.io);
  services_.ledger.put_deployment(ledger_record(deployment),
                                  [recorded](Status status) { recorded.set(std::move(status)); });
  CO_TRY_STATUS(co_await recorded.get());
  catalog::DeploymentRules priced = deployment.rules;
  CO_TRY(deployment.pricing,
         co_await find_pricing(services_.io, services_.ledger, *options_.instances, std::move(priced)));
  const Deployment* const before = book_.find(deployment.name);
  if (before == nullptr && !outlived_as(deployment)) services_.fleet.end_survivors(deployment.name);
  CO_TRY_STATUS(services_.fleet.put(fleet_spec(deployment)));
  if (before != nullptr && !same_worker(before->rules, deployment.rules)) {
    services_.fleet.model_changed(deployment.name);
  }
  deployment.created = before != nullptr ? before->created : services_.clock.wall().us / 1'000'000;
  log_info("event={} name={} image={}", before != nullptr ? "changed" : "deployed", deployment.name, deployment.image);
  if (committed_) committed_(deployment);
  book_.put(std::move(deployment));
  co_return Status();
}

// What an earlier gateway started for this name was started as the ledger had it then.
bool Deployer::outlived_as(const Deployment& deployment) const {
  for (const ledger::Deployment& record : services_.ledger.deployments_at_start()) {
    if (record.name != deployment.name) continue;
    const Result<Deployment> then = from_record(record);
    return then.has_value() && then->model_path == deployment.model_path && same_worker(then->rules, deployment.rules);
  }
  return false;
}

Task<Status> Deployer::strike(std::string name) {
  const OneShot<Status> removed(services_.io);
  services_.ledger.remove_deployment(name, [removed](Status status) { removed.set(std::move(status)); });
  CO_TRY_STATUS(co_await removed.get());
  book_.remove(name);
  leaving_->names.insert(name);
  log_info("event=removed name={}", name);
  co_return Status();
}

Task<Status> Deployer::leave(Services services, Leaving leaving, std::string name) {
  fleet::Supervisor& fleet = services.fleet;
  const MonoTime until = services.clock.now() + kLeaveWait;
  asio::steady_timer pause(services.io);
  while (!is_gone(fleet, name) && services.clock.now() < until) {
    const Status slept = co_await fleet.sleep(name, kLeaveStep);
    if (!slept.has_value() || is_gone(fleet, name)) continue;
    pause.expires_after(kLeavePause);  // somebody who waited before it was removed is about to wake it once more
    static_cast<void>(co_await pause.async_wait(kTuple));
  }
  const bool gone = is_gone(fleet, name);
  const Status removed = fleet.remove(name);
  leaving->names.erase(name);
  if (leaving->left) leaving->left();
  if (!gone) {
    co_return make_error(Code::kDeadlineExceeded, fmt::format("{} is removed, but its instance still drains", name));
  }
  co_return removed.has_value() || removed.error().code == Code::kNotFound ? Status() : removed;
}

Task<Status> Deployer::forget(std::string name) {
  CO_TRY_STATUS(co_await strike(name));
  Task<Status> leaving = leave(services_, leaving_, name);
  asio::co_spawn(services_.io, std::move(leaving), asio::detached);
  co_return Status();
}

}  // namespace dormouse::gateway

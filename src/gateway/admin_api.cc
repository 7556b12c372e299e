// The part of Gateway behind Access::kRead and kAdmin: what the CLI and the console ask. None of it wakes an
// instance but the wake verb. Changing deployments is in admin_deployments.cc, reports are in admin/reports_api.cc,
// plans in admin/plan_api.cc, downloads in pulls/pulls_api.cc.
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <utility>

#include "gateway/admin/images_wire.h"
#include "gateway/admin/query_string.h"
#include "gateway/error_response.h"
#include "gateway/gateway.h"

namespace dormouse::gateway {
namespace {

// The verbs wait for memory to come (a load from a slow disk) or to go (a draining answer).
constexpr Nanoseconds kVerbWait = std::chrono::minutes(10);
constexpr std::int64_t kLogTailBytes = 64 * 1024;

std::string tail_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  if (!file) return {};
  const std::int64_t size = static_cast<std::int64_t>(file.tellg());
  const std::int64_t from = std::max<std::int64_t>(0, size - kLogTailBytes);
  file.seekg(from);
  std::string out(static_cast<std::size_t>(size - from), '\0');
  file.read(out.data(), static_cast<std::streamsize>(out.size()));
  out.resize(static_cast<std::size_t>(file.gcount()));
  const std::size_t first_whole_line = from > 0 ? out.find('\n') : std::string::npos;
  return first_whole_line == std::string::npos ? out : out.substr(first_whole_line + 1);
}

}  // namespace

void Gateway::add_admin_routes() {
  const auto add = [this](const char* method, const char* pattern, RouteHandler handler) {
    // Whoever only looks needs less than who changes something.
    const Access access = std::string_view(method) == "GET" ? Access::kRead : Access::kAdmin;
    router_.add({method, pattern, access, std::move(handler)});
  };
  add("GET", "/metrics", [this](Call& c) { return metrics(c); });
  add("GET", "/admin/v1/status", [this](Call& c) { return admin_status(c); });
  add("GET", "/admin/v1/deployments", [this](Call& c) { return admin_status(c); });
  add("POST", "/admin/v1/deployments", [this](Call& c) { return admin_deploy(c); });
  add("GET", "/admin/v1/images", [this](Call& c) { return admin_images(c); });
  add("POST", "/admin/v1/images/{reference}/pull", [this](Call& c) { return admin_pull(c); });
  add("DELETE", "/admin/v1/images/{reference}/pull", [this](Call& c) { return admin_cancel_pull(c); });
  add("GET", "/admin/v1/deployments/{name}", [this](Call& c) { return admin_deployment(c); });
  add("PATCH", "/admin/v1/deployments/{name}", [this](Call& c) { return admin_change(c); });
  add("DELETE", "/admin/v1/deployments/{name}", [this](Call& c) { return admin_remove(c); });
  add("POST", "/admin/v1/deployments/{name}/wake", [this](Call& c) { return admin_wake(c); });
  add("POST", "/admin/v1/deployments/{name}/sleep", [this](Call& c) { return admin_sleep(c); });
  add("GET", "/admin/v1/deployments/{name}/strip", [this](Call& c) { return admin_strip(c); });
  add("GET", "/admin/v1/events", [this](Call& c) { return admin_events(c); });
  add("GET", "/admin/v1/instance-types", [this](Call& c) { return admin_instance_types(c); });
  add("GET", "/admin/v1/deployments/{name}/logs", [this](Call& c) { return admin_logs(c); });
  add("GET", "/admin/v1/access-log", [this](Call& c) { return admin_access_log(c); });
  add("POST", "/admin/v1/alerts/test", [this](Call& c) { return admin_alert_test(c); });
  add("GET", "/admin/v1/usage", [this](Call& c) { return admin_usage(c); });
  add("GET", "/admin/v1/requests", [this](Call& c) { return admin_requests(c); });
  add("GET", "/admin/v1/bill", [this](Call& c) { return admin_bill(c); });
  add("GET", "/admin/v1/plan", [this](Call& c) { return admin_plan(c); });
  add("POST", "/admin/v1/plan", [this](Call& c) { return admin_assumed_plan(c); });
  add("GET", "/admin/v1/advice", [this](Call& c) { return admin_advice(c); });
  add("GET", "/admin/v1/errors", [this](Call& c) { return report_errors(c); });
  add("GET", "/admin/v1/refusals", [this](Call& c) { return report_errors(c); });
  router_.add({"GET", "/internal/worker", Access::kSocket, [this](Call& c) {
                 c.status = 101;
                 return services_.fleet.serve_control(c.exchange);
               }});
}

const Deployment* Gateway::deployment_of(const Call& call) const {
  return deployments_.resolve(call.parameters[0]);
}

StatusView Gateway::status_view() const {
  StatusView out;
  out.version = kVersion;
  out.pid = ::getpid();
  out.now_ms = services_.clock.wall().us / 1'000;
  out.time_zone = options_.time_zone.name();
  out.uptime_s = static_cast<double>((services_.clock.now() - started_).count()) / 1e9;
  out.draining = draining_;
  out.resident_bytes = resident_bytes();
  out.listen = listening_;
  out.urls = urls_;
  if (notices_) out.notices = notices_();
  const std::vector<fleet::DeploymentStatus> fleet = services_.fleet.status();
  for (const auto& [name, deployment] : deployments_.all()) {
    const std::string& wanted = name;
    const auto found =
        std::find_if(fleet.begin(), fleet.end(), [&wanted](const auto& status) { return status.name == wanted; });
    DeploymentView& view =
        out.deployments.emplace_back(view_of(deployment, found == fleet.end() ? nullptr : &*found));
    view.since_ms = out.now_ms - static_cast<std::int64_t>(view.in_state_s * 1e3);
    view.tokens_per_second = rates_.of(name);
    view.last_minute = services_.metrics.last_minute(name, services_.clock.now());
    view.figures = figures_.of(deployment);
    if (watch_ == nullptr) continue;
    view.speed = watch_->speed_of(name);
    for (InstanceView& instance : view.instances) {
      const auto vitals = watch_->vitals().instances.find(instance.instance_id);
      if (vitals == watch_->vitals().instances.end()) continue;
      instance.cpu_cores = vitals->second.cpu_cores;
      instance.resident_bytes = vitals->second.resident_bytes;
    }
  }
  if (watch_ != nullptr) out.machine = watch_->vitals();
  if (pulls_ != nullptr) out.pulls = pulls_->views();
  return out;
}

Task<void> Gateway::admin_status(Call& call) {
  co_await figures_.refresh();
  const std::string body = to_json(status_view());
  co_await reply_json(call, 200, body);
}

Task<void> Gateway::admin_images(Call& call) const {
  const Result<QueryString> query = QueryString::parse(call.request().query);
  if (!query.has_value()) {
    co_await reply_failure(call, query.error());
    co_return;
  }
  const std::string wanted = query->text("q").value_or("");
  const std::vector<PullView> pulls = pulls_ == nullptr ? std::vector<PullView>() : pulls_->views();
  const std::string body = images_json(deployer_.catalog(), wanted, deployer_.model_directories(), pulls);
  co_await reply_json(call, 200, body);
}

Task<void> Gateway::admin_wake(Call& call) {
  const Deployment* deployment = deployment_of(call);
  if (deployment == nullptr) {
    co_await reply_error(call, api::ErrorCode::kModelNotFound);
    co_return;
  }
  const Deployment wanted = *deployment;
  const Status done = co_await services_.fleet.wake(wanted.name, kVerbWait);
  co_await reply_outcome(call, wanted, done);
}

Task<void> Gateway::admin_sleep(Call& call) {
  const Deployment* deployment = deployment_of(call);
  if (deployment == nullptr) {
    co_await reply_error(call, api::ErrorCode::kModelNotFound);
    co_return;
  }
  const Deployment wanted = *deployment;
  const Status done = co_await services_.fleet.sleep(wanted.name, kVerbWait);
  co_await reply_outcome(call, wanted, done);
}

Task<void> Gateway::admin_logs(Call& call) const {
  const Deployment* deployment = deployment_of(call);
  if (deployment == nullptr) {
    co_await reply_error(call, api::ErrorCode::kModelNotFound);
    co_return;
  }
  http::Response response;
  response.headers.set("content-type", "text/plain; charset=utf-8");
  response.body = tail_of(fmt::format("{}/{}.log", options_.log_directory, deployment->name));
  co_await reply(call, std::move(response));
}

// Streamed page by page: all of it is more than belongs into memory.
Task<void> Gateway::admin_access_log(Call& call) const {
  const Result<QueryString> query = QueryString::parse(call.request().query);
  const Result<std::int64_t> since = query.has_value() ? query->number("since_us", 0, {}) : query.error();
  if (!since.has_value() || access_file_ == nullptr) {
    api::ApiError error{api::ErrorCode::kInvalidValue, "must be a whole number", "since_us"};
    if (access_file_ == nullptr) error = {api::ErrorCode::kNotFound, {}, {}};
    co_await reply_error(call, error);
    co_return;
  }
  http::Headers headers;
  headers.set("content-type", "application/x-ndjson");
  headers.set("x-request-id", call.request_id);
  call.status = 200;
  const Status begun = co_await call.exchange.start_stream(200, std::move(headers));
  if (!begun.has_value()) co_return;
  std::string cursor;
  do {
    Result<AccessFile::Page> page = access_file_->read(WallTime{*since}, cursor);
    if (!page.has_value()) co_return call.exchange.abort();
    cursor = page->cursor;
    if (page->lines.empty()) continue;
    call.answer_bytes += static_cast<std::int64_t>(page->lines.size());
    const Status written = co_await call.exchange.write(std::move(page->lines));
    if (!written.has_value()) co_return;
  } while (!cursor.empty());
  const Status ended = co_await call.exchange.finish();
  static_cast<void>(ended);
}

Task<void> Gateway::admin_alert_test(Call& call) {
  std::vector<AlertTestRow> rows;
  if (alerts_ != nullptr) rows = co_await alerts_->test();
  const std::string body = to_json(rows);
  co_await reply_json(call, 200, body);
}

}  // namespace dormouse::gateway

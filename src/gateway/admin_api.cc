// The part of Gateway behind Access::kRead and kAdmin: what the CLI and (later) the console ask. None of it wakes an
// instance but the wake verb. Changing deployments is in admin_deployments.cc.
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <optional>
#include <utility>

#include "gateway/gateway.h"

namespace dormouse::gateway {
namespace {

// The verbs wait for memory to come (a load from a slow disk) or to go (a draining answer).
constexpr Nanoseconds kVerbWait = std::chrono::minutes(10);
constexpr std::int64_t kLogTailBytes = 64 * 1024;
constexpr std::int64_t kMaxRows = 10'000;

// Of a query string, the value of `name` as sent: names and numbers need no decoding.
std::optional<std::string> query_value(const std::string& query, std::string_view name) {
  std::size_t at = 0;
  while (at <= query.size()) {
    const std::size_t end = std::min(query.find('&', at), query.size());
    const std::string_view pair = std::string_view(query).substr(at, end - at);
    const std::size_t equals = pair.find('=');
    if (equals != std::string_view::npos && pair.substr(0, equals) == name) return std::string(pair.substr(equals + 1));
    at = end + 1;
  }
  return std::nullopt;
}

// Absent: the fallback. Not a whole number: nullopt.
std::optional<std::int64_t> query_number(const std::string& query, std::string_view name, std::int64_t fallback) {
  const std::optional<std::string> text = query_value(query, name);
  if (!text.has_value()) return fallback;
  std::int64_t value = 0;
  const auto [end, ec] = std::from_chars(text->data(), text->data() + text->size(), value);
  if (ec != std::errc() || end != text->data() + text->size()) return std::nullopt;
  return value;
}

api::ApiError invalid(std::string param, std::string message) {
  return api::ApiError{api::ErrorCode::kInvalidValue, std::move(message), std::move(param)};
}

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
  add("GET", "/admin/v1/deployments/{name}", [this](Call& c) { return admin_deployment(c); });
  add("PATCH", "/admin/v1/deployments/{name}", [this](Call& c) { return admin_change(c); });
  add("DELETE", "/admin/v1/deployments/{name}", [this](Call& c) { return admin_remove(c); });
  add("POST", "/admin/v1/deployments/{name}/wake", [this](Call& c) { return admin_wake(c); });
  add("POST", "/admin/v1/deployments/{name}/sleep", [this](Call& c) { return admin_sleep(c); });
  add("GET", "/admin/v1/deployments/{name}/logs", [this](Call& c) { return admin_logs(c); });
  add("GET", "/admin/v1/access-log", [this](Call& c) { return admin_access_log(c); });
  add("POST", "/admin/v1/alerts/test", [this](Call& c) { return admin_alert_test(c); });
  add("GET", "/admin/v1/usage", [this](Call& c) { return admin_usage(c); });
  add("GET", "/admin/v1/requests", [this](Call& c) { return admin_requests(c); });
  router_.add({"GET", "/internal/worker", Access::kWorker, [this](Call& c) {
                 c.status = 101;
                 return services_.fleet.serve_control(c.exchange);
               }});
}

const Deployment* Gateway::deployment_of(const Call& call) const { return deployments_.resolve(call.parameters[0]); }

StatusView Gateway::status_view() const {
  StatusView out;
  out.version = kVersion;
  out.pid = ::getpid();
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
  return out;
}

Task<void> Gateway::admin_status(Call& call) const {
  const std::string body = to_json(status_view());
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
  const auto since = query_number(call.request().query, "since_us", 0);
  if (!since.has_value() || access_file_ == nullptr) {
    const api::ApiError error = invalid("since_us", "a whole number");
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

Task<void> Gateway::admin_usage(Call& call) {
  const std::string& query = call.request().query;
  ledger::UsageQuery wish;
  const std::string by = query_value(query, "by").value_or("day");
  if (by != "day" && by != "hour" && by != "deployment") {
    const api::ApiError error = invalid("by", "day, hour or deployment");
    co_await reply_error(call, error);
    co_return;
  }
  wish.by = by == "day" ? ledger::UsageBy::kDay : by == "hour" ? ledger::UsageBy::kHour : ledger::UsageBy::kDeployment;
  const auto offset = query_number(query, "utc_offset_minutes", 0);
  const auto begin = query_number(query, "begin_us", 0);
  const auto end = query_number(query, "end_us", INT64_MAX);
  constexpr std::int64_t kMaxOffset = 14 * 60;
  if (!offset.has_value() || !begin.has_value() || !end.has_value() || *offset < -kMaxOffset || *offset > kMaxOffset) {
    const api::ApiError error = invalid("", "begin_us, end_us, utc_offset_minutes: whole numbers in range");
    co_await reply_error(call, error);
    co_return;
  }
  wish.utc_offset_minutes = *offset;
  wish.begin_us = *begin;
  wish.end_us = *end;
  wish.deployment = query_value(query, "deployment");
  const OneShot<Result<std::vector<ledger::UsageRow>>> answer(services_.io);
  services_.ledger.usage(std::move(wish), [answer](Result<std::vector<ledger::UsageRow>> rows) {
    answer.set(std::move(rows));
  });
  const Result<std::vector<ledger::UsageRow>> rows = co_await answer.get();
  if (!rows.has_value()) {
    const api::ApiError error = api::from_error(rows.error());
    co_await reply_error(call, error);
    co_return;
  }
  const std::string body = to_json(*rows);
  co_await reply_json(call, 200, body);
}

Task<void> Gateway::admin_requests(Call& call) {
  const auto limit = query_number(call.request().query, "limit", 100);
  if (!limit.has_value() || *limit < 1 || *limit > kMaxRows) {
    const api::ApiError error = invalid("limit", fmt::format("1 to {}", kMaxRows));
    co_await reply_error(call, error);
    co_return;
  }
  const OneShot<Result<std::vector<ledger::RequestRow>>> answer(services_.io);
  services_.ledger.requests(*limit, [answer](Result<std::vector<ledger::RequestRow>> rows) {
    answer.set(std::move(rows));
  });
  const Result<std::vector<ledger::RequestRow>> rows = co_await answer.get();
  if (!rows.has_value()) {
    const api::ApiError error = api::from_error(rows.error());
    co_await reply_error(call, error);
    co_return;
  }
  const std::string body = to_json(*rows);
  co_await reply_json(call, 200, body);
}

}  // namespace dormouse::gateway

#include "gateway/admin_wire.h"

#include <algorithm>
#include <boost/json.hpp>
#include <cmath>
#include <limits>
#include <utility>

#include "api/fields.h"
#include "api/strict_json.h"
#include "catalog/config_file.h"
#include "gateway/admin/json_reader.h"
#include "gateway/rules_json.h"

namespace dormouse::gateway {
namespace {

namespace json = boost::json;

double seconds(Nanoseconds d) { return static_cast<double>(d.count()) / 1e9; }

// Members where something is known.
void write_speed(json::object& out, const SpeedView& speed) {
  if (speed.measured.has_value()) out["stream_tokens_per_second"] = *speed.measured;
  json::object judged;
  if (speed.expected.has_value()) judged["expected"] = *speed.expected;
  judged["learned"] = speed.is_learned;
  judged["degraded"] = speed.is_degraded;
  judged["since_s"] = speed.since_s;
  judged["next_type"] = speed.next_type;
  judged["next_price"] = speed.next_price;
  if (speed.expected.has_value()) out["speed"] = std::move(judged);
}

json::object object_of(const Vitals& v) {
  json::object out{{"cores", v.machine_cores}};
  if (v.machine_cpu.has_value()) out["cpu"] = *v.machine_cpu;
  if (v.memory_available_bytes.has_value()) out["memory_available_bytes"] = *v.memory_available_bytes;
  if (v.cgroup_memory_bytes.has_value()) out["cgroup_memory_bytes"] = *v.cgroup_memory_bytes;
  if (v.cpu_pressure.has_value()) out["cpu_pressure"] = *v.cpu_pressure;
  if (v.memory_pressure.has_value()) out["memory_pressure"] = *v.memory_pressure;
  json::array gpus;
  for (const GpuVitals& g : v.gpus) {
    gpus.push_back(json::object{{"index", g.index},
                                {"name", g.name},
                                {"busy", g.busy},
                                {"memory_used_bytes", g.memory_used_bytes},
                                {"memory_total_bytes", g.memory_total_bytes}});
  }
  out["gpus"] = std::move(gpus);
  return out;
}

json::value maybe_ms(const std::optional<std::int64_t>& us) {
  return us.has_value() ? json::value(static_cast<double>(*us) / 1e3) : json::value(nullptr);
}

json::value maybe(const std::optional<std::int64_t>& number) {
  return number.has_value() ? json::value(*number) : json::value(nullptr);
}

void write_figures(json::object& out, const DeploymentFigures& f) {
  out["today"] = json::object{{"requests", f.requests},
                              {"output_tokens", f.output_tokens},
                              {"ttft_p50_ms", maybe_ms(f.ttft_p50_us)},
                              {"ttft_p95_ms", maybe_ms(f.ttft_p95_us)}};
  out["cost"] = nullptr;
  if (f.currency.empty()) return;
  out["cost"] = json::object{{"currency", f.currency},
                             {"today_micros", f.today_micros},
                             {"month_micros", f.month_micros},
                             {"forecast_micros", maybe(f.forecast_micros)},
                             {"margin_micros", maybe(f.margin_micros)},
                             {"saved_micros", maybe(f.saved_micros)}};
}

void write_reason(json::object& out, const DeploymentView& d) {
  const StateReason reason = reason_of(d);
  out["reason"] = nullptr;
  if (!reason.code.empty()) out["reason"] = json::object{{"code", reason.code}, {"detail", reason.detail}};
}

json::object object_of(const DeploymentView& d) {
  json::array instances;
  for (const InstanceView& i : d.instances) {
    instances.push_back(json::object{{"instance_id", i.instance_id},
                                     {"state", i.state},
                                     {"pid", i.pid},
                                     {"isa", i.isa},
                                     {"alive_s", i.alive_s},
                                     {"context_length", i.context_length},
                                     {"generated_tokens", i.generated_tokens},
                                     {"running", i.running},
                                     {"because", i.because},
                                     {"note", i.note},
                                     {"reachable", i.reachable},
                                     {"wake_provider_s", i.wake_provider_s},
                                     {"wake_boot_s", i.wake_boot_s},
                                     {"wake_load_s", i.wake_load_s}});
    json::object& written = instances.back().get_object();
    if (i.cpu_cores.has_value()) written["cpu_cores"] = *i.cpu_cores;
    if (i.resident_bytes.has_value()) written["resident_bytes"] = *i.resident_bytes;
  }
  json::object out{{"name", d.name},           {"image", d.image},
                   {"state", d.state},         {"awake_because", d.awake_because},
                   {"in_state_s", d.in_state_s}, {"load_fraction", d.load_fraction},
                   {"running", d.running},     {"waiting", d.waiting},
                   {"load", d.load},
                   {"idle_timeout_s", d.idle_timeout_s}, {"failure", d.failure},
                   {"wakes", d.wakes},         {"instances", std::move(instances)}};
  out["since_ms"] = d.since_ms;
  out["tokens_per_second"] = nullptr;
  if (d.tokens_per_second.has_value()) out["tokens_per_second"] = *d.tokens_per_second;
  out["last_minute"] = json::object{{"requests", d.last_minute.requests}, {"tokens_per_second", nullptr}};
  if (d.last_minute.tokens_per_s.has_value()) {
    out["last_minute"].get_object()["tokens_per_second"] = *d.last_minute.tokens_per_s;
  }
  write_reason(out, d);
  if (d.figures.has_value()) write_figures(out, *d.figures);
  write_speed(out, d.speed);
  out["model_path"] = d.model_path;
  out["source"] = d.source;
  out["defined_by"] = d.defined_by;
  write_rules(out, d.rules, RuleMembers::kAll);
  if (d.idle_left_s.has_value()) out["idle_left_s"] = *d.idle_left_s;
  if (d.backoff_left_s.has_value()) out["backoff_left_s"] = *d.backoff_left_s;
  return out;
}

std::string_view source_name(ledger::Source source) {
  switch (source) {
    case ledger::Source::kFile: return "file";
    case ledger::Source::kApi: return "api";
    case ledger::Source::kDemo: return "demo";
  }
  return "";
}

using Reader = JsonReader;

SpeedView read_speed(const json::object& object) {
  SpeedView out;
  out.measured = Reader(object).maybe_number("stream_tokens_per_second");
  const json::value* const judged = api::find_member(object, "speed");
  if (judged == nullptr || !judged->is_object()) return out;
  const Reader r(judged->get_object());
  out.expected = r.maybe_number("expected");
  out.is_learned = r.truth("learned");
  out.is_degraded = r.truth("degraded");
  out.since_s = r.number("since_s");
  out.next_type = r.text("next_type");
  out.next_price = r.text("next_price");
  return out;
}

Vitals read_machine(const json::object& status) {
  Vitals out;
  const json::value* const machine = api::find_member(status, "machine");
  if (machine == nullptr || !machine->is_object()) return out;
  const Reader r(machine->get_object());
  const auto bytes = [&r](std::string_view key) -> std::optional<std::int64_t> {
    return r.maybe_number(key).has_value() ? std::optional<std::int64_t>(r.whole(key)) : std::nullopt;
  };
  out.machine_cores = static_cast<int>(r.whole("cores"));
  out.machine_cpu = r.maybe_number("cpu");
  out.memory_available_bytes = bytes("memory_available_bytes");
  out.cgroup_memory_bytes = bytes("cgroup_memory_bytes");
  out.cpu_pressure = r.maybe_number("cpu_pressure");
  out.memory_pressure = r.maybe_number("memory_pressure");
  for (const json::object* item : r.objects("gpus")) {
    const Reader g(*item);
    out.gpus.push_back({.index = static_cast<int>(g.whole("index")),
                        .name = g.text("name"),
                        .busy = g.number("busy"),
                        .memory_used_bytes = g.whole("memory_used_bytes"),
                        .memory_total_bytes = g.whole("memory_total_bytes")});
  }
  return out;
}

std::optional<DeploymentFigures> read_figures(const Reader& deployment) {
  const json::object* const today = deployment.object("today");
  if (today == nullptr) return std::nullopt;
  const auto number = [](const Reader& r, std::string_view key) -> std::optional<std::int64_t> {
    return r.maybe_number(key).has_value() ? std::optional<std::int64_t>(r.whole(key)) : std::nullopt;
  };
  const auto microseconds = [](const Reader& r, std::string_view key) -> std::optional<std::int64_t> {
    const std::optional<double> ms = r.maybe_number(key);
    return ms.has_value() ? std::optional<std::int64_t>(std::llround(*ms * 1e3)) : std::nullopt;
  };
  const Reader t(*today);
  DeploymentFigures out;
  out.requests = t.whole("requests");
  out.output_tokens = t.whole("output_tokens");
  out.ttft_p50_us = microseconds(t, "ttft_p50_ms");
  out.ttft_p95_us = microseconds(t, "ttft_p95_ms");
  const json::object* const cost = deployment.object("cost");
  if (cost == nullptr) return out;
  const Reader c(*cost);
  out.currency = c.text("currency");
  out.today_micros = c.whole("today_micros");
  out.month_micros = c.whole("month_micros");
  out.forecast_micros = number(c, "forecast_micros");
  out.margin_micros = number(c, "margin_micros");
  out.saved_micros = number(c, "saved_micros");
  return out;
}

DeploymentView read_deployment(const json::object& object) {
  const Reader r(object);
  DeploymentView d;
  d.name = r.text("name");
  d.image = r.text("image");
  d.state = r.text("state");
  d.awake_because = r.text("awake_because");
  d.in_state_s = r.number("in_state_s");
  d.load_fraction = r.number("load_fraction");
  d.running = r.whole("running");
  d.waiting = r.whole("waiting");
  d.load = r.number("load");
  d.idle_timeout_s = r.number("idle_timeout_s");
  d.idle_left_s = r.maybe_number("idle_left_s");
  d.backoff_left_s = r.maybe_number("backoff_left_s");
  d.failure = r.text("failure");
  d.wakes = r.whole("wakes");
  d.speed = read_speed(object);
  d.since_ms = r.whole("since_ms");
  d.tokens_per_second = r.maybe_number("tokens_per_second");
  if (const json::object* const minute = r.object("last_minute"); minute != nullptr) {
    d.last_minute = {Reader(*minute).whole("requests"), Reader(*minute).maybe_number("tokens_per_second")};
  }
  d.figures = read_figures(r);
  d.model_path = r.text("model_path");
  d.source = r.text("source");
  d.defined_by = r.text("defined_by");
  for (const catalog::Field& field : catalog::rule_fields()) {
    const json::value* const member = api::find_member(object, field.key);
    if (member == nullptr) continue;
    const Result<catalog::FieldValue> value = read_field(field.key, *member);
    if (value.has_value()) static_cast<void>(catalog::set_rule(d.rules, field.key, *value));
  }
  for (const json::object* item : r.objects("instances")) {
    const Reader i(*item);
    d.instances.push_back({.instance_id = i.text("instance_id"),
                           .state = i.text("state"),
                           .pid = i.whole("pid"),
                           .isa = i.text("isa"),
                           .alive_s = i.number("alive_s"),
                           .context_length = i.whole("context_length"),
                           .generated_tokens = i.whole("generated_tokens"),
                           .running = i.whole("running"),
                           .because = i.text("because"),
                           .note = i.text("note"),
                           .reachable = i.truth("reachable"),
                           .wake_provider_s = i.number("wake_provider_s"),
                           .wake_boot_s = i.number("wake_boot_s"),
                           .wake_load_s = i.number("wake_load_s"),
                           .cpu_cores = i.maybe_number("cpu_cores"),
                           .resident_bytes = std::nullopt});
    if (api::find_member(*item, "resident_bytes") != nullptr) {
      d.instances.back().resident_bytes = i.whole("resident_bytes");
    }
  }
  return d;
}

}  // namespace

bool is_failed(const DeploymentView& deployment) {
  return deployment.state == "failed" || deployment.state == "backoff";
}

StateReason reason_of(const DeploymentView& deployment) {
  const std::string& failure = deployment.failure;
  if (failure.starts_with("waits for memory")) return {"waits_for_memory", failure};
  if (!is_failed(deployment)) return {deployment.awake_because, {}};
  // The fleet's failures begin with a code; a driver's own words do not.
  const std::size_t colon = failure.find(": ");
  const std::string code = failure.substr(0, std::min(colon, failure.size()));
  const bool is_code = colon != std::string::npos && !code.empty() &&
                       code.find_first_not_of("abcdefghijklmnopqrstuvwxyz_") == std::string::npos;
  if (is_code) return {code, failure.substr(colon + 2)};
  return {"start_failed", failure};
}

DeploymentView view_of(const Deployment& deployment, const fleet::DeploymentStatus* status) {
  DeploymentView d;
  d.name = deployment.name;
  d.image = deployment.image;
  d.model_path = deployment.model_path;
  d.source = source_name(deployment.source);
  d.defined_by = deployment.defined_by;
  d.rules = deployment.rules;
  d.idle_timeout_s = seconds(idle_after(deployment.rules));
  if (status == nullptr) return d;
  d.state = status->state;
  d.awake_because = status->awake_because;
  d.in_state_s = seconds(status->in_state);
  d.load_fraction = status->load_fraction;
  d.running = status->running;
  d.waiting = status->waiting;
  d.load = status->load;
  if (status->idle_left.has_value()) d.idle_left_s = seconds(*status->idle_left);
  if (status->backoff_left.has_value()) d.backoff_left_s = seconds(*status->backoff_left);
  d.failure = status->failure;
  d.wakes = static_cast<std::int64_t>(status->wakes);
  for (const fleet::InstanceStatus& i : status->instances) {
    d.instances.push_back({.instance_id = i.instance_id,
                           .state = i.state,
                           .pid = i.pid,
                           .isa = i.isa,
                           .alive_s = seconds(i.alive),
                           .context_length = i.context_length,
                           .generated_tokens = static_cast<std::int64_t>(i.generated_tokens),
                           .running = i.running,
                           .because = i.because,
                           .note = i.note,
                           .reachable = i.reachable,
                           .wake_provider_s = seconds(i.wake.provider),
                           .wake_boot_s = seconds(i.wake.boot),
                           .wake_load_s = seconds(i.wake.load),
                           .cpu_cores = std::nullopt,
                           .resident_bytes = std::nullopt});
  }
  return d;
}

std::string to_json(const StatusView& status) {
  json::array deployments;
  for (const DeploymentView& d : status.deployments) deployments.push_back(object_of(d));
  json::array listen;
  for (const std::string& address : status.listen) listen.push_back(json::value(address));
  json::array urls;
  for (const std::string& url : status.urls) urls.push_back(json::value(url));
  json::array notices;
  for (const std::string& notice : status.notices) notices.push_back(json::value(notice));
  json::array pulls;
  for (const PullView& pull : status.pulls) pulls.push_back(object_of(pull));
  return json::serialize(json::object{{"version", status.version},
                                      {"pid", status.pid},
                                      {"uptime_s", status.uptime_s},
                                      {"now_ms", status.now_ms},
                                      {"time_zone", status.time_zone},
                                      {"draining", status.draining},
                                      {"resident_bytes", status.resident_bytes},
                                      {"listen", std::move(listen)},
                                      {"urls", std::move(urls)},
                                      {"notices", std::move(notices)},
                                      {"machine", object_of(status.machine)},
                                      {"deployments", std::move(deployments)},
                                      {"pulls", std::move(pulls)}});
}

std::string to_json(const DeploymentView& deployment) { return json::serialize(object_of(deployment)); }

std::string to_json(const NewDeployment& deployment) {
  json::object out{{"name", deployment.name}, {"image", deployment.image}};
  write_rules(out, deployment.rules, RuleMembers::kUnlikeDefault);
  return json::serialize(out);
}

std::string to_json(const DeploymentChange& change) {
  json::object out;
  if (!change.image.empty()) out["image"] = change.image;
  for (const auto& [key, value] : change.rules) out[key] = write_field(value);
  return json::serialize(out);
}

std::string to_json(const std::vector<AlertTestRow>& rows) {
  json::array out;
  for (const AlertTestRow& r : rows) {
    out.push_back(json::object{{"webhook", r.webhook}, {"delivered", r.is_delivered}, {"said", r.said}});
  }
  return json::serialize(json::object{{"rows", std::move(out)}});
}

Result<std::vector<AlertTestRow>> parse_alert_test(std::string_view text) {
  TRY(const json::value root, parse_json_object(text));
  std::vector<AlertTestRow> out;
  for (const json::object* item : Reader(root.get_object()).objects("rows")) {
    const Reader r(*item);
    out.push_back({.webhook = r.text("webhook"), .is_delivered = r.truth("delivered"), .said = r.text("said")});
  }
  return out;
}

Result<StatusView> parse_status(std::string_view text) {
  TRY(const json::value root, parse_json_object(text));
  const Reader r(root.get_object());
  StatusView out;
  out.version = r.text("version");
  out.pid = r.whole("pid");
  out.uptime_s = r.number("uptime_s");
  out.now_ms = r.whole("now_ms");
  out.time_zone = r.text("time_zone");
  out.draining = r.truth("draining");
  out.resident_bytes = r.whole("resident_bytes");
  out.listen = r.texts("listen");
  out.urls = r.texts("urls");
  out.notices = r.texts("notices");
  out.machine = read_machine(root.get_object());
  for (const json::object* item : r.objects("deployments")) out.deployments.push_back(read_deployment(*item));
  return out;
}

Result<DeploymentView> parse_deployment(std::string_view text) {
  TRY(const json::value root, parse_json_object(text));
  return read_deployment(root.get_object());
}

Result<DeploymentChange> parse_deployment_change(std::string_view text) {
  const api::ApiResult<json::value> root = api::parse_strict_json(text);
  if (!root.has_value() || !root->is_object()) return make_error(Code::kInvalidArgument, "not a JSON object");
  DeploymentChange out;
  for (const auto& member : root->get_object()) {
    const std::string_view key(member.key().data(), member.key().size());
    TRY(catalog::FieldValue value, read_field(key, member.value()));
    if (key == "image") {
      if (!std::holds_alternative<std::string>(value)) return make_error(Code::kInvalidArgument, "image: want a text");
      out.image = std::get<std::string>(value);
      continue;
    }
    catalog::DeploymentRules scratch;
    TRY_STATUS(catalog::set_rule(scratch, key, value));
    out.rules.emplace_back(key, std::move(value));
  }
  return out;
}

Result<NewDeployment> parse_new_deployment(std::string_view text) {
  const api::ApiResult<json::value> root = api::parse_strict_json(text);
  if (!root.has_value() || !root->is_object()) return make_error(Code::kInvalidArgument, "not a JSON object");
  const Reader r(root->get_object());
  NewDeployment out{.name = r.text("name"), .image = r.text("image"), .rules = {}};
  const json::value* const name = api::find_member(root->get_object(), "name");
  if (name != nullptr && !name->is_string()) return make_error(Code::kInvalidArgument, "name: want a text");
  if (out.image.empty()) return make_error(Code::kInvalidArgument, "image: a name of the gallery or a file");
  if (!out.name.empty() && !catalog::is_deployment_name(out.name)) {
    return make_error(Code::kInvalidArgument, "name: letters, digits and . _ - only, at most 63");
  }
  for (const auto& member : root->get_object()) {
    const std::string_view key(member.key().data(), member.key().size());
    if (key == "name" || key == "image") continue;
    TRY(const catalog::FieldValue value, read_field(key, member.value()));
    TRY_STATUS(catalog::set_rule(out.rules, key, value));
  }
  return out;
}

}  // namespace dormouse::gateway

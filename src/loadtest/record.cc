#include "loadtest/record.h"

#include <fmt/format.h>

#include <array>
#include <boost/json/value.hpp>
#include <utility>

#include "api/fields.h"
#include "api/json_write.h"
#include "api/strict_json.h"

namespace dormouse::loadtest {
namespace {

namespace json = boost::json;

constexpr std::size_t kMostSteps = 1'000;
constexpr std::size_t kMostText = 1'024;
constexpr api::DoubleRange kAnyNumber{.min = 0, .max = 1e15};
constexpr api::IntRange kAnyCount{.min = 0, .max = 1'000'000'000'000};
constexpr std::array<Step::Kind, 5> kKinds{Step::Kind::kClosed, Step::Kind::kPoisson, Step::Kind::kConstant,
                                           Step::Kind::kTrace, Step::Kind::kCold};

// Members of an object, in order.
class Writer {
 public:
  explicit Writer(std::string& out) : out_(out) { out_ += '{'; }
  void close() { out_ += '}'; }
  // The caller writes the value.
  void key(std::string_view name) {
    if (!first_) out_ += ',';
    first_ = false;
    api::append_json_string(out_, name);
    out_ += ':';
  }
  void text(std::string_view name, std::string_view value) {
    key(name);
    api::append_json_string(out_, value);
  }
  void count(std::string_view name, std::int64_t value) {
    key(name);
    api::append_json_int(out_, value);
  }
  void number(std::string_view name, double value) {
    key(name);
    api::append_json_double(out_, value);
  }
  void number(std::string_view name, const std::optional<double>& value) {
    if (value.has_value()) return number(name, *value);
    null(name);
  }
  void null(std::string_view name) {
    key(name);
    out_ += "null";
  }

 private:
  std::string& out_;
  bool first_ = true;
};

void write_percentiles(Writer& parent, std::string& out, std::string_view name,
                       const std::optional<Percentiles>& values) {
  if (!values.has_value()) return parent.null(name);
  parent.key(name);
  Writer object(out);
  object.number("p50", values->p50);
  object.number("p95", values->p95);
  object.number("p99", values->p99);
  object.number("mean", values->mean);
  object.close();
}

void write_load(Writer& object, const Step& step) {
  const bool is_closed = step.kind == Step::Kind::kClosed;
  const bool is_rate = step.kind == Step::Kind::kPoisson || step.kind == Step::Kind::kConstant;
  object.text("kind", to_string(step.kind));
  if (is_closed) {
    object.count("concurrency", step.concurrency);
  } else {
    object.null("concurrency");
  }
  object.number("rate", is_rate ? std::optional(step.rate) : std::nullopt);
  object.number("speed", step.kind == Step::Kind::kTrace ? std::optional(step.speed) : std::nullopt);
}

void write_step(std::string& out, const StepResult& step) {
  Writer object(out);
  write_load(object, step.step);
  object.count("requests", step.requests);
  object.count("failed", step.failed);
  object.number("duration_s", step.duration_s);
  object.number("requests_per_s", step.requests_per_s);
  object.number("output_tokens_per_s", step.output_tokens_per_s);
  object.number("input_tokens_per_s", step.input_tokens_per_s);
  object.text("tokens_counted_by", step.is_usage ? "usage" : "pieces");
  write_percentiles(object, out, "ttft_s", step.ttft_s);
  write_percentiles(object, out, "itl_s", step.itl_s);
  write_percentiles(object, out, "e2e_s", step.e2e_s);
  object.number("goodput", step.goodput);
  object.number("goodput_per_s", step.goodput_per_s);
  object.key("errors");
  Writer errors(out);
  for (const auto& [kind, entry] : step.errors) errors.count(to_string(kind), entry.count);
  errors.close();
  if (step.cost_per_million_tokens.has_value()) {
    object.key("cost_per_million_tokens");
    Writer cost(out);
    cost.count("micros", step.cost_per_million_tokens->micros);
    cost.text("currency", step.cost_per_million_tokens->currency);
    cost.close();
  } else {
    object.null("cost_per_million_tokens");
  }
  object.close();
}

// As api/fields.h words its own: the member first.
void refuse(const api::Fields& fields, std::string_view key, std::string_view what) {
  fields.refuse(key, fmt::format("{} {}", fields.param(key), what));
}

double need(const api::Fields& fields, std::string_view key) {
  const std::optional<double> value = fields.number(key, kAnyNumber);
  if (!value.has_value()) refuse(fields, key, "is missing");
  return value.value_or(0);
}

std::optional<Percentiles> read_percentiles(const api::Fields& parent, std::string_view name, api::Problem& problem) {
  const json::object* const object = parent.object(name);
  if (object == nullptr) return std::nullopt;
  const api::Fields fields(*object, parent.param(name), problem);
  return Percentiles{need(fields, "p50"), need(fields, "p95"), need(fields, "p99"), need(fields, "mean")};
}

void read_load(const api::Fields& fields, Step& out) {
  const std::string kind = fields.string("kind", kMostText).value_or("");
  bool is_known = false;
  for (const Step::Kind one : kKinds) {
    if (to_string(one) != kind) continue;
    out.kind = one;
    is_known = true;
  }
  if (!is_known) refuse(fields, "kind", "must be closed, poisson, constant, trace or cold");
  out.concurrency = fields.integer("concurrency", {.min = 1, .max = kMostRequests}).value_or(1);
  out.rate = fields.number("rate", kAnyNumber).value_or(0);
  out.speed = fields.number("speed", kAnyNumber).value_or(1);
}

void read_errors(const api::Fields& parent, api::Problem& problem, StepResult& out) {
  const json::object* const object = parent.object("errors");
  if (object == nullptr) return;
  const api::Fields fields(*object, parent.param("errors"), problem);
  std::size_t known = 0;
  for (int i = 0; i < kFailureKinds; ++i) {
    const auto kind = static_cast<Failure>(i);
    const std::optional<std::int64_t> count = fields.integer(to_string(kind), kAnyCount);
    if (!count.has_value()) continue;
    ++known;
    out.errors[kind].count = *count;
  }
  if (known != object->size()) refuse(parent, "errors", "has a kind of error that is not known");
}

std::optional<Money> read_cost(const api::Fields& parent, api::Problem& problem) {
  const json::object* const object = parent.object("cost_per_million_tokens");
  if (object == nullptr) return std::nullopt;
  const api::Fields fields(*object, parent.param("cost_per_million_tokens"), problem);
  const std::optional<std::int64_t> micros = fields.integer("micros", {.min = 0, .max = INT64_MAX});
  Money out{micros.value_or(0), fields.string("currency", 3).value_or("")};
  if (!micros.has_value() || !is_currency(out.currency))
    refuse(parent, "cost_per_million_tokens", "must have micros and a currency");
  return out;
}

StepResult read_step(const api::Fields& fields, api::Problem& problem) {
  StepResult out;
  read_load(fields, out.step);
  const std::optional<std::int64_t> requests = fields.integer("requests", kAnyCount);
  const std::optional<std::int64_t> failed = fields.integer("failed", kAnyCount);
  out.requests = requests.value_or(0);
  out.failed = failed.value_or(0);
  if (!requests.has_value()) refuse(fields, "requests", "is missing");
  if (!failed.has_value() || out.failed > out.requests) refuse(fields, "failed", "must be a count, at most requests");
  out.duration_s = need(fields, "duration_s");
  out.requests_per_s = need(fields, "requests_per_s");
  out.output_tokens_per_s = need(fields, "output_tokens_per_s");
  out.input_tokens_per_s = need(fields, "input_tokens_per_s");
  out.is_usage = fields.string("tokens_counted_by", kMostText) == "usage";
  out.ttft_s = read_percentiles(fields, "ttft_s", problem);
  out.itl_s = read_percentiles(fields, "itl_s", problem);
  out.e2e_s = read_percentiles(fields, "e2e_s", problem);
  out.goodput = fields.number("goodput", {.min = 0, .max = 1});
  out.goodput_per_s = fields.number("goodput_per_s", kAnyNumber).value_or(0);
  read_errors(fields, problem, out);
  out.cost_per_million_tokens = read_cost(fields, problem);
  return out;
}

Slo read_slo(const api::Fields& parent, api::Problem& problem) {
  const json::object* const object = parent.object("slo");
  if (object == nullptr) return {};
  const api::Fields fields(*object, "slo", problem);
  return {fields.number("ttft_s", kAnyNumber), fields.number("itl_s", kAnyNumber), fields.number("e2e_s", kAnyNumber)};
}

}  // namespace

std::string to_json(const BenchRecord& record) {
  std::string out;
  Writer object(out);
  object.count("version", 1);
  object.text("at", record.at);
  object.text("url_host", record.url_host);
  object.text("model", record.model);
  object.text("instance_type", record.instance_type);
  object.key("slo");
  Writer slo(out);
  slo.number("ttft_s", record.slo.ttft_s);
  slo.number("itl_s", record.slo.itl_s);
  slo.number("e2e_s", record.slo.e2e_s);
  slo.close();
  object.key("steps");
  out += '[';
  for (std::size_t i = 0; i < record.steps.size(); ++i) {
    if (i > 0) out += ',';
    write_step(out, record.steps[i]);
  }
  out += ']';
  object.close();
  return out;
}

Result<BenchRecord> parse_bench(std::string_view text) {
  const api::ApiResult<json::value> parsed = api::parse_strict_json(text);
  const json::object* const root = parsed.has_value() ? parsed->if_object() : nullptr;
  if (root == nullptr) return make_error(Code::kDataLoss, "bench record: not a JSON object");
  api::Problem problem;
  const api::Fields fields(*root, "", problem);
  if (fields.integer("version", {.min = 1, .max = 1}) != 1) refuse(fields, "version", "must be 1");
  BenchRecord out;
  out.at = fields.string("at", kMostText).value_or("");
  out.url_host = fields.string("url_host", kMostText).value_or("");
  out.model = fields.string("model", kMostText).value_or("");
  out.instance_type = fields.string("instance_type", kMostText).value_or("");
  out.slo = read_slo(fields, problem);
  const json::array* const steps = fields.array("steps", kMostSteps);
  if (steps == nullptr) refuse(fields, "steps", "is missing");
  for (std::size_t i = 0; steps != nullptr && i < steps->size(); ++i) {
    const std::string name = fmt::format("steps[{}]", i);
    const json::object* const step = (*steps)[i].if_object();
    if (step == nullptr) {
      refuse(fields, name, "must be an object");
      break;
    }
    out.steps.push_back(read_step(api::Fields(*step, name, problem), problem));
  }
  if (!problem.found()) return out;
  return make_error(Code::kDataLoss, fmt::format("bench record: {}", problem.error().message));
}

}  // namespace dormouse::loadtest

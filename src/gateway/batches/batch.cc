#include "gateway/batches/batch.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <charconv>
#include <set>
#include <utility>

#include "api/fields.h"
#include "api/json_write.h"
#include "api/strict_json.h"

namespace dormouse::gateway {
namespace {

namespace json = boost::json;

constexpr std::array<std::pair<BatchStatus, std::string_view>, 7> kStatuses = {{
    {BatchStatus::kFailed, "failed"},
    {BatchStatus::kInProgress, "in_progress"},
    {BatchStatus::kFinalizing, "finalizing"},
    {BatchStatus::kCompleted, "completed"},
    {BatchStatus::kExpired, "expired"},
    {BatchStatus::kCancelling, "cancelling"},
    {BatchStatus::kCancelled, "cancelled"},
}};
constexpr std::string_view kResultId = "batch_req_";
constexpr std::array<std::string_view, 4> kEndpoints = {"/v1/chat/completions", "/v1/completions", "/v1/embeddings",
                                                        "/v1/responses"};

std::string_view name_of(BatchStatus status) {
  for (const auto& [known, name] : kStatuses) {
    if (known == status) return name;
  }
  return {};
}

json::value nullable(std::int64_t value) {
  return value == 0 ? json::value(nullptr) : json::value(value);
}
json::value nullable(const std::string& value) {
  return value.empty() ? json::value(nullptr) : json::value(value);
}

json::value problems_json(const Batch& batch) {
  if (batch.problems.empty()) return nullptr;
  json::array data;
  for (const BatchProblem& problem : batch.problems) {
    data.push_back({{"code", problem.code}, {"message", problem.message}, {"param", nullptr}, {"line", problem.line}});
  }
  return {{"object", "list"}, {"data", std::move(data)}};
}

// Members of the record that are no more than text or a number, once for both ways.
constexpr std::array<std::pair<std::string_view, std::string Batch::*>, 10> kTexts = {{
    {"id", &Batch::id},
    {"owner", &Batch::owner},
    {"endpoint", &Batch::endpoint},
    {"input_file_id", &Batch::input_file_id},
    {"output_file_id", &Batch::output_file_id},
    {"error_file_id", &Batch::error_file_id},
    {"window", &Batch::window},
    {"metadata", &Batch::metadata},
    {"model", &Batch::model},
    {"", nullptr},
}};
constexpr std::array<std::pair<std::string_view, std::int64_t Batch::*>, 9> kNumbers = {{
    {"total", &Batch::total},
    {"completed", &Batch::completed},
    {"failed", &Batch::failed},
    {"keep_results_s", &Batch::keep_results_s},
    {"created_s", &Batch::created_s},
    {"expires_s", &Batch::expires_s},
    {"started_s", &Batch::started_s},
    {"cancelling_s", &Batch::cancelling_s},
    {"ended_s", &Batch::ended_s},
}};

void add_problem(BatchLines& out, std::int64_t line, std::string_view code, std::string message) {
  if (out.problems.size() == kMaxBatchErrors) return;
  out.problems.push_back({.code = std::string(code), .message = std::move(message), .line = line});
}

// One line into out.lines, or a problem.
void read_line(std::string_view text, std::int64_t number, std::string_view endpoint, std::set<std::string>& ids,
               BatchLines& out) {
  const api::ApiResult<json::value> value = api::parse_strict_json(text);
  const json::object* const object = value.has_value() ? value->if_object() : nullptr;
  if (object == nullptr) return add_problem(out, number, "invalid_json_line", "This line is not a JSON object.");
  api::Problem problem;
  const api::Fields fields(*object, "", problem);
  const std::string id = fields.string("custom_id", kMaxCustomId).value_or("");
  const std::string method = fields.string("method", api::kMaxNameBytes).value_or("");
  const std::string url = fields.string("url", api::kMaxNameBytes).value_or("");
  const json::object* const body = fields.object("body");
  if (problem.found()) return add_problem(out, number, "invalid_value", problem.error().message);
  if (id.empty()) return add_problem(out, number, "missing_required_parameter", "custom_id is needed.");
  if (!ids.insert(id).second) return add_problem(out, number, "duplicate_custom_id", "This custom_id came before.");
  if (method != "POST") return add_problem(out, number, "invalid_method", "method must be POST.");
  if (url != endpoint) {
    return add_problem(out, number, "mismatched_url", fmt::format("url must be the batch's endpoint, {}.", endpoint));
  }
  if (body == nullptr) return add_problem(out, number, "missing_required_parameter", "body is needed.");
  const api::Fields inner(*body, "body", problem);
  const std::string model = inner.string("model", api::kMaxNameBytes).value_or("");
  const bool stream = inner.boolean("stream").value_or(false);
  if (problem.found()) return add_problem(out, number, "invalid_value", problem.error().message);
  if (stream) return add_problem(out, number, "invalid_value", "A batch's answers come whole: stream must be false.");
  if (out.lines.empty()) out.model = model;
  if (model != out.model) return add_problem(out, number, "mismatched_model", "All lines must have the same model.");
  out.lines.push_back({.custom_id = id, .body = json::serialize(*body)});
}

}  // namespace

bool is_over(BatchStatus status) {
  switch (status) {
    case BatchStatus::kInProgress:
    case BatchStatus::kFinalizing:
    case BatchStatus::kCancelling: return false;
    case BatchStatus::kFailed:
    case BatchStatus::kCompleted:
    case BatchStatus::kExpired:
    case BatchStatus::kCancelled: return true;
  }
  return true;
}

std::string to_record(const Batch& batch) {
  json::object out;
  for (const auto& [name, member] : kTexts) {
    if (member != nullptr) out[name] = batch.*member;
  }
  for (const auto& [name, member] : kNumbers) out[name] = batch.*member;
  out["status"] = name_of(batch.status);
  out["is_public"] = batch.is_public;
  json::array problems;
  for (const BatchProblem& problem : batch.problems) {
    problems.push_back({{"code", problem.code}, {"message", problem.message}, {"line", problem.line}});
  }
  out["problems"] = std::move(problems);
  return json::serialize(out);
}

Result<Batch> batch_from_record(std::string_view text) {
  const auto damaged = [] { return make_error(Code::kDataLoss, "batch: its record cannot be read"); };
  const api::ApiResult<json::value> value = api::parse_strict_json(text);
  if (!value.has_value() || !value->is_object()) return damaged();
  api::Problem problem;
  const api::Fields fields(value->get_object(), "", problem);
  constexpr std::size_t kMaxText = 64 * 1024;
  Batch out;
  for (const auto& [name, member] : kTexts) {
    if (member != nullptr) out.*member = fields.string(name, kMaxText).value_or("");
  }
  for (const auto& [name, member] : kNumbers)
    out.*member = fields.integer(name, {.min = 0, .max = INT64_MAX}).value_or(0);
  out.is_public = fields.boolean("is_public").value_or(false);
  const std::string status = fields.string("status", api::kMaxNameBytes).value_or("");
  const auto known =
      std::find_if(kStatuses.begin(), kStatuses.end(), [&](const auto& s) { return s.second == status; });
  const json::array* const problems = fields.array("problems", kMaxBatchErrors);
  if (problem.found() || out.id.empty() || known == kStatuses.end()) return damaged();
  out.status = known->first;
  for (std::size_t i = 0; problems != nullptr && i < problems->size(); ++i) {
    if (!(*problems)[i].is_object()) return damaged();
    const api::Fields inner((*problems)[i].get_object(), "problems", problem);
    out.problems.push_back({.code = inner.string("code", kMaxText).value_or(""),
                            .message = inner.string("message", kMaxText).value_or(""),
                            .line = inner.integer("line", {.min = 0, .max = INT64_MAX}).value_or(0)});
  }
  if (problem.found()) return damaged();
  return out;
}

std::string batch_json(const Batch& batch) {
  const auto ended_as = [&batch](BatchStatus status) { return nullable(batch.status == status ? batch.ended_s : 0); };
  const bool has_output = is_over(batch.status) && batch.status != BatchStatus::kFailed;
  json::object out{{"id", batch.id}, {"object", "batch"}, {"endpoint", batch.endpoint}};
  out["errors"] = problems_json(batch);
  out["input_file_id"] = batch.input_file_id;
  out["completion_window"] = batch.window;
  out["status"] = name_of(batch.status);
  out["output_file_id"] = has_output && batch.completed > 0 ? nullable(batch.output_file_id) : json::value(nullptr);
  out["error_file_id"] = has_output && batch.failed > 0 ? nullable(batch.error_file_id) : json::value(nullptr);
  out["created_at"] = batch.created_s;
  out["in_progress_at"] = nullable(batch.started_s);
  out["expires_at"] = batch.expires_s;
  out["finalizing_at"] = nullable(has_output ? batch.ended_s : 0);
  out["completed_at"] = ended_as(BatchStatus::kCompleted);
  out["failed_at"] = ended_as(BatchStatus::kFailed);
  out["expired_at"] = ended_as(BatchStatus::kExpired);
  out["cancelling_at"] = nullable(batch.cancelling_s);
  out["cancelled_at"] = ended_as(BatchStatus::kCancelled);
  out["request_counts"] = {{"total", batch.total}, {"completed", batch.completed}, {"failed", batch.failed}};
  const api::ApiResult<json::value> metadata = api::parse_strict_json(batch.metadata);
  out["metadata"] = metadata.has_value() ? *metadata : json::value(json::object());
  return json::serialize(out);
}

api::ApiResult<std::chrono::seconds> parse_window(std::string_view text) {
  constexpr std::array<std::pair<char, std::int64_t>, 4> kUnits = {{{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86'400}}};
  std::int64_t number = 0;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), number);
  const std::string_view unit = ec == std::errc{} ? text.substr(static_cast<std::size_t>(end - text.data())) : "";
  for (const auto& [letter, seconds] : kUnits) {
    if (unit.size() != 1 || unit[0] != letter || number <= 0 || number > kLongestWindow.count()) continue;
    const std::chrono::seconds out{number * seconds};
    if (out >= kShortestWindow && out <= kLongestWindow) return out;
  }
  return tl::unexpected(api::ApiError{api::ErrorCode::kInvalidValue,
                                      "completion_window is a time from 60s to 7d, such as 24h or 30m.",
                                      "completion_window"});
}

bool is_batch_endpoint(std::string_view path) {
  return std::find(kEndpoints.begin(), kEndpoints.end(), path) != kEndpoints.end();
}

BatchLines parse_batch_lines(std::string_view text, std::string_view endpoint) {
  BatchLines out;
  std::set<std::string> ids;
  std::int64_t number = 0;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(text.size(), end + 1));
    number += 1;
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.find_first_not_of(" \t") == std::string_view::npos) continue;
    if (out.lines.size() == kMaxBatchLines) {
      add_problem(out, number, "too_many_requests", fmt::format("A batch has at most {} requests.", kMaxBatchLines));
      break;
    }
    read_line(line, number, endpoint, ids, out);
    if (out.problems.size() == kMaxBatchErrors) break;
  }
  if (out.lines.empty() && out.problems.empty()) add_problem(out, 0, "empty_file", "The file holds no request.");
  return out;
}

std::string result_line(const BatchResult& result) {
  std::string out = R"({"id":)";
  api::append_json_string(out, std::string(kResultId) + result.request_id);
  out += R"(,"custom_id":)";
  api::append_json_string(out, result.custom_id);
  if (result.response_body.empty()) {
    out += R"(,"response":null,"error":{"code":)";
    api::append_json_string(out, result.code);
    out += R"(,"message":)";
    api::append_json_string(out, result.message);
    return out + "}}\n";
  }
  out += fmt::format(R"(,"response":{{"status_code":{},"request_id":)", result.status);
  api::append_json_string(out, result.request_id);
  return out + R"(,"body":)" + result.response_body + "},\"error\":null}\n";
}

std::optional<ResultNames> names_of(std::string_view line) {
  const api::ApiResult<json::value> value = api::parse_strict_json(line);
  if (!value.has_value() || !value->is_object()) return std::nullopt;
  api::Problem problem;
  const api::Fields fields(value->get_object(), "", problem);
  const std::optional<std::string> custom_id = fields.string("custom_id", kMaxCustomId);
  const std::string id = fields.string("id", api::kMaxNameBytes).value_or("");
  if (problem.found() || !custom_id.has_value() || !id.starts_with(kResultId)) return std::nullopt;
  return ResultNames{*custom_id, id.substr(kResultId.size())};
}

}  // namespace dormouse::gateway

#include "cli/kept_speeds.h"

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <vector>

#include "loadtest/record.h"

namespace dormouse::cli {
namespace {

// "Qwen3-4B:q4_k_m" and "qwen3-4b-q4_k_m" are one name.
std::string letters(const std::string& name) {
  std::string out;
  for (const char c : name) {
    if (std::isalnum(static_cast<unsigned char>(c)) != 0) {
      out += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    }
  }
  return out;
}

// Names begin with the time: the last is the newest.
std::vector<std::string> records_of(const std::string& data_dir, const std::string& type) {
  std::vector<std::string> out;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(data_dir + "/bench", ignored)) {
    if (entry.path().filename().string().ends_with("-" + type + ".json")) out.push_back(entry.path().string());
  }
  std::sort(out.rbegin(), out.rend());
  return out;
}

std::optional<KeptSpeeds> speeds_in(const loadtest::BenchRecord& record) {
  std::vector<planner::BatchPoint> points;
  for (const loadtest::StepResult& step : record.steps) {
    const bool is_sound =
        step.step.kind == loadtest::Step::Kind::kClosed && step.failed == 0 && step.output_tokens_per_s > 0;
    if (is_sound) points.push_back({static_cast<double>(step.step.concurrency), step.output_tokens_per_s});
  }
  if (points.empty()) return std::nullopt;
  KeptSpeeds out;
  out.at = record.at;
  out.model = record.model;
  out.speeds.basis = planner::SpeedBasis::kMeasured;
  if (const Result<planner::LineFit> fit = planner::fit_step_line(points); fit.has_value()) {
    out.speeds.line = fit->line;
    out.speeds.is_of_batch = true;
    return out;
  }
  const auto alone =
      std::find_if(points.begin(), points.end(), [](const auto& point) { return point.concurrency == 1; });
  if (alone == points.end()) return std::nullopt;
  out.speeds.line.a_s = 1 / alone->tokens_per_s;
  return out;
}

}  // namespace

std::optional<KeptSpeeds> kept_speeds(const std::string& data_dir, const std::string& type, const std::string& model) {
  for (const std::string& path : records_of(data_dir, type)) {
    std::ifstream file(path, std::ios::binary);
    std::stringstream text;
    text << file.rdbuf();
    const Result<loadtest::BenchRecord> record = loadtest::parse_bench(text.str());
    if (!record.has_value() || record->instance_type != type) continue;
    if (letters(record->model).find(letters(model)) == std::string::npos) continue;
    if (std::optional<KeptSpeeds> speeds = speeds_in(*record); speeds.has_value()) return speeds;
  }
  return std::nullopt;
}

}  // namespace dormouse::cli

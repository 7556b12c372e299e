#include "cli/pull_text.h"

#include <fmt/format.h>

#include <boost/json.hpp>
#include <optional>

#include "cli/image_text.h"

namespace dormouse::cli {
namespace {

namespace json = boost::json;
using Stage = catalog::PullProgress::Stage;

std::string_view stage_words(Stage stage, bool zh) {
  switch (stage) {
    case Stage::kAsking: return zh ? "正在询问来源" : "asking where it is";
    case Stage::kLoading: return zh ? "下载" : "loading";
    case Stage::kChecking: return zh ? "校验 sha256" : "checking its sha256";
    case Stage::kCopying: return zh ? "复制" : "copying";
  }
  return "";
}

std::string_view how_name(catalog::Pulled::How how) {
  switch (how) {
    case catalog::Pulled::How::kWasThere: return "was_there";
    case catalog::Pulled::How::kLoaded: return "loaded";
    case catalog::Pulled::How::kCopied: return "copied";
  }
  return "";
}

}  // namespace

std::string pull_words(const catalog::PullProgress& progress, Language language) {
  const bool zh = language == Language::kChinese;
  std::string out(stage_words(progress.stage, zh));
  if (progress.total > 0) {
    out += fmt::format("  {} %  {} / {}", progress.done * 100 / progress.total, size_words(progress.done),
                       size_words(progress.total));
  }
  if (progress.stage == Stage::kLoading && progress.bytes_per_second >= 1) {
    out += fmt::format("  {:.1f} MB/s", progress.bytes_per_second / 1e6);
  }
  if (const std::optional<double> left = seconds_left(progress)) {
    out += fmt::format(fmt::runtime(zh ? "  剩余 {}" : "  {} left"), duration_words(*left, language));
  }
  if (!progress.source.empty()) out += fmt::format("  {}", progress.source);
  return out;
}

std::string pulled_words(const catalog::Pulled& pulled, std::string_view reference, double seconds, Language language) {
  const bool zh = language == Language::kChinese;
  const std::string size = size_words(pulled.bytes);
  if (pulled.how == catalog::Pulled::How::kWasThere) {
    return fmt::format(fmt::runtime(zh ? "{}：本机已有（{}）\n  {}\n" : "{}: it is here already ({})\n  {}\n"),
                       reference, size, pulled.path);
  }
  const bool is_copy = pulled.how == catalog::Pulled::How::kCopied;
  const std::string took = duration_words(seconds, language);
  const std::string rate =
      is_copy || seconds < 0.1 ? "" : fmt::format(" ({:.1f} MB/s)", static_cast<double>(pulled.bytes) / 1e6 / seconds);
  return fmt::format(fmt::runtime(zh ? "{}：{}，来自 {}，用时 {}{}\n  sha256 {}\n  {}\n"
                                     : "{}: {} from {} in {}{}\n  sha256 {}\n  {}\n"),
                     reference, size, pulled.source, took, rate, pulled.sha256, pulled.path);
}

std::string pull_json(const catalog::PullProgress& progress) {
  json::object out;
  out["event"] = "progress";
  out["stage"] = to_string(progress.stage);
  out["source"] = progress.source.empty() ? json::value(nullptr) : json::value(progress.source);
  out["done"] = progress.done;
  out["total"] = progress.total > 0 ? json::value(progress.total) : json::value(nullptr);
  out["resumed"] = progress.resumed;
  out["bytes_per_second"] = static_cast<std::int64_t>(progress.bytes_per_second);
  const std::optional<double> left = seconds_left(progress);
  out["seconds_left"] = left.has_value() ? json::value(*left) : json::value(nullptr);
  return json::serialize(out);
}

std::string pulled_json(const catalog::Pulled& pulled, std::string_view reference, double seconds) {
  json::object out;
  out["event"] = "done";
  out["how"] = how_name(pulled.how);
  out["reference"] = reference;
  out["path"] = pulled.path;
  out["bytes"] = pulled.bytes;
  out["sha256"] = pulled.sha256.empty() ? json::value(nullptr) : json::value(pulled.sha256);
  out["source"] = pulled.source.empty() ? json::value(nullptr) : json::value(pulled.source);
  out["seconds"] = seconds;
  return json::serialize(out);
}

std::string pull_error_json(const Error& error) {
  json::object out;
  out["event"] = "error";
  out["code"] = to_string(error.code);
  out["message"] = error.message;
  return json::serialize(out);
}

bool PullSteps::is_due(const catalog::PullProgress& progress) {
  const long long tenth = progress.total > 0 ? progress.done * 10 / progress.total : 0;
  if (progress.stage == stage_ && tenth == tenth_) return false;
  stage_ = progress.stage;
  tenth_ = tenth;
  return true;
}

}  // namespace dormouse::cli

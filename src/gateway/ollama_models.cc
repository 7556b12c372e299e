#include "gateway/ollama_models.h"

#include <fmt/format.h>

#include <boost/json.hpp>
#include <chrono>
#include <filesystem>
#include <system_error>
#include <utility>

#include "fleet/lease_token.h"
#include "gateway/dialect/ollama.h"

namespace dormouse::gateway {
namespace {

namespace json = boost::json;
namespace fs = std::filesystem;

constexpr std::string_view kUnknown = "unknown";

std::string upper_ascii(std::string_view text) {
  std::string out;
  for (const char c : text) out += c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  return out;
}

std::string or_unknown(std::string text) {
  return text.empty() ? std::string(kUnknown) : text;
}

json::object details_of(const OllamaModel& model) {
  json::object out;
  out["parent_model"] = "";
  out["format"] = "gguf";
  out["family"] = model.family;
  out["families"] = json::array{json::value(model.family)};
  out["parameter_size"] = model.parameters;
  out["quantization_level"] = model.quantisation;
  return out;
}

// Our own engine's models, and those of the gallery, are Qwen3: they call tools and think. Of others the same is
// passed on to the engine, which is not known to think.
json::array capabilities_of(const OllamaModel& model) {
  json::array out{"completion", "tools"};
  if (model.family == "qwen3") out.emplace_back("thinking");
  return out;
}

json::object entry_of(const OllamaModel& model) {
  json::object out;
  out["name"] = model.name;
  out["model"] = model.name;
  out["size"] = model.bytes;
  out["digest"] = model.digest;
  out["details"] = details_of(model);
  return out;
}

}  // namespace

OllamaModel describe_for_ollama(const Deployment& deployment, const catalog::Catalog& catalog) {
  OllamaModel out;
  out.name = deployment.name + ":latest";
  std::error_code ec;
  const std::uintmax_t bytes = fs::file_size(deployment.model_path, ec);
  out.modified = WallTime{deployment.created * 1'000'000};
  if (!ec) {
    out.bytes = static_cast<std::int64_t>(bytes);
    const fs::file_time_type written = fs::last_write_time(deployment.model_path, ec);
    const auto since_epoch = std::chrono::file_clock::to_sys(written).time_since_epoch();
    if (!ec) out.modified.us = std::chrono::duration_cast<std::chrono::microseconds>(since_epoch).count();
  }
  out.digest = fleet::sha256_hex(fmt::format("{}\n{}\n{}", deployment.model_path, out.bytes, out.modified.us));
  std::string_view word = deployment.image;  // a file that has an image's name is that image
  if (word.starts_with("file:")) word.remove_prefix(5);
  const catalog::Image* const image = catalog.find(word);
  const bool is_ours = deployment.rules.runtime == "builtin";  // which runs Qwen3 only
  out.family = image != nullptr ? or_unknown(image->family) : std::string(is_ours ? "qwen3" : kUnknown);
  out.parameters = or_unknown(image != nullptr ? upper_ascii(image->parameters) : std::string());
  out.quantisation = or_unknown(image != nullptr ? image->quantisation : std::string());
  out.context_length = deployment.rules.context_length;
  return out;
}

std::string ollama_tags(const std::vector<OllamaModel>& models) {
  json::array list;
  for (const OllamaModel& model : models) {
    json::object entry = entry_of(model);
    entry["modified_at"] = rfc3339(model.modified);
    entry["capabilities"] = capabilities_of(model);
    list.push_back(std::move(entry));
  }
  json::object out;
  out["models"] = std::move(list);
  return json::serialize(out);
}

std::string ollama_show(const OllamaModel& model) {
  json::object info;
  info["general.architecture"] = model.family;
  if (model.context_length > 0) info[model.family + ".context_length"] = model.context_length;
  json::object out;
  out["modelfile"] = fmt::format("FROM {}\n", model.name);
  out["parameters"] = "";
  out["template"] = "";
  out["license"] = "";
  out["details"] = details_of(model);
  out["model_info"] = std::move(info);
  out["capabilities"] = capabilities_of(model);
  out["modified_at"] = rfc3339(model.modified);
  return json::serialize(out);
}

std::string ollama_ps(const std::vector<OllamaRunning>& running) {
  json::array list;
  for (const OllamaRunning& one : running) {
    json::object entry = entry_of(one.model);
    entry["expires_at"] = rfc3339(one.expires);
    entry["size_vram"] = one.is_on_gpu ? one.model.bytes : 0;
    entry["context_length"] = one.model.context_length;
    list.push_back(std::move(entry));
  }
  json::object out;
  out["models"] = std::move(list);
  return json::serialize(out);
}

std::string ollama_pulled(const OllamaModel& model) {
  const auto line = [](std::string_view status) { return fmt::format("{{\"status\":\"{}\"}}\n", status); };
  constexpr std::size_t kShown = 12;  // digits, as Ollama shows them
  return line("pulling manifest") +
         fmt::format("{{\"status\":\"pulling {}\",\"digest\":\"{}\",\"total\":{},\"completed\":{}}}\n",
                     model.digest.substr(0, kShown), model.digest, model.bytes, model.bytes) +
         line("success");
}

}  // namespace dormouse::gateway

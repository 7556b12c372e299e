// What Ollama's clients are told of models: /api/tags, /api/show, /api/ps and /api/pull. Values in, JSON out.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/clock.h"
#include "catalog/catalog.h"
#include "gateway/deployments.h"

namespace dormouse::gateway {

// The release of Ollama whose API is spoken here. Clients compare its parts as integers; 0.9 brought `think`.
inline constexpr const char* kOllamaVersion = "0.12.0";

struct OllamaModel {
  std::string name;                 // "chat:latest"
  std::string digest;               // 64 hex digits: of the file's place, size and time, not of its bytes
  std::int64_t bytes = 0;           // of the file; 0: it is not on this machine
  WallTime modified;                // of the file, else of the deployment
  std::string family;               // "qwen3"; "unknown" where nobody said
  std::string parameters;           // "4B"
  std::string quantisation;         // "Q4_K_M"
  std::int64_t context_length = 0;  // 0: not known while it sleeps
};

struct OllamaRunning {
  OllamaModel model;
  WallTime expires;
  bool is_on_gpu = false;
};

// Looks at the model's file (a stat).
[[nodiscard]] OllamaModel describe_for_ollama(const Deployment& deployment, const catalog::Catalog& catalog);

[[nodiscard]] std::string ollama_tags(const std::vector<OllamaModel>& models);
[[nodiscard]] std::string ollama_show(const OllamaModel& model);
[[nodiscard]] std::string ollama_ps(const std::vector<OllamaRunning>& running);
// The lines of a pull that finds everything here.
[[nodiscard]] std::string ollama_pulled(const OllamaModel& model);

}  // namespace dormouse::gateway

// What a pull says while it runs and when it ends, for people and for scripts. No I/O.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "catalog/pull.h"
#include "cli/words.h"

namespace dormouse::cli {

// "45 %  1.12 of 2.50 GB  48.2 MB/s  28 s left  huggingface", by its stage.
[[nodiscard]] std::string pull_words(const catalog::PullProgress& progress, Language language);
// "qwen3-4b:q4_k_m: 2.50 GB from huggingface in 52 s (48.1 MB/s), sha256 checked" and where it lies.
[[nodiscard]] std::string pulled_words(const catalog::Pulled& pulled, std::string_view reference, double seconds,
                                       Language language);

// One JSON object a line: {"event":"progress",...}, {"event":"done",...}, {"event":"error",...}.
[[nodiscard]] std::string pull_json(const catalog::PullProgress& progress);
[[nodiscard]] std::string pulled_json(const catalog::Pulled& pulled, std::string_view reference, double seconds);
[[nodiscard]] std::string pull_error_json(const Error& error);

// When a line is due where it cannot be overwritten: at each stage's begin and each tenth of the bytes.
class PullSteps {
 public:
  bool is_due(const catalog::PullProgress& progress);

 private:
  catalog::PullProgress::Stage stage_ = catalog::PullProgress::Stage::kAsking;
  long long tenth_ = -1;
};

}  // namespace dormouse::cli

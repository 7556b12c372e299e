// What config.json and generation_config.json of a Hugging Face folder say of a dense Qwen3. Threads: const from any.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"
#include "worker/tools/json_file.h"
#include "worker/tools/model_configs.h"

namespace dormouse::worker {

struct HfConfig {
  SynthConfig shape;  // name and size_label are empty
  float rms_epsilon = 0;
  float rope_theta = 0;
  std::optional<std::uint32_t> bos_token_id;
  std::optional<std::uint32_t> eos_token_id;  // the first, where there are several
  std::optional<std::uint32_t> pad_token_id;
};

// Limits are the engine's (engine/config.cc). Errors: kInvalidArgument (another architecture, a mixture of experts,
// quantised weights, stretched RoPE, or another feature of Qwen3's that is not supported; says which and what to do),
// kNotFound and kDataLoss (a missing or wrong field).
[[nodiscard]] Result<HfConfig> read_hf_config(const JsonFile& file);

// What the model's makers recommend. Absent: not said.
struct HfSampling {
  std::optional<float> temperature;
  std::optional<float> top_p;
  std::optional<std::uint32_t> top_k;
};
[[nodiscard]] Result<HfSampling> read_hf_sampling(const JsonFile& file);

}  // namespace dormouse::worker

#include "engine/placement.h"

#include <fmt/format.h>

#include <charconv>
#include <string>

#include "kernels/cuda/matmul_args.h"
#include "kernels/layout.h"

namespace dormouse::engine {
namespace {

constexpr int kMostGpus = 64;
constexpr std::uint64_t kDriverReserveBytes = std::uint64_t{192} << 20;

std::uint64_t packed_bytes(const gguf::File& file) {
  std::uint64_t out = 0;
  for (const gguf::TensorInfo& tensor : file.tensors()) {
    out += tensor.dimensions < 2 ? tensor.bytes
                                 : static_cast<std::uint64_t>(kernels::packed_matrix_bytes(
                                       tensor.type, static_cast<std::int32_t>(tensor.rows()),
                                       static_cast<std::int32_t>(tensor.row_length())));
  }
  return out;
}

// Floats of everything a row passes through, once more for their quantised forms and for attention in splits, or in the
// chains of shared prefixes: 4 * q_dim and a bit a row, less than the second feed-forward's floats.
std::uint64_t step_bytes(const ModelConfig& config, const EngineOptions& options) {
  const std::int64_t row =
      2 * std::int64_t{config.hidden} + 2 * config.q_dim() + 2 * config.kv_dim() + 3 * std::int64_t{config.ffn};
  const std::int64_t logits = std::int64_t{options.max_logits_rows} * config.vocab;
  const std::int64_t top =
      std::int64_t{options.max_logits_rows} * cuda::kTopTokens * (cuda::top_parts(config.vocab) + 1);
  return static_cast<std::uint64_t>(2 * row * options.max_batch_tokens + logits) * sizeof(float) +
         static_cast<std::uint64_t>(top) * sizeof(std::uint64_t);
}

}  // namespace

Result<DeviceName> parse_device(std::string_view name) {
  if (name == "cpu") return DeviceName{};
  if (name == "auto") return DeviceName{.kind = DeviceName::Kind::kAuto};
  if (name == "cuda") return DeviceName{.kind = DeviceName::Kind::kCuda};
  constexpr std::string_view kPrefix = "cuda:";
  if (name.starts_with(kPrefix)) {
    DeviceName out{.kind = DeviceName::Kind::kCuda};
    const std::string_view number = name.substr(kPrefix.size());
    const auto [end, ec] = std::from_chars(number.data(), number.data() + number.size(), out.ordinal);
    const bool is_whole = ec == std::errc() && end == number.data() + number.size();
    if (is_whole && out.ordinal >= 0 && out.ordinal < kMostGpus) return out;
  }
  return make_error(Code::kInvalidArgument, "--device: cpu, cuda:N or auto is wanted, got '" + std::string(name) + "'");
}

Result<DeviceSampling> parse_device_sampling(std::string_view name) {
  if (name == "auto") return DeviceSampling::kAuto;
  if (name == "on") return DeviceSampling::kOn;
  if (name == "off") return DeviceSampling::kOff;
  return make_error(Code::kInvalidArgument,
                    "--device-sampling: auto, on or off is wanted, got '" + std::string(name) + "'");
}

Result<std::optional<DevicePaths>> parse_device_paths(std::string_view names) {
  if (names == "auto") return std::optional<DevicePaths>{};
  DevicePaths out;
  if (names == "none") return std::optional(out);
  const std::string_view given = names;
  for (bool more = true; more;) {
    const std::size_t comma = names.find(',');
    const std::string_view name = names.substr(0, comma);
    more = comma != std::string_view::npos;
    if (more) names.remove_prefix(comma + 1);
    bool is_known = false;
    for (const auto& [known, member] : kDevicePaths) {
      if (name != known && given != "all") continue;
      out.*member = is_known = true;
    }
    if (is_known) continue;
    return make_error(Code::kInvalidArgument,
                      fmt::format("--device-paths: auto, all, none or some of {} is wanted, got '{}'",
                                  names_of(**parse_device_paths("all")), given));
  }
  return std::optional(out);
}

std::string names_of(const DevicePaths& paths) {
  std::string out;
  for (const auto& [name, member] : kDevicePaths) {
    if (!(paths.*member)) continue;
    if (!out.empty()) out += ',';
    out += name;
  }
  return out.empty() ? "none" : out;
}

std::uint64_t gpu_bytes_beside_kv(const gguf::File& file, const ModelConfig& config, const EngineOptions& options) {
  return packed_bytes(file) + step_bytes(config, options) + kDriverReserveBytes;
}

}  // namespace dormouse::engine

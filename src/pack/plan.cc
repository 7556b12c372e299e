#include "pack/plan.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <string_view>
#include <tuple>
#include <utility>

#include "pack/checksum.h"

namespace dormouse::pack {
namespace {

constexpr std::array<std::string_view, 7> kLayerOrder = {"attn_q.weight",      "attn_k.weight",   "attn_v.weight",
                                                         "attn_output.weight", "ffn_gate.weight", "ffn_up.weight",
                                                         "ffn_down.weight"};
constexpr std::uint64_t kMostLayers = 1U << 16;

// (layer, place in it): smaller is earlier. None: not a matrix of the model.
std::optional<std::tuple<std::uint64_t, int>> place_of(std::string_view name, std::uint64_t layers) {
  if (name == "output.weight") return {{layers, 0}};
  if (name == "token_embd.weight") return {{layers, 1}};
  constexpr std::string_view kPrefix = "blk.";
  if (!name.starts_with(kPrefix)) return std::nullopt;
  name.remove_prefix(kPrefix.size());
  std::uint64_t layer = 0;
  const auto [rest, error] = std::from_chars(name.data(), name.data() + name.size(), layer);
  const auto digits = static_cast<std::size_t>(rest - name.data());
  if (error != std::errc{} || digits >= name.size() || name[digits] != '.' || layer >= layers) return std::nullopt;
  name.remove_prefix(digits + 1);
  const auto found = std::find(kLayerOrder.begin(), kLayerOrder.end(), name);
  if (found == kLayerOrder.end()) return std::nullopt;
  return {{layer, static_cast<int>(found - kLayerOrder.begin())}};
}

}  // namespace

std::vector<std::uint32_t> execution_order(const gguf::File& file) {
  const std::uint64_t layers = file.get_uint("qwen3.block_count", 0, kMostLayers).value_or(0);
  std::vector<std::pair<std::tuple<std::uint64_t, int>, std::uint32_t>> placed;
  const auto tensors = file.tensors();
  for (std::uint32_t i = 0; i < tensors.size(); ++i) {
    const auto place = place_of(tensors[i].name, layers);
    if (tensors[i].dimensions == 2 && place.has_value()) placed.emplace_back(*place, i);
  }
  std::sort(placed.begin(), placed.end());
  std::vector<std::uint32_t> out;
  for (const auto& [place, index] : placed) out.push_back(index);
  return out;
}

std::uint64_t source_header_checksum(const gguf::File& file) {
  constexpr std::size_t kMost = 1U << 20;
  const std::size_t bytes = std::min({kMost, static_cast<std::size_t>(file.data_offset()), file.bytes().size()});
  return checksum(file.bytes().first(bytes));
}

}  // namespace dormouse::pack

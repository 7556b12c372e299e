#include "pack/plan.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <string_view>
#include <tuple>

#include "pack/checksum.h"

namespace dormouse::pack {
namespace {

constexpr std::array<std::string_view, 7> kLayerOrder = {"attn_q.weight",      "attn_k.weight",   "attn_v.weight",
                                                         "attn_output.weight", "ffn_gate.weight", "ffn_up.weight",
                                                         "ffn_down.weight"};
constexpr int kAfterLayers = 1 << 30;

// (layer, place in it): smaller is earlier.
std::tuple<int, int> place_of(std::string_view name) {
  if (name == "token_embd.weight") return {kAfterLayers, 2};
  if (name == "output.weight") return {kAfterLayers, 1};
  constexpr std::string_view kPrefix = "blk.";
  int layer = 0;
  if (!name.starts_with(kPrefix)) return {kAfterLayers, 0};
  name.remove_prefix(kPrefix.size());
  const auto [rest, error] = std::from_chars(name.data(), name.data() + name.size(), layer);
  if (error != std::errc{} || rest == name.data() + name.size() || *rest != '.') return {kAfterLayers, 0};
  name.remove_prefix(static_cast<std::size_t>(rest - name.data()) + 1);
  const auto found = std::find(kLayerOrder.begin(), kLayerOrder.end(), name);
  return {layer, static_cast<int>(found - kLayerOrder.begin())};
}

}  // namespace

std::vector<std::uint32_t> execution_order(const gguf::File& file) {
  std::vector<std::uint32_t> out;
  const auto tensors = file.tensors();
  for (std::uint32_t i = 0; i < tensors.size(); ++i) {
    if (tensors[i].dimensions == 2) out.push_back(i);
  }
  std::stable_sort(out.begin(), out.end(), [&](std::uint32_t a, std::uint32_t b) {
    return place_of(tensors[a].name) < place_of(tensors[b].name);
  });
  return out;
}

std::uint64_t source_header_checksum(const gguf::File& file) {
  constexpr std::size_t kMost = 1U << 20;
  const std::size_t bytes = std::min({kMost, static_cast<std::size_t>(file.data_offset()), file.bytes().size()});
  return checksum(file.bytes().first(bytes));
}

}  // namespace dormouse::pack

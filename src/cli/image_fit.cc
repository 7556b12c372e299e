#include "cli/image_fit.h"

#include <fmt/format.h>

#include <cmath>
#include <string_view>

#include "planner/model_fit.h"

namespace dormouse::cli {
namespace {

// Our kernels reach 0.79 of what a plain read of the same memory does (docs/performance.md, one stream on two cores).
// planner::roofline takes kBandwidthShare of a data sheet's figure; this is a measured one.
constexpr double kShareOfPlainRead = 0.79;
// A ready worker beside its model: 62 MiB measured (docs/performance.md).
constexpr std::int64_t kWorkerBytes = 64LL << 20;
// Memory sold as 80 GB is 79.6 or 85.9 in bytes; cards of one name differ by far more (A100: 40, 80).
constexpr double kSameMemory = 0.15;

bool is_word_end(std::string_view text, std::size_t at) {
  return at >= text.size() || text[at] == ' ' || text[at] == '-' || text[at] == ',';
}

// "RTX 3090" is in "NVIDIA GeForce RTX 3090", "A10" is not in "NVIDIA A100-SXM4-40GB".
bool has_words(std::string_view text, std::string_view words) {
  for (std::size_t at = text.find(words); at != std::string_view::npos; at = text.find(words, at + 1)) {
    const bool begins = at == 0 || is_word_end(text, at - 1);
    if (begins && is_word_end(text, at + words.size())) return true;
  }
  return false;
}

// Titles end in the card and its memory: "AWS g4dn.xlarge: T4, 16 GB".
std::string_view card_name(std::string_view title) {
  const std::size_t colon = title.rfind(": ");
  if (colon != std::string_view::npos) title.remove_prefix(colon + 2);
  return title.substr(0, title.find(','));
}

PlaceFit fit_in(const Place& place, const planner::ModelShape& shape, planner::Quant quant,
                const planner::Wanted& wanted, std::int64_t need_bytes) {
  PlaceFit out;
  if (need_bytes + place.reserve_bytes > place.free_bytes) return out;
  out.verdict = PlaceFit::Verdict::kFits;
  planner::Card card = place.card;
  // It fits, as said above: what roofline keeps for a card's driver is no matter here.
  card.vram_bytes = need_bytes + 2 * planner::kReserveBytes;
  const Result<planner::Speeds> speeds = planner::roofline(shape, quant, card, wanted);
  if (speeds.has_value()) out.tokens_per_s = speeds->line.tokens_per_s(1);
  return out;
}

}  // namespace

Place ram_place(std::int64_t free_bytes, double bandwidth, double flops) {
  return {.name = "RAM",
          .free_bytes = free_bytes,
          .reserve_bytes = kWorkerBytes,
          .card = {.bandwidth = bandwidth * kShareOfPlainRead / planner::kBandwidthShare, .flops = flops}};
}

Place gpu_place(std::size_t index, const std::string& gpu, std::int64_t memory_bytes,
                const std::vector<catalog::InstanceType>& types) {
  Place out{.name = fmt::format("cuda:{} {}", index, gpu),
            .free_bytes = memory_bytes,
            .reserve_bytes = planner::kReserveBytes,
            .card = {}};
  for (const catalog::InstanceType& type : types) {
    const double sold_bytes = static_cast<double>(type.vram_gb) * 1e9;
    const bool is_same_size = std::abs(static_cast<double>(memory_bytes) - sold_bytes) < kSameMemory * sold_bytes;
    if (!is_same_size || !has_words(gpu, card_name(type.title_en))) continue;
    out.card = {.bandwidth = type.bandwidth_gbs * 1e9, .flops = type.fp16_tflops * 1e12};
    break;
  }
  return out;
}

std::vector<ImageFit> fit_images(const std::vector<ImageWish>& images, const std::vector<Place>& places) {
  std::vector<ImageFit> out;
  const planner::Wanted wanted{.sequences = 1, .context = kFitContext};
  for (const ImageWish& image : images) {
    const Result<planner::ModelShape> shape = planner::find_model(image.parameters);
    const Result<planner::Quant> quant = planner::find_quant(image.quantisation);
    if (!shape.has_value() || !quant.has_value()) continue;
    ImageFit& fit = out.emplace_back();
    fit.reference = image.reference;
    fit.need_bytes = planner::weight_bytes(*shape, *quant) +
                     planner::kv_bytes_per_token(*shape, wanted.kv) * wanted.context * wanted.sequences;
    for (const Place& place : places) fit.places.push_back(fit_in(place, *shape, *quant, wanted, fit.need_bytes));
  }
  return out;
}

}  // namespace dormouse::cli

// Which images of the gallery fit a machine's memories, and about how fast one answer comes there. PURE.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "catalog/instance_types.h"
#include "planner/speeds.h"

namespace dormouse::cli {

// What a model can lie in: the RAM, or a card's memory.
struct Place {
  std::string name;  // "RAM", "cuda:0 NVIDIA T4"
  std::int64_t free_bytes = 0;
  // What an engine takes there beside weights, keys and values.
  std::int64_t reserve_bytes = 0;
  planner::Card card;  // bandwidth and operations as planner::roofline takes them; 0: not known
};

// `bandwidth`: measured, bytes a second; 0: not known.
[[nodiscard]] Place ram_place(std::int64_t free_bytes, double bandwidth, double flops);
// Figures of the data sheet where the list of instance types has this card.
[[nodiscard]] Place gpu_place(std::size_t index, const std::string& gpu, std::int64_t memory_bytes,
                              const std::vector<catalog::InstanceType>& types);

struct ImageWish {
  std::string reference;     // "qwen3-4b:q4_k_m"
  std::string parameters;    // "4b"
  std::string quantisation;  // "Q4_K_M"
};

struct PlaceFit {
  enum class Verdict { kFits, kTooLarge } verdict = Verdict::kTooLarge;
  std::optional<double> tokens_per_s;  // of one answer; nullopt: not known
};
struct ImageFit {
  std::string reference;
  std::int64_t need_bytes = 0;  // weights, and keys and values of kFitContext tokens
  std::vector<PlaceFit> places;
};

inline constexpr std::int64_t kFitContext = 4'096;

// In the images' order; those whose shape the planner does not know are left out.
[[nodiscard]] std::vector<ImageFit> fit_images(const std::vector<ImageWish>& images, const std::vector<Place>& places);

}  // namespace dormouse::cli

// The gallery in words: a table that fits, a card, sizes. And where it is read from.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "catalog/catalog.h"
#include "cli/context.h"

namespace dormouse::cli {

// With the user's own entries: DATA_DIR/images.toml and [[image]] of DATA_DIR/dormouse.toml. Errors: those of both.
[[nodiscard]] Result<catalog::Catalog> read_gallery(const Context& context);

// "2.50 GB", "5.4 MB"; of an estimate "~1.67 GB"; "?" where it is not known.
[[nodiscard]] std::string size_words(std::int64_t bytes);

struct ImageRow {
  const catalog::Image* image = nullptr;  // borrowed, never null
  enum class Place { kHere, kElsewhere } place = Place::kElsewhere;
};
// At most so many columns wide, if names and numbers fit at all: the last column is cut.
[[nodiscard]] std::string image_table(const std::vector<ImageRow>& rows, std::size_t columns, Language language);
// `path`: where it lies; empty: not here.
[[nodiscard]] std::string image_card(const catalog::Image& image, const std::string& path, Language language);

}  // namespace dormouse::cli

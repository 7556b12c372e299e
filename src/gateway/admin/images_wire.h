// The gallery as JSON: what GET /admin/v1/images?q= and `dormouse images --format json` say. Docs: docs/images.md.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "catalog/catalog.h"

namespace dormouse::gateway {

// {"images":[{...}]} of those that match the query, in the gallery's order. Looks whether each is here (a stat for each
// directory).
[[nodiscard]] std::string images_json(const catalog::Catalog& gallery, std::string_view query,
                                      const std::vector<std::string>& directories);
// One of them.
[[nodiscard]] std::string image_json(const catalog::Image& image, const std::vector<std::string>& directories);

}  // namespace dormouse::gateway

// The gallery as JSON: what GET /admin/v1/images?q= and `dormouse images --format json` say. Docs: docs/images.md.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "catalog/catalog.h"
#include "gateway/pulls/pull_view.h"

namespace dormouse::gateway {

// {"images":[{...}],"free_bytes"} of those that match the query, in the gallery's order. Looks whether each is here (a
// stat for each directory), and for a part of it and free room in the first directory. `pulls`: what is under way.
[[nodiscard]] std::string images_json(const catalog::Catalog& gallery, std::string_view query,
                                      const std::vector<std::string>& directories, const std::vector<PullView>& pulls);
// One of them.
[[nodiscard]] std::string image_json(const catalog::Image& image, const std::vector<std::string>& directories);

}  // namespace dormouse::gateway

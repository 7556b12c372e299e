// The gallery's entries as TOML has them: catalog/images.toml says which keys there are. No I/O.
#pragma once

#include <string_view>
#include <vector>

#include "base/result.h"
#include "catalog/image.h"
#include "catalog/toml.h"

namespace dormouse::catalog {

// [[suits]], [[model]] and [[image]] of a gallery file; other keys at its top are errors.
// Errors: kInvalidArgument, naming the source, the entry and the key.
[[nodiscard]] Result<std::vector<Image>> read_images(const TomlTable& root, std::string_view what);
// [[image]] alone, as dormouse.toml has it.
[[nodiscard]] Result<std::vector<Image>> read_image_entries(const std::vector<TomlTable>& entries,
                                                            std::string_view what);

}  // namespace dormouse::catalog

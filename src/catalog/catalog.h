// The gallery: which images exist, which name means which, and where a file lies on this machine.
// Immutable once made. Threads: any.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "catalog/image.h"

namespace dormouse::catalog {

struct ResolvedImage {
  std::string reference;  // "qwen3-demo:q8_0"; a plain file: "file:NAME.gguf"
  // Absolute, exists. Of an image that a server of others fetches itself: the name it knows it by, or the folder in a
  // model directory that has the repository's last name.
  std::string path;
  std::vector<std::string> runtimes;  // that can run it; empty: a plain file, nobody knows
};

class Catalog {
 public:
  // Errors: kInvalidArgument, naming source, entry and key (bad TOML, an entry without name or tag, a key nobody knows,
  // two entries one key means).
  static Result<Catalog> parse(std::string_view toml, std::string_view what = "images.toml");
  // The one compiled into this binary.
  static Result<Catalog> built_in();
  // With the user's: DATA_DIR/images.toml, where there is one, and then `configured` ([[image]] of dormouse.toml).
  // Blocking. Errors: parse's; kTooLarge (over 1 MiB), kPermissionDenied.
  static Result<Catalog> of_installation(const std::string& data_dir, const std::vector<Image>& configured);

  // One of the same name and tag replaces the one that is there. Errors: kInvalidArgument (a key of another image).
  Status put(Image image);

  [[nodiscard]] const std::vector<Image>& images() const { return images_; }
  // See Image::matches; all for an empty query.
  [[nodiscard]] std::vector<const Image*> search(std::string_view query) const;
  // Null where no image has that name in any form.
  [[nodiscard]] const Image* find(std::string_view name) const;

  // A name, `file:PATH.gguf`, or a path ending in .gguf. Directories are tried in order.
  // Errors: kNotFound, whose message names near matches, or the `dormouse pull` that fetches the file.
  [[nodiscard]] Result<ResolvedImage> resolve(std::string_view name, const std::vector<std::string>& directories) const;
  // Where an image's file or folder lies; empty: not on this machine.
  [[nodiscard]] static std::string find_local(const Image& image, const std::vector<std::string>& directories);

 private:
  [[nodiscard]] std::vector<std::string> near_matches(std::string_view name) const;
  std::vector<Image> images_;
};

// Where models of this installation may lie, in order: `extra` (--models-dir), the data directory's models/, then
// beside the program: DIR/models, DIR/../models, DIR/../../models (build/<preset>/ in a source tree),
// DIR/../share/dormouse/models.
[[nodiscard]] std::vector<std::string> model_directories(const std::string& extra, const std::string& data_dir,
                                                         const std::string& program_dir);

}  // namespace dormouse::catalog

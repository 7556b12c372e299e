// The gallery: which images exist, which name means which, and where a file lies on this machine.
// Immutable after parse. Threads: any.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace dormouse::catalog {

struct Image {
  std::string name;          // "qwen3-demo"
  std::string tag;           // "q8_0"
  std::string file;          // "qwen3-demo-q8_0.gguf"
  std::string family;        // "qwen3"
  std::string parameters;    // "4b"
  std::string quantisation;  // "Q8_0"
  std::string title_en;
  std::string title_zh;
  std::vector<std::string> keys;      // canonical keys that mean this image
  std::vector<std::string> keywords;  // for search, any language
  bool embedded = false;              // committed with the source

  [[nodiscard]] std::string reference() const { return name + ":" + tag; }
};

struct ResolvedImage {
  std::string reference;  // "qwen3-demo:q8_0"; a plain file: "file:NAME.gguf"
  std::string path;       // absolute, exists
};

class Catalog {
 public:
  // Errors: kInvalidArgument (bad TOML, an entry without name, tag or file, two entries one key means).
  static Result<Catalog> parse(std::string_view toml);
  // The one compiled into this binary.
  static Result<Catalog> built_in();

  [[nodiscard]] const std::vector<Image>& images() const { return images_; }
  // Images whose name, titles or keywords contain every word of the query (without case); all for an empty query.
  [[nodiscard]] std::vector<const Image*> search(std::string_view query) const;
  // Null where no image has that name in any form.
  [[nodiscard]] const Image* find(std::string_view name) const;

  // A name, `file:PATH.gguf`, or a path ending in .gguf. Directories are tried in order.
  // Errors: kNotFound, whose message names near matches, or the directories' want of the file.
  [[nodiscard]] Result<ResolvedImage> resolve(std::string_view name, const std::vector<std::string>& directories) const;

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
